//! The configuration as it is shown to people: every value, where it came from, and no secrets.

use serde_json::Value;

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

impl Config {
    /// Every setting in force, sorted by key. Settings that do not exist are among them.
    pub fn shown(&self) -> Vec<ShownValue> {
        let mut values = Vec::new();
        self.collect(&self.table, &mut Vec::new(), &mut values);
        values
    }

    /// The same as one JSON object.
    pub fn shown_json(&self) -> Value {
        redact::shown(&[], &Node::Table(self.table.clone()).to_json())
    }

    fn collect<'t>(&self, table: &'t Table, path: &mut Vec<&'t str>, values: &mut Vec<ShownValue>) {
        for (key, entry) in table {
            path.push(key);
            match &entry.node {
                Node::Table(inner) if !inner.is_empty() => self.collect(inner, path, values),
                Node::Table(_) | Node::Leaf(_) => values.push(ShownValue {
                    key: tree::dotted(path),
                    value: redact::shown(path, &entry.node.to_json()),
                    place: self.layers[usize::from(entry.origin.layer)].place(entry.origin.line),
                }),
            }
            path.pop();
        }
    }
}
