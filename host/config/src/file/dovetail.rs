//! The table `[dovetail]`, which other clients do not have.

use std::collections::BTreeMap;

use dovetail_models::ModelPatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is Dovetail's own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct DovetailTable {
    /// Whether a plugin that cannot be loaded is an error.
    pub(crate) strict: Option<bool>,
    /// Whether native plugins may be loaded at all.
    pub(crate) allow_native: Option<bool>,
    /// What happens where a login's own credential cannot be had: `strict` fails, `compat` falls back.
    pub(crate) auth_policy: Option<AuthPolicy>,
    /// Facts about models that the catalogue does not have or has wrong, by the model's name.
    pub(crate) models: BTreeMap<String, ModelPatch>,
    /// Settings of plugins, by id.
    pub(crate) plugins: BTreeMap<String, PluginTable>,
}

/// What happens where a login's own credential cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AuthPolicy {
    /// The request fails.
    Strict,
    /// Another credential is used.
    Compat,
}

impl AuthPolicy {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Compat => "compat",
        }
    }
}

/// Settings of a plugin.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct PluginTable {
    /// Whether it is used.
    pub(crate) enabled: Option<bool>,
    /// What the plugin itself is told.
    pub(crate) config: Option<Value>,
    /// Secret slots: each names one source (`env`, `file`, `command`, …). Never a secret itself.
    pub(crate) secrets: Option<BTreeMap<String, Value>>,
    /// Classes of event fields that a sink gets.
    classes: Option<Value>,
    /// What it is granted.
    grant: Option<Value>,
    /// Bounds of its calls.
    limits: Option<Value>,
    /// What happens where it fails.
    on_error: Option<Value>,
}
