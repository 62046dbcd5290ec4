//! The plugin's own configuration: `[dovetail.plugins.<id>.config]`. Always linked.

use serde::de::DeserializeOwned;

use super::IN_HOST;
use crate::Error;
use crate::bindings::imports::dovetail::plugin::config;

/// The whole table as JSON text; `{}` where there is none, and natively.
pub fn json() -> String {
    if IN_HOST {
        config::all_json()
    } else {
        "{}".to_owned()
    }
}

/// The table as a type of the plugin's.
///
/// # Errors
/// [`Error::Invalid`] says which field is missing or of the wrong kind.
pub fn load<T: DeserializeOwned>() -> Result<T, Error> {
    parse(&json())
}

/// Reads a configuration table that arrived as JSON text, such as the argument of [`Sink::open`](crate::Sink::open).
///
/// # Errors
/// [`Error::Invalid`] says which field is missing or of the wrong kind.
pub fn parse<T: DeserializeOwned>(json: &str) -> Result<T, Error> {
    serde_json::from_str(json)
        .map_err(|error| Error::Invalid(format!("plugin configuration: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natively_there_is_an_empty_table() {
        let table: serde_json::Value = load().expect("an empty table is JSON");
        assert_eq!(table, serde_json::json!({}));
    }
}
