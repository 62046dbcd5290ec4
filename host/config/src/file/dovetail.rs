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
    /// Origins such as `https://llm.example.com` to which the login of an account may go besides OpenAI's own, for providers
    /// with `requires_openai_auth`.
    pub(crate) login_origins: Vec<String>,
    /// Whether a trusted project's committed `plugins.lock` is as good as a grant; where unset, only if `CI` is set in the
    /// environment.
    pub(crate) accept_project_lock: Option<bool>,
    /// Names for minisign public keys, with which packages of plugins may be signed.
    pub(crate) trusted_keys: BTreeMap<String, String>,
    /// Which plugins may be used, besides those that are part of the host or installed for the whole machine. The table is
    /// taken as a whole from the strongest layer that has one.
    pub(crate) plugin_policy: Option<PolicyTable>,
    /// Whether WebSockets are used at all, for providers that have them.
    pub(crate) websockets: Option<bool>,
    /// The longest wait for a WebSocket, in milliseconds, where the provider's table does not say.
    pub(crate) websocket_connect_timeout_ms: Option<u64>,
    /// Facts about models that the catalogue does not have or has wrong, by the model's name.
    pub(crate) models: BTreeMap<String, ModelPatch>,
    /// Settings of plugins, by id.
    pub(crate) plugins: BTreeMap<String, PluginTable>,
}

/// Which plugins may be used: each needs only one of these.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct PolicyTable {
    /// Those whose package is signed with one of these minisign public keys.
    pub(crate) allow_keys: Vec<String>,
    /// Those whose component has one of these SHA-256 digests.
    pub(crate) allow_digests: Vec<String>,
    /// Those that were installed from one of these places, or below one: `oci://…`, `https://…`, `file:/…`, `folder:/…`.
    pub(crate) allow_sources: Vec<String>,
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
    /// Whether there is no session without it.
    pub(crate) required: Option<bool>,
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
