//! A native plugin of every kind that panics where it is told to, and counts its calls in between.

#![expect(clippy::panic, reason = "that is what it is for")]

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use dovetail_native_api::provider::{Description, Header, Prepared, Scope};
use dovetail_native_api::tools::{Call, CallResult, Tool};
use dovetail_native_api::{
    Error, Hooks, Opening, Plugin, Provider, Sink, Tools, export_plugin, hooks, sink,
};

#[derive(Default)]
struct Moody {
    calls: AtomicU32,
}

impl Plugin for Moody {
    fn open(opening: &Opening) -> Result<Self, Error> {
        match opening.config()?["mood"].as_str() {
            Some("panic") => panic!("not in the mood"),
            Some(other) => Err(Error::Unavailable(format!("the mood is {other}"))),
            None => Ok(Self::default()),
        }
    }
}

impl Provider for Moody {
    fn describe(&self) -> Description {
        Description {
            ids: vec!["moody".to_owned()],
            name: "Moody".to_owned(),
            ..Description::default()
        }
    }

    fn prepare(&self, _: &Scope) -> Result<Prepared, Error> {
        Ok(Prepared {
            headers: vec![Header::sensitive("x-moody", "1")],
            expires_at_unix_ms: None,
        })
    }
}

impl Tools for Moody {
    fn list_tools(&self) -> Result<Vec<Tool>, Error> {
        Ok(vec![
            Tool::new("count", "Counts"),
            Tool::new("panic", "Panics"),
        ])
    }

    fn call_tool(&self, call: &Call) -> Result<CallResult, Error> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        match call.name.as_str() {
            "panic" => panic!("told to, after {calls} calls"),
            "thread" => {
                let name = fs::read_to_string("/proc/thread-self/comm").unwrap_or_default();
                let thread = fs::read_link("/proc/thread-self").unwrap_or_default();
                Ok(CallResult::text(format!(
                    "{} {}",
                    name.trim(),
                    thread.display()
                )))
            }
            _ => Ok(CallResult::text(calls.to_string())),
        }
    }
}

impl Hooks for Moody {
    fn subscriptions(&self) -> Vec<hooks::Subscription> {
        vec![hooks::Subscription::gate("PreToolUse", "")]
    }

    fn handle(&self, event: &hooks::Event) -> Result<hooks::Outcome, Error> {
        let input = event.tool.as_ref().map_or("", |tool| &tool.input_json);
        if input.contains("rm ") {
            return Ok(hooks::Decision::Deny("not in the mood".to_owned()).into());
        }
        Ok(hooks::Outcome::default())
    }
}

impl Sink for Moody {
    fn subscriptions(&self) -> sink::Subscription {
        sink::Subscription {
            kinds: vec!["*".to_owned()],
            classes: vec![sink::FieldClass::Content, sink::FieldClass::Location],
        }
    }

    fn deliver(&self, batch: &[sink::Event]) -> Result<sink::Ack, Error> {
        let names = batch.iter().flat_map(|event| &event.fields);
        Ok(sink::Ack::Reject(
            names.map(|field| field.name.clone()).collect(),
        ))
    }
}

export_plugin!(Moody, id: "moody", kinds: [provider, tools, hooks, sink]);
