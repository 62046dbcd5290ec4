//! The configuration as it is shown to people: every value, where it came from, what it overrode, and no secrets.

use serde_json::Value;

use crate::json_schema::{self, Described};
use crate::layer::Place;
use crate::redact;
use crate::settings::Config;
use crate::tree::{self, Node, Table};

/// A setting in force.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownValue {
    /// The dotted key.
    pub key: String,
    /// The value; secrets are masked.
    pub value: Value,
    /// Where it was set.
    pub place: Place,
}

/// A setting with its story.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The dotted key.
    pub key: String,
    /// What it is for; none for keys that a person or a plugin names.
    pub meaning: Option<String>,
    /// Its value and where it was set; none where nobody sets it.
    pub set: Option<(Value, Place)>,
    /// The values below it that it overrode, the nearest first.
    pub overrode: Vec<(Value, Place)>,
    /// Why it does nothing; none where it does something.
    pub not_supported: Option<String>,
}

/// Why a key cannot be explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// It is not a dotted key.
    #[error("`{0}` is not a dotted key")]
    NotAKey(String),
    /// There is no such setting.
    #[error("`{key}` is not a known setting")]
    Unknown {
        /// The key.
        key: String,
        /// A known one that looks like it.
        nearest: Option<String>,
    },
}

impl Config {
    /// Every setting in force, sorted by key. Settings that do not exist are among them.
    pub fn shown(&self) -> Vec<ShownValue> {
        let mut values = Vec::new();
        self.each_value(&self.table, &mut Vec::new(), &mut |path, node, place| {
            values.push(ShownValue {
                key: tree::dotted(path),
                value: redact::shown(path, &node.to_json()),
                place,
            });
        });
        values
    }

    /// The same as one JSON object.
    pub fn shown_json(&self) -> Value {
        redact::shown(&[], &Node::Table(self.table.clone()).to_json())
    }

    /// Explains all settings in force, or one key, or all below a table.
    ///
    /// # Errors
    /// The key is none, or names no setting.
    pub fn explain(&self, key: Option<&str>) -> Result<Vec<Explained>, ExplainError> {
        let schema = json_schema::config_schema();
        let mut explained = Vec::new();
        let mut add = |path: &[&str], node: &Node, place| {
            // Keys that do not exist are reported elsewhere, and here shown like any other.
            let described = json_schema::describe(&schema, path).unwrap_or_default();
            explained.push(self.story(path, Some((node, place)), described));
        };
        let Some(key) = key else {
            self.each_value(&self.table, &mut Vec::new(), &mut add);
            return Ok(explained);
        };
        let parsed =
            toml_edit::Key::parse(key).map_err(|_| ExplainError::NotAKey(key.to_owned()))?;
        let path: Vec<&str> = parsed.iter().map(toml_edit::Key::get).collect();
        let described = json_schema::describe(&schema, &path);
        match (tree::get(&self.table, &path), described) {
            (Some(entry), _) => {
                match &entry.node {
                    Node::Table(table) => {
                        self.each_value(table, &mut path.clone(), &mut add);
                    }
                    Node::Leaf(_) => add(&path, &entry.node, self.place_of(entry)),
                }
                Ok(explained)
            }
            (None, Ok(described)) => Ok(vec![self.story(&path, None, described)]),
            (None, Err(nearest)) => Err(ExplainError::Unknown {
                key: tree::dotted(&path),
                nearest: nearest.map(|last| {
                    let parents = &path[..path.len() - 1];
                    tree::dotted(&[parents, &[last.as_str()]].concat())
                }),
            }),
        }
    }

    fn story(&self, path: &[&str], set: Option<(&Node, Place)>, described: Described) -> Explained {
        let masked = |node: &Node| redact::shown(path, &node.to_json());
        let winner = tree::get(&self.table, path).map(|entry| entry.origin.layer);
        let below = self
            .layers
            .iter()
            .enumerate()
            .rev()
            .filter_map(|(at, layer)| {
                let entry = tree::get(&layer.table, path)?;
                (winner.is_some_and(|winner| at < usize::from(winner)))
                    .then(|| (masked(&entry.node), layer.place(entry.origin.line)))
            });
        Explained {
            key: tree::dotted(path),
            meaning: described.meaning,
            set: set.map(|(node, place)| (masked(node), place)),
            overrode: below.collect(),
            not_supported: described.idle,
        }
    }

    fn each_value<'t>(
        &self,
        table: &'t Table,
        path: &mut Vec<&'t str>,
        visit: &mut dyn FnMut(&[&str], &Node, Place),
    ) {
        for (key, entry) in table {
            path.push(key);
            match &entry.node {
                Node::Table(inner) if !inner.is_empty() => self.each_value(inner, path, visit),
                Node::Table(_) | Node::Leaf(_) => visit(path, &entry.node, self.place_of(entry)),
            }
            path.pop();
        }
    }
}
