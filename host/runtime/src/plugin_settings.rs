//! What the caller's configuration says about plugins, as far as it decides whether they may run.

use std::collections::{BTreeMap, BTreeSet};

use dovetail_core::ids::PluginId;
use serde_json::{Map, Value};

use crate::capability::Capabilities;
use crate::digest::Sha256;
use crate::policy::AllowList;

/// What the configuration says.
#[derive(Debug, Clone, Default)]
pub struct PluginSettings {
    /// What it grants built-in plugins; one that is missing gets nothing.
    pub given: BTreeMap<PluginId, Capabilities>,
    /// The digest of each plugin's own part, see [`digest`]; one that is missing has none.
    pub configs: BTreeMap<PluginId, Sha256>,
    /// Which plugins may run at all; none where all may.
    pub allowed: Option<AllowList>,
    /// Plugins without which there is no session.
    pub required: BTreeSet<PluginId>,
    /// Whether native plugins may run.
    pub allow_native: bool,
    /// Whether a project's committed lock is as good as a grant: in CI, where nobody can be asked.
    pub lock_is_trust: bool,
}

impl PluginSettings {
    /// The digest of what a plugin is told.
    pub fn config_of(&self, id: &PluginId) -> Sha256 {
        let none = || digest(&Value::Null, &BTreeMap::new());
        self.configs.get(id).copied().unwrap_or_else(none)
    }
}

/// The digest of what a plugin is told (`config`) and where the configuration says that its secrets come from. The
/// order of keys does not count.
pub fn digest(config: &Value, secrets: &BTreeMap<String, Value>) -> Sha256 {
    let secrets: Map<String, Value> = secrets.clone().into_iter().collect();
    let both = Value::Array(vec![sorted(config), sorted(&Value::Object(secrets))]);
    Sha256::of(both.to_string().as_bytes())
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, Value> = fields
                .iter()
                .map(|(name, value)| (name, sorted(value)))
                .collect();
            Value::Object(
                fields
                    .into_iter()
                    .map(|(name, value)| (name.clone(), value))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_counts_and_the_order_of_keys_does_not() {
        let none = BTreeMap::new();
        let one = digest(&json!({ "a": { "x": 1, "y": [1, 2] }, "b": "t" }), &none);
        let same = digest(&json!({ "b": "t", "a": { "y": [1, 2], "x": 1 } }), &none);
        assert_eq!(one, same);
        let secrets = BTreeMap::from([("slot".to_owned(), json!({ "env": "NAME" }))]);
        let others = [
            digest(&json!({ "a": { "x": 1, "y": [2, 1] }, "b": "t" }), &none),
            digest(&json!({ "a": { "x": 1, "y": [1, 2] }, "b": "u" }), &none),
            digest(&json!({ "a": { "x": 1, "y": [1, 2] }, "b": "t" }), &secrets),
            digest(&Value::Null, &none),
        ];
        assert!(others.iter().all(|other| *other != one));
    }
}
