//! Reads typed values out of a configuration table, with errors that name the key.

use serde_json::{Map, Value};

use crate::Error;

/// A table with the path it was found at. Values of the wrong type are never repeated: one might be a credential.
///
/// ```
/// use dovetail_plugin_api::TableReader;
/// use serde_json::json;
///
/// let table = json!({ "timeout_ms": "5s" });
/// let reader = TableReader::new("model_providers.acme.auth", table.as_object().unwrap());
/// let error = reader.number("timeout_ms").unwrap_err();
/// assert_eq!(error.to_string(), "model_providers.acme.auth: timeout_ms must be a whole number, not a text");
/// ```
#[derive(Debug, Clone)]
pub struct TableReader<'a> {
    path: String,
    table: &'a Map<String, Value>,
}

impl<'a> TableReader<'a> {
    /// Reads from a table; `path` starts every error.
    pub fn new(path: impl Into<String>, table: &'a Map<String, Value>) -> Self {
        Self {
            path: path.into(),
            table,
        }
    }

    /// A text.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is something else.
    pub fn text(&self, key: &str) -> Result<Option<String>, Error> {
        self.read(key, "a text", |value| value.as_str().map(str::to_owned))
    }

    /// Yes or no.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is something else.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, Error> {
        self.read(key, "true or false", Value::as_bool)
    }

    /// A whole number, not below zero.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is something else.
    pub fn number(&self, key: &str) -> Result<Option<u64>, Error> {
        self.read(key, "a whole number", Value::as_u64)
    }

    /// A list of texts.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is something else.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<String>>, Error> {
        self.read(key, "a list of texts", |value| {
            value
                .as_array()?
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect()
        })
    }

    /// A table.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is something else.
    pub fn table(&self, key: &str) -> Result<Option<Map<String, Value>>, Error> {
        self.read(key, "a table", |value| value.as_object().cloned())
    }

    /// A table of texts, in the order they were written; empty where there is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it, or one of its values, is something else.
    pub fn texts_by_name(&self, key: &str) -> Result<Vec<(String, String)>, Error> {
        let table = self.table(key)?.unwrap_or_default();
        let entry = |(name, value): (&String, &Value)| match value.as_str() {
            Some(text) => Ok((name.clone(), text.to_owned())),
            None => Err(self.wrong_type(&format!("{key}.{name}"), "a text", value)),
        };
        table.iter().map(entry).collect()
    }

    /// An error about this table.
    pub fn error(&self, text: &str) -> Error {
        Error::Invalid(format!("{}: {text}", self.path))
    }

    fn read<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        match self.table.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => convert(value)
                .map(Some)
                .ok_or_else(|| self.wrong_type(key, expected, value)),
        }
    }

    fn wrong_type(&self, key: &str, expected: &str, value: &Value) -> Error {
        let found = match value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "a table",
        };
        self.error(&format!("{key} must be {expected}, not {found}"))
    }
}
