//! A guest of every kind that does what it must not, as its configuration orders.
//!
//! `{"behave": "spin", "at": "handle"}` spins in `handle`; without `at` it is the main function of each kind: `prepare`,
//! `handle`, `call-tool` and `deliver`. `handle:PreToolUse` is `handle` for that event only. Everywhere else, and without
//! orders, it behaves. What it was let do or see beyond its grant comes back as text, so that a test can tell a refusal
//! from a success.

mod deed;
mod orders;

use dovetail_plugin_api::hooks::{self, Outcome};
use dovetail_plugin_api::provider::{
    Description, Endpoint, Failure, FailureKind, Model, Prepared, Recovery, RequestHead, Scope,
};
use dovetail_plugin_api::sink::{self, Ack, FieldClasses};
use dovetail_plugin_api::tools::{Call, CallResult, Tool};
use dovetail_plugin_api::{
    Error, Header, Hooks, PlainHeader, Provider, Sink, Tools, export_hooks, export_provider,
    export_sink, export_tools, log,
};
use serde_json::{Map, Value, json};

use orders::{Behaviour, Orders};

/// One type for all kinds. It holds nothing: what it does is ordered anew for each call.
#[derive(Debug, Default)]
struct Misbehaver;

/// Follows orders for a function. The text, if any, is what an effect brought.
fn obey(function: &str) -> Result<Option<String>, Error> {
    let orders = Orders::load()?;
    if orders.concern(function) {
        deed::perform(&orders)
    } else {
        Ok(None)
    }
}

/// For functions that cannot return an error.
fn obey_or_log(function: &str) {
    if let Err(error) = obey(function) {
        log::error(format!("{function}: {error}"));
    }
}

impl Provider for Misbehaver {
    fn describe(&self) -> Description {
        obey_or_log("describe");
        Description {
            ids: vec!["misbehaver".to_owned()],
            name: "Misbehaver".to_owned(),
            ..Description::default()
        }
    }

    fn configure(&mut self, _id: &str, table: &Map<String, Value>) -> Result<Endpoint, Error> {
        obey("configure")?;
        let base_url = table
            .get("base_url")
            .and_then(Value::as_str)
            .unwrap_or("http://127.0.0.1:9/v1");
        Ok(Endpoint {
            name: "Misbehaver".to_owned(),
            base_url: base_url.to_owned(),
            query: vec![],
            headers: vec![],
            capabilities: None,
        })
    }

    fn prepare(&mut self, _scope: &Scope) -> Result<Prepared, Error> {
        let text = obey("prepare")?.unwrap_or_else(|| "well".to_owned());
        Ok(Prepared::header(Header::plain("x-misbehaver", text)))
    }

    fn authorize(
        &mut self,
        _scope: &Scope,
        _head: &RequestHead,
        _body_sha256: &[u8; 32],
    ) -> Result<Vec<Header>, Error> {
        Ok(obey("authorize")?
            .map(|text| Header::plain("x-misbehaver", text))
            .into_iter()
            .collect())
    }

    fn classify(&self, _status: u16, _headers: &[PlainHeader], _excerpt: &str) -> Failure {
        obey_or_log("classify");
        Failure::new(FailureKind::Unknown)
    }

    fn recover(&mut self, _scope: &Scope, _failure: &Failure) -> Result<Recovery, Error> {
        obey("recover")?;
        Ok(Recovery::Unchanged)
    }

    fn list_models(&mut self, _scope: &Scope) -> Result<Vec<Model>, Error> {
        obey("list-models")?;
        Ok(vec![Model {
            slug: "tame-1".to_owned(),
            display_name: Some("Tame".to_owned()),
            context_window: Some(40_000),
            reasoning_efforts: vec!["low".to_owned()],
            parallel_tool_calls: false,
        }])
    }
}

impl Hooks for Misbehaver {
    fn subscriptions(&self) -> Vec<hooks::Subscription> {
        obey_or_log("hook-subscriptions");
        let observer = Orders::load().is_ok_and(|orders| orders.observer);
        let subscribe = if observer {
            hooks::Subscription::observer
        } else {
            hooks::Subscription::gate
        };
        ["PreToolUse", "UserPromptSubmit"]
            .map(|event| subscribe(event.to_owned(), "*".to_owned()))
            .into()
    }

    fn handle(&mut self, event: hooks::Event) -> Result<Outcome, Error> {
        let orders = Orders::load()?;
        let function = format!("handle:{}", event.name);
        if !orders.concern("handle") && !orders.concern(&function) {
            return Ok(hooks::no_opinion());
        }
        Ok(match orders.behave {
            Behaviour::Deny => hooks::deny("denied as ordered"),
            // Not a JSON object, which is what a tool's input must be.
            Behaviour::BadReturn => hooks::rewrite_prompt("{not json"),
            _ => match deed::perform(&orders)? {
                Some(text) => hooks::no_opinion().with_context(text),
                None => hooks::no_opinion(),
            },
        })
    }
}

impl Tools for Misbehaver {
    fn list_tools(&mut self) -> Result<Vec<Tool>, Error> {
        obey("list-tools")?;
        let schema = json!({ "type": "object", "properties": {} });
        Ok(vec![Tool::new(
            "obey",
            "Follows the orders in the configuration",
            schema,
        )])
    }

    fn call_tool(&mut self, _call: Call) -> Result<CallResult, Error> {
        let text = obey("call-tool")?;
        Ok(CallResult::text(text.unwrap_or_else(|| "well".to_owned())))
    }
}

impl Sink for Misbehaver {
    fn subscriptions(&self) -> sink::Subscription {
        obey_or_log("sink-subscriptions");
        sink::Subscription::to(["*"], FieldClasses::BASIC)
    }

    fn open(&mut self, _config_json: &str) -> Result<(), Error> {
        obey("open")?;
        Ok(())
    }

    fn deliver(&mut self, batch: Vec<sink::Event>) -> Result<Ack, Error> {
        let orders = Orders::load()?;
        if !orders.concern("deliver") {
            return Ok(Ack::Accepted);
        }
        match orders.behave {
            Behaviour::Retry => Ok(Ack::Retry(orders.amount)),
            Behaviour::Reject => Ok(Ack::Reject(
                batch.into_iter().map(|event| event.id).collect(),
            )),
            // An id that was never delivered.
            Behaviour::BadReturn => Ok(Ack::Reject(vec!["no such event".to_owned()])),
            _ => deed::perform(&orders).map(|_| Ack::Accepted),
        }
    }

    fn close(&mut self) -> Result<(), Error> {
        obey("close")?;
        Ok(())
    }
}

export_provider!(Misbehaver);
export_hooks!(Misbehaver);
export_tools!(Misbehaver);
export_sink!(Misbehaver);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_orders_it_behaves() {
        assert_eq!(obey("handle"), Ok(None));
        let event = hooks::Event::of_tool("PreToolUse", "Bash", &json!({ "command": "ls" }));
        assert_eq!(Misbehaver.handle(event), Ok(hooks::no_opinion()));
        assert_eq!(Misbehaver.deliver(vec![]), Ok(Ack::Accepted));
    }
}
