//! TOML values as what a script needs.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a value as what its place needs; an error says what is wrong and leaves the place to the caller.
pub(super) fn keys<T: DeserializeOwned>(value: toml::Value) -> Result<T, String> {
    value
        .try_into()
        .map_err(|error: toml::de::Error| error.message().to_owned())
}

/// A text as it is, anything else as JSON.
pub(super) fn text_or_json(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        other => to_json(other).to_string(),
    }
}

/// A JSON object, written as a table or as text.
pub(super) fn json_object(value: toml::Value) -> Result<Value, String> {
    let json = match value {
        toml::Value::String(text) => {
            serde_json::from_str(&text).map_err(|error| format!("not valid JSON: {error}"))?
        }
        other => to_json(other),
    };
    if json.is_object() {
        Ok(json)
    } else {
        Err("expected an object".to_owned())
    }
}

/// TOML as JSON; dates become texts.
pub(super) fn to_json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(values) => Value::Array(values.into_iter().map(to_json).collect()),
        toml::Value::Table(table) => Value::Object(
            table
                .into_iter()
                .map(|(key, value)| (key, to_json(value)))
                .collect(),
        ),
    }
}
