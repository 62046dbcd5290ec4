//! Analytics sinks.

use serde_json::{Map, Value, json};

use crate::bindings::sink::exports::dovetail::plugin::sink as contract;
use crate::{Error, date};

/// A field's value.
pub use crate::bindings::sink::exports::dovetail::plugin::sink::Value as FieldValue;
pub use crate::bindings::sink::exports::dovetail::plugin::sink::{
    Ack, Event, Field, FieldClasses, Subscription,
};

/// Receives what happened, in batches, some time later. It can never delay or change a turn.
///
/// One value serves all calls of a component instance; the host replaces an instance that traps or is late, opens the
/// new one and delivers the batch again.
///
/// ```
/// use dovetail_plugin_api::sink::{Ack, Event, FieldClasses, Subscription};
/// use dovetail_plugin_api::{Error, Sink, export_sink, log};
///
/// #[derive(Default)]
/// struct Turns(u64);
///
/// impl Sink for Turns {
///     fn subscriptions(&self) -> Subscription {
///         Subscription::to(["turn.*"], FieldClasses::BASIC)
///     }
///
///     fn deliver(&mut self, batch: Vec<Event>) -> Result<Ack, Error> {
///         self.0 += batch.len() as u64;
///         log::info(format!("{} events so far", self.0));
///         Ok(Ack::Accepted)
///     }
/// }
///
/// export_sink!(Turns);
/// ```
pub trait Sink: Default + 'static {
    /// What this plugin wants. Called once, when the plugin is loaded.
    fn subscriptions(&self) -> Subscription;

    /// Called once per instance before the first batch, with the plugin's configuration as JSON; see
    /// [`config::parse`](crate::config::parse). By default there is nothing to do.
    ///
    /// # Errors
    /// Any error keeps the sink closed, visibly, and is tried again later.
    fn open(&mut self, config_json: &str) -> Result<(), Error> {
        let _ = config_json; // Named for the documentation's sake.
        Ok(())
    }

    /// Takes a batch, in order, at most 100 events. Delivery is at least once: ids tell repeats.
    ///
    /// # Errors
    /// [`Error::Retryable`] has the batch delivered again, any other gives it up, counted.
    fn deliver(&mut self, batch: Vec<Event>) -> Result<Ack, Error>;

    /// The host is about to stop. Called with a short deadline. By default there is nothing to do.
    ///
    /// # Errors
    /// Any error is logged.
    fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl Subscription {
    /// Wants these kinds (`*` for all, `tool.*` for a family) with fields of these classes.
    pub fn to<S: Into<String>>(kinds: impl IntoIterator<Item = S>, classes: FieldClasses) -> Self {
        Self {
            kinds: kinds.into_iter().map(Into::into).collect(),
            classes,
        }
    }
}

impl Event {
    /// The event as a JSON object, in a stable order: `id`, `sequence`, `kind`, `version`, `time` (RFC 3339),
    /// `thread_id`, `turn_id` where there is one, and `fields` by name.
    ///
    /// A field whose JSON cannot be read, and a number that is not finite, become text and null.
    pub fn to_json(&self) -> Value {
        let fields: Map<String, Value> = self
            .fields
            .iter()
            .map(|field| (field.name.clone(), field.value.to_json()))
            .collect();
        let mut event = json!({
            "id": self.id,
            "sequence": self.sequence,
            "kind": self.kind,
            "version": self.version,
            "time": date::rfc3339(self.time_unix_ms),
            "thread_id": self.thread_id,
        });
        if let Some(turn_id) = &self.turn_id {
            event["turn_id"] = json!(turn_id);
        }
        event["fields"] = Value::Object(fields);
        event
    }
}

impl FieldValue {
    fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Int(number) => json!(number),
            Self::Float(number) => json!(number),
            Self::Bool(flag) => json!(flag),
            Self::Json(document) => {
                serde_json::from_str(document).unwrap_or_else(|_| json!(document))
            }
        }
    }
}

/// Makes a type's [`Sink`] implementation the component's `sink` export.
///
/// Outside of wasm it only checks that the type implements the trait, so that crates build and test natively.
#[macro_export]
macro_rules! export_sink {
    ($plugin:ty) => {
        const _: () = {
            type DovetailExport = $crate::sink::Adapter<$plugin>;
            #[cfg(target_family = "wasm")]
    $crate::bindings::sink::export!(DovetailExport with_types_in $crate::bindings::sink);
            const _: Option<DovetailExport> = None;
        };
    };
}

/// Carries a [`Sink`] to the contract's trait.
#[doc(hidden)]
#[derive(Debug)]
pub struct Adapter<T: Sink>(std::marker::PhantomData<T>);

impl<T: Sink> contract::Guest for Adapter<T> {
    fn subscriptions() -> Subscription {
        crate::instance::with(|plugin: &mut T| plugin.subscriptions())
    }

    fn open(config_json: String) -> Result<(), contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.open(&config_json)?))
    }

    fn deliver(batch: Vec<Event>) -> Result<Ack, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.deliver(batch)?))
    }

    fn close() -> Result<(), contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.close()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_becomes_one_flat_object() {
        let field = |name: &str, value| Field {
            name: name.to_owned(),
            class: FieldClasses::BASIC,
            value,
        };
        let event = Event {
            id: "e1".to_owned(),
            sequence: 7,
            kind: "tool.finished".to_owned(),
            version: 1,
            time_unix_ms: 1_794_223_640_250,
            thread_id: "t1".to_owned(),
            turn_id: None,
            fields: vec![
                field("tool", FieldValue::Text("Bash".to_owned())),
                field("exit_code", FieldValue::Int(-1)),
                field("arguments", FieldValue::Json(r#"{"a":[1]}"#.to_owned())),
                field("torn", FieldValue::Json("{".to_owned())),
                field("ratio", FieldValue::Float(f64::NAN)),
            ],
        };
        assert_eq!(
            event.to_json().to_string(),
            concat!(
                r#"{"id":"e1","sequence":7,"kind":"tool.finished","version":1,"time":"2026-11-09T11:27:20.250Z","#,
                r#""thread_id":"t1","fields":{"tool":"Bash","exit_code":-1,"arguments":{"a":[1]},"torn":"{","ratio":null}}"#
            )
        );
    }
}
