//! Arguments of function calls.

use dovetail_core::tool::{CallInput, ToolCall};
use serde::de::{DeserializeOwned, Deserializer, Error, Visitor};
use serde_json::Value;

/// Reads a call's arguments.
///
/// # Errors
/// The text for the model, in the words existing clients use.
pub(crate) fn parse<T: DeserializeOwned>(call: &ToolCall) -> Result<T, String> {
    serde_json::from_str(text(call))
        .map_err(|error| format!("failed to parse function arguments: {error}"))
}

/// Puts other arguments in the place of a call's own.
pub(crate) fn replace(call: ToolCall, arguments: &Value) -> ToolCall {
    ToolCall {
        input: CallInput::Function(arguments.to_string()),
        ..call
    }
}

/// What the model wrote, in whichever form.
pub(crate) fn text(call: &ToolCall) -> &str {
    call.input.text()
}

/// Reads a count that models write as `1000`, `1000.0` or `null`.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Count;
    impl Visitor<'_> for Count {
        type Value = Option<u64>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a number that is not negative")
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(number))
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
            u64::try_from(number)
                .map(Some)
                .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(number), &self))
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
            if number >= 0.0 {
                // Too large a number becomes the largest; limits are applied later.
                Ok(Some(number as u64))
            } else {
                Err(E::invalid_value(
                    serde::de::Unexpected::Float(number),
                    &self,
                ))
            }
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(Count)
}
