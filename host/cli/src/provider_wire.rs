//! Which API a provider's table says its service speaks, and the plugin that comes along and speaks it.

use dovetail_runtime::capability::{Capabilities, SlotName};
use serde_json::{Map, Value, json};

/// The key that says it.
const WIRE_API: &str = "wire_api";
/// Where a table without a `base_url` leads, if it speaks Messages.
const MESSAGES_URL: &str = "https://api.anthropic.com/v1";
/// What of a table concerns the credential alone.
const CREDENTIAL_KEYS: [&str; 6] = [
    "auth",
    "env_key",
    "env_key_instructions",
    "experimental_bearer_token",
    "requires_openai_auth",
    "env_http_headers",
];

/// Another API than Responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuiltinWire {
    /// `wire_api = "chat"`.
    Chat,
    /// `wire_api = "messages"`.
    Messages,
}

impl BuiltinWire {
    /// What a table says; none for Responses, and for what nobody built in speaks: whoever serves the table will say so.
    pub(crate) fn of(table: &Map<String, Value>) -> Option<Self> {
        match table.get(WIRE_API)?.as_str()? {
            "chat" => Some(Self::Chat),
            "messages" => Some(Self::Messages),
            _ => None,
        }
    }

    /// The id of the plugin that speaks it.
    pub(crate) fn plugin(self) -> &'static str {
        match self {
            Self::Chat => "chat-completions",
            Self::Messages => "messages",
        }
    }

    /// Fills in where requests go, whichever plugin has the credential for them.
    pub(crate) fn complete(self, table: &mut Map<String, Value>) {
        if self == Self::Messages {
            table
                .entry("base_url")
                .or_insert_with(|| json!(MESSAGES_URL));
        }
    }

    /// What the plugin gets where it only translates: a slot that nothing fills, since it asks whether there is one.
    pub(crate) fn grant() -> Capabilities {
        let slot = SlotName::parse("config:experimental_bearer_token");
        Capabilities {
            secrets: slot.into_iter().collect(),
            ..Capabilities::default()
        }
    }
}

/// A table for whoever has the credential: which API is spoken is settled.
pub(crate) fn without_wire(table: &Value) -> Value {
    without(table, &[WIRE_API])
}

/// A table for a plugin that only translates.
pub(crate) fn without_credential(table: &Value) -> Value {
    without(&without_wire(table), &CREDENTIAL_KEYS)
}

fn without(table: &Value, keys: &[&str]) -> Value {
    let mut table = table.clone();
    if let Value::Object(fields) = &mut table {
        fields.retain(|key, _| !keys.contains(&key.as_str()));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(table: Value) -> Option<BuiltinWire> {
        BuiltinWire::of(table.as_object().expect("a table"))
    }

    #[test]
    fn tables_name_their_api() {
        assert_eq!(wire(json!({ "wire_api": "chat" })), Some(BuiltinWire::Chat));
        assert_eq!(
            wire(json!({ "wire_api": "messages" })),
            Some(BuiltinWire::Messages)
        );
        for none in [
            json!({}),
            json!({ "wire_api": "responses" }),
            json!({ "wire_api": 1 }),
        ] {
            assert_eq!(wire(none), None);
        }
    }

    #[test]
    fn each_plugin_sees_what_concerns_it() {
        let table = json!({ "name": "A", "wire_api": "chat", "env_key": "K", "base_url": "http://a.example" });
        assert_eq!(
            without_wire(&table),
            json!({ "name": "A", "env_key": "K", "base_url": "http://a.example" })
        );
        assert_eq!(
            without_credential(&table),
            json!({ "name": "A", "base_url": "http://a.example" })
        );
    }
}
