//! Typed access to the merged tree; every refusal names the key and where it was set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::ConfigError;
use crate::layer::{Layer, Place};
use crate::tree::{self, Entry, Node, Table};

/// A value that a setting can have.
pub(crate) trait Setting: Sized {
    /// Reads it, or says what is wrong.
    fn read(value: &Value) -> Result<Self, String>;
}

impl Setting for String {
    fn read(value: &Value) -> Result<Self, String> {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| expected("a string", value))
    }
}

impl Setting for bool {
    fn read(value: &Value) -> Result<Self, String> {
        value
            .as_bool()
            .ok_or_else(|| expected("true or false", value))
    }
}

impl Setting for u64 {
    fn read(value: &Value) -> Result<Self, String> {
        value
            .as_u64()
            .ok_or_else(|| expected("a whole number, 0 or more", value))
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &Value) -> Result<Self, String> {
        let items = value
            .as_array()
            .ok_or_else(|| expected("an array", value))?;
        items.iter().map(T::read).collect()
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    fn read(value: &Value) -> Result<Self, String> {
        let fields = value
            .as_object()
            .ok_or_else(|| expected("a table", value))?;
        fields
            .iter()
            .map(|(key, value)| T::read(value).map(|value| (key.clone(), value)))
            .collect()
    }
}

/// Any value at all, for tables that somebody else understands.
impl Setting for Value {
    fn read(value: &Value) -> Result<Self, String> {
        Ok(value.clone())
    }
}

/// Says what was expected and what kind of value is there; never the value, which may be a secret.
pub(crate) fn expected(what: &str, found: &Value) -> String {
    let found = match found {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "a table",
    };
    format!("expected {what}, found {found}")
}

/// Reads settings out of the merged tree.
pub(crate) struct Reader<'t> {
    pub(crate) table: &'t Table,
    pub(crate) layers: &'t [Layer],
    /// The directory that relative paths of overrides and defaults start at.
    pub(crate) cwd: &'t Path,
}

impl Reader<'_> {
    /// A setting that may be missing.
    pub(crate) fn optional<T: Setting>(&self, path: &[&str]) -> Result<Option<T>, ConfigError> {
        let Some(entry) = tree::get(self.table, path) else {
            return Ok(None);
        };
        T::read(&entry.node.to_json())
            .map(Some)
            .map_err(|problem| self.invalid(path, entry, problem))
    }

    /// A setting that the defaults always have.
    pub(crate) fn defaulted<T: Setting>(&self, path: &[&str]) -> Result<T, ConfigError> {
        self.optional(path)?.ok_or_else(|| ConfigError::Invalid {
            key: tree::dotted(path),
            place: self.layers[0].place(0),
            problem: "it has no default".to_owned(),
        })
    }

    /// A path; a relative one starts at the directory of the file that has it.
    pub(crate) fn path(&self, path: &[&str]) -> Result<Option<PathBuf>, ConfigError> {
        let text: Option<String> = self.optional(path)?;
        Ok(text.map(|text| self.base(path).join(text)))
    }

    /// Several paths, as above.
    pub(crate) fn paths(&self, path: &[&str]) -> Result<Vec<PathBuf>, ConfigError> {
        let texts: Vec<String> = self.optional(path)?.unwrap_or_default();
        let base = self.base(path);
        Ok(texts.into_iter().map(|text| base.join(text)).collect())
    }

    /// Where a setting was set, if it was.
    pub(crate) fn place(&self, path: &[&str]) -> Option<Place> {
        tree::get(self.table, path).map(|entry| self.place_of(entry))
    }

    pub(crate) fn place_of(&self, entry: &Entry) -> Place {
        self.layers[usize::from(entry.origin.layer)].place(entry.origin.line)
    }

    pub(crate) fn invalid(&self, path: &[&str], entry: &Entry, problem: String) -> ConfigError {
        ConfigError::Invalid {
            key: tree::dotted(path),
            place: self.place_of(entry),
            problem,
        }
    }

    /// The tables under a table, as JSON by name.
    pub(crate) fn tables(&self, key: &str) -> Result<BTreeMap<String, Value>, ConfigError> {
        let Some(entry) = self.table.get(key) else {
            return Ok(BTreeMap::new());
        };
        let Node::Table(tables) = &entry.node else {
            return Err(self.invalid(&[key], entry, expected("a table", &entry.node.to_json())));
        };
        let json = |(name, inner): (&String, &Entry)| match &inner.node {
            Node::Table(_) => Ok((name.clone(), inner.node.to_json())),
            Node::Leaf(value) => Err(self.invalid(&[key, name], inner, expected("a table", value))),
        };
        tables.iter().map(json).collect()
    }

    fn base(&self, path: &[&str]) -> &Path {
        let file = tree::get(self.table, path)
            .and_then(|entry| self.layers[usize::from(entry.origin.layer)].path.as_deref());
        file.and_then(Path::parent).unwrap_or(self.cwd)
    }
}
