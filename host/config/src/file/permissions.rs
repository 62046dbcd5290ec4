//! Tables about what commands may do and see, and about projects.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::enums::{ApprovalPolicy, HistoryPersistence, InheritEnv, TrustLevel};

/// More about the sandbox mode `workspace-write`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct WorkspaceWriteTable {
    /// Directories that may be written besides the working directory. Relative ones start at the file's directory.
    pub(crate) writable_roots: Option<Vec<String>>,
    /// Whether commands may use the network.
    pub(crate) network_access: Option<bool>,
    /// Whether `$TMPDIR` stays read-only.
    pub(crate) exclude_tmpdir_env_var: Option<bool>,
    /// Whether `/tmp` stays read-only.
    pub(crate) exclude_slash_tmp: Option<bool>,
}

/// Which variables commands get.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct ShellEnvironmentTable {
    /// Where to start from.
    pub(crate) inherit: Option<InheritEnv>,
    /// Whether variables that look like credentials are kept.
    pub(crate) ignore_default_excludes: Option<bool>,
    /// Patterns of names to remove.
    pub(crate) exclude: Option<Vec<String>>,
    /// Variables to set.
    pub(crate) set: Option<BTreeMap<String, String>>,
    /// Patterns of names that alone are kept; empty for all.
    pub(crate) include_only: Option<Vec<String>>,
    /// Whether commands run in the user's login shell.
    #[schemars(extend("x-not-supported" = "commands say themselves whether they want a login shell"))]
    experimental_use_profile: Option<bool>,
}

/// What is kept of prompts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct HistoryTable {
    /// How much.
    pub(crate) persistence: Option<HistoryPersistence>,
    /// The most bytes of it.
    pub(crate) max_bytes: Option<u64>,
}

/// A project.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct ProjectTable {
    /// Whether its own configuration and plugins are read.
    trust_level: Option<TrustLevel>,
}

/// When to ask a person: a word, or a table of single questions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ApprovalSetting(pub(crate) ApprovalPolicy);

impl<'de> Deserialize<'de> for ApprovalSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrTable;
        impl<'de> Visitor<'de> for WordOrTable {
            type Value = ApprovalPolicy;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a table")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<ApprovalPolicy, E> {
                ApprovalPolicy::parse(word)
                    .ok_or_else(|| E::unknown_variant(word, ApprovalPolicy::VARIANTS))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ApprovalPolicy, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(ApprovalPolicy::Granular)
            }
        }
        deserializer.deserialize_any(WordOrTable).map(Self)
    }
}

impl JsonSchema for ApprovalSetting {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ApprovalSetting".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "enum": ApprovalPolicy::VARIANTS },
                { "type": "object", "properties": { "granular": { "type": "object" } } },
            ]
        })
    }
}
