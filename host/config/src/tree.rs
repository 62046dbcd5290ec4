//! Settings as a tree whose nodes know where they were set, and how such trees are laid over each other.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::layer::Origin;

/// A setting, or a table of settings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// A value that is replaced as a whole: scalars and arrays.
    Leaf(Value),
    /// A table, merged key by key.
    Table(Table),
}

/// A node and where it was set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) node: Node,
    pub(crate) origin: Origin,
}

/// A table of settings.
pub(crate) type Table = BTreeMap<String, Entry>;

/// Lays `over` on `base`: tables merge by key, everything else replaces.
pub(crate) fn merge(base: &mut Table, over: Table) {
    for (key, entry) in over {
        match (base.get_mut(&key), entry) {
            (
                Some(Entry {
                    node: Node::Table(below),
                    ..
                }),
                Entry {
                    node: Node::Table(above),
                    ..
                },
            ) => {
                merge(below, above);
            }
            (_, entry) => {
                base.insert(key, entry);
            }
        }
    }
}

/// Follows a path of keys.
pub(crate) fn get<'t>(table: &'t Table, path: &[&str]) -> Option<&'t Entry> {
    let (first, rest) = path.split_first()?;
    let entry = table.get(*first)?;
    match (&entry.node, rest) {
        (_, []) => Some(entry),
        (Node::Table(inner), _) => get(inner, rest),
        (Node::Leaf(_), _) => None,
    }
}

/// The table at a key, if there is one.
pub(crate) fn table_at<'t>(table: &'t Table, key: &str) -> Option<&'t Table> {
    match &table.get(key)?.node {
        Node::Table(inner) => Some(inner),
        Node::Leaf(_) => None,
    }
}

/// The table at a key, to change.
pub(crate) fn table_at_mut<'t>(table: &'t mut Table, key: &str) -> Option<&'t mut Table> {
    match &mut table.get_mut(key)?.node {
        Node::Table(inner) => Some(inner),
        Node::Leaf(_) => None,
    }
}

impl Node {
    /// The same as JSON, without origins.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Leaf(value) => value.clone(),
            Self::Table(table) => Value::Object(
                table
                    .iter()
                    .map(|(key, entry)| (key.clone(), entry.node.to_json()))
                    .collect(),
            ),
        }
    }
}

/// A dotted key as TOML would write it: parts that are not bare are quoted.
pub(crate) fn dotted(path: &[&str]) -> String {
    let bare = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let parts: Vec<String> = path
        .iter()
        .map(|part| {
            if bare(part) {
                (*part).to_owned()
            } else {
                Value::from(*part).to_string()
            }
        })
        .collect();
    parts.join(".")
}
