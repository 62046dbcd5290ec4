//! Features: what can be switched on and off by name, how finished each is, and what holds.
//!
//! A name that other clients know is never an error: it is here with the stage that says whether it does anything.

mod elsewhere;

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Map;

use elsewhere::ELSEWHERE;

/// How finished a feature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureStage {
    /// It works.
    Stable,
    /// It works, and something else should be used.
    Deprecated,
    /// Other clients have it; here it does nothing yet.
    UnderDevelopment,
    /// It cannot be switched any more: what it did is always or never so.
    Removed,
    /// Other clients have it, for a part of theirs that does not exist here.
    Elsewhere,
}

impl FeatureStage {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Deprecated => "deprecated",
            Self::UnderDevelopment => "under development",
            Self::Removed => "removed",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// A feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// How finished it is.
    pub stage: FeatureStage,
    /// Whether it is on where nobody says.
    pub default: bool,
    /// What it does.
    pub meaning: &'static str,
}

const fn stable(name: &'static str, default: bool, meaning: &'static str) -> Feature {
    Feature {
        name,
        stage: FeatureStage::Stable,
        default,
        meaning,
    }
}

const fn deprecated(name: &'static str, meaning: &'static str) -> Feature {
    Feature {
        name,
        stage: FeatureStage::Deprecated,
        default: false,
        meaning,
    }
}

const fn later(name: &'static str, meaning: &'static str) -> Feature {
    Feature {
        name,
        stage: FeatureStage::UnderDevelopment,
        default: false,
        meaning,
    }
}

const fn removed(name: &'static str, always: bool, meaning: &'static str) -> Feature {
    Feature {
        name,
        stage: FeatureStage::Removed,
        default: always,
        meaning,
    }
}

/// All features, sorted by name.
pub const FEATURES: &[Feature] = &[
    stable(
        "api_key_model_discovery",
        true,
        "ask what `model_catalog_url` names for a provider's models",
    ),
    stable(
        "apply_patch_freeform",
        false,
        "offer patches as free text to models that nothing is known of",
    ),
    later("apps", "apps of the service"),
    later(
        "child_agents_md",
        "tell the model about `AGENTS.md` files below",
    ),
    later("code_mode", "call tools from scripts"),
    later("code_mode_only", "call tools from scripts alone"),
    later("codex_git_commit", "commit messages with a trailer"),
    removed("collaboration_modes", false, "there is one mode"),
    later(
        "default_mode_request_user_input",
        "questions outside of plan mode",
    ),
    removed(
        "elevated_windows_sandbox",
        false,
        "Windows is not supported",
    ),
    stable(
        "enable_request_compression",
        true,
        "compress requests to the service behind ChatGPT logins",
    ),
    later(
        "exec_permission_approvals",
        "ask for single rights of a command",
    ),
    removed(
        "experimental_windows_sandbox",
        false,
        "Windows is not supported",
    ),
    stable(
        "fast_mode",
        true,
        "let `service_tier = \"fast\"` reach the service",
    ),
    stable(
        "git_context",
        false,
        "tell the model where the work tree stands",
    ),
    later("goals", "goals of a thread"),
    later(
        "guardian_approval",
        "let a model answer requests for more rights",
    ),
    later(
        "hooks",
        "command hooks of `hooks.json`; hook plugins need no switch",
    ),
    later("image_generation", "make images"),
    removed("item_ids", true, "items always have ids"),
    removed("js_repl", false, "there is no script interpreter"),
    later("memories", "remember across threads"),
    later("multi_agent", "sub-agents"),
    later("multi_agent_v2", "sub-agents with mailboxes"),
    later("personality", "the tone of answers"),
    later("plugins", "plugins of other clients"),
    later("prevent_idle_sleep", "keep the machine awake during a turn"),
    later("realtime_conversation", "speech"),
    removed("remote_models", false, "see `api_key_model_discovery`"),
    later(
        "request_permissions_tool",
        "a tool that asks for more rights",
    ),
    removed("request_rule", true, "a command can always suggest a rule"),
    removed(
        "responses_websockets",
        false,
        "a provider says whether it has WebSockets",
    ),
    removed(
        "responses_websockets_v2",
        false,
        "a provider says whether it has WebSockets",
    ),
    later("runtime_metrics", "figures about each turn"),
    removed("search_tool", false, "see `tool_search`"),
    later("secret_auth_storage", "keep logins encrypted"),
    later(
        "shell_snapshot",
        "run commands with the state of the user's shell",
    ),
    stable("shell_tool", true, "offer commands to the model"),
    later("shell_zsh_fork", "run commands in one shell of its own"),
    later("skill_mcp_dependency_install", "install what skills need"),
    removed("sqlite", true, "threads are always indexed"),
    removed("steer", true, "a running turn can always be told more"),
    later("tool_call_mcp_elicitation", "questions of tool servers"),
    stable(
        "tool_search",
        true,
        "let models that can search for tools of plugins, instead of listing all",
    ),
    later("tool_suggest", "suggest tools to install"),
    removed(
        "tui_app_server",
        false,
        "there is no terminal interface yet",
    ),
    later(
        "unbounded_connection_retries",
        "try for ever where there is no connection",
    ),
    removed("undo", false, "there are no snapshots of the work tree"),
    removed("unified_exec", true, "commands always run in sessions"),
    stable(
        "use_agent_identity",
        false,
        "sign the requests of a ChatGPT login as an agent instead of sending its token",
    ),
    removed("use_legacy_landlock", true, "Landlock is the sandbox here"),
    removed(
        "use_linux_sandbox_bwrap",
        false,
        "Landlock is the sandbox here",
    ),
    stable("view_image", true, "offer the tool that looks at images"),
    deprecated("web_search_cached", "use `web_search = \"cached\"`"),
    deprecated("web_search_request", "use `web_search = \"live\"`"),
];

/// Old names of features.
const ALIASES: &[(&str, &str)] = &[
    ("codex_hooks", "hooks"),
    ("collab", "multi_agent"),
    ("connectors", "apps"),
    (
        "experimental_use_freeform_apply_patch",
        "apply_patch_freeform",
    ),
    ("experimental_use_unified_exec_tool", "unified_exec"),
    ("include_apply_patch_tool", "apply_patch_freeform"),
    ("memory_tool", "memories"),
    ("view_image_tool", "view_image"),
    ("web_search", "web_search_request"),
];

impl Feature {
    /// Finds a feature by its name, or by an old name of it.
    pub fn find(name: &str) -> Option<&'static Self> {
        let name = ALIASES
            .iter()
            .find(|(old, _)| *old == name)
            .map_or(name, |(_, new)| *new);
        let mut known = FEATURES.iter().chain(ELSEWHERE);
        known.find(|feature| feature.name == name)
    }

    /// What holds, given what somebody said. What does nothing here, or cannot be switched, stays as it is.
    pub fn effective(&self, said: Option<bool>) -> bool {
        match self.stage {
            FeatureStage::Stable | FeatureStage::Deprecated => said.unwrap_or(self.default),
            FeatureStage::UnderDevelopment | FeatureStage::Removed | FeatureStage::Elsewhere => {
                self.default
            }
        }
    }
}

/// A name that is close to an unknown one.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    crate::nearest::nearest(name, FEATURES.iter().map(|feature| feature.name))
}

/// What a configuration says of a feature: a truth value, or a table whose `enabled` is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FeatureSetting(pub(crate) bool);

impl<'de> Deserialize<'de> for FeatureSetting {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlagOrTable;
        impl<'de> serde::de::Visitor<'de> for FlagOrTable {
            type Value = bool;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<bool, E> {
                Ok(flag)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
                let fields = serde::de::value::MapAccessDeserializer::new(map);
                let fields = BTreeMap::<String, serde_json::Value>::deserialize(fields)?;
                match fields.get("enabled") {
                    None => Ok(true),
                    Some(enabled) => enabled.as_bool().ok_or_else(|| {
                        serde::de::Error::custom("`enabled` in it is neither true nor false")
                    }),
                }
            }
        }
        deserializer.deserialize_any(FlagOrTable).map(Self)
    }
}

impl JsonSchema for FeatureSetting {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FeatureSetting".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "boolean" },
                { "type": "object", "properties": { "enabled": { "type": "boolean" } } },
            ]
        })
    }
}

/// The schema of `[features]`: every name with its stage and meaning.
pub(crate) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let setting = generator.subschema_for::<FeatureSetting>();
    let one = |description: String, stage: FeatureStage| {
        let mut schema = setting.clone();
        schema.insert("description".to_owned(), description.into());
        let idle = match stage {
            FeatureStage::Stable | FeatureStage::Deprecated => None,
            FeatureStage::UnderDevelopment => Some("it does nothing here yet"),
            FeatureStage::Removed => Some("it cannot be switched"),
            FeatureStage::Elsewhere => Some("it does nothing here"),
        };
        if let Some(idle) = idle {
            schema.insert("x-not-supported".to_owned(), idle.into());
        }
        if matches!(stage, FeatureStage::Deprecated | FeatureStage::Removed) {
            schema.insert("deprecated".to_owned(), true.into());
        }
        serde_json::Value::from(schema)
    };
    let mut properties: Map<String, serde_json::Value> = FEATURES
        .iter()
        .chain(ELSEWHERE)
        .map(|feature| {
            let description = format!("{} ({})", feature.meaning, feature.stage.as_str());
            (feature.name.to_owned(), one(description, feature.stage))
        })
        .collect();
    for (old, new) in ALIASES {
        let description = format!("The old name of `{new}`.");
        properties.insert(
            (*old).to_owned(),
            one(description, FeatureStage::Deprecated),
        );
    }
    json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_sorted_and_old_names_lead_somewhere() {
        assert!(FEATURES.is_sorted_by_key(|feature| feature.name));
        assert!(ELSEWHERE.is_sorted_by_key(|feature| feature.name));
        let twice = FEATURES.iter().find(|feature| {
            let other = |other: &&Feature| other.name == feature.name;
            ELSEWHERE.iter().any(|feature| other(&feature))
        });
        assert_eq!(twice, None);
        for (old, new) in ALIASES {
            assert_eq!(Feature::find(old).map(|feature| feature.name), Some(*new));
        }
        assert_eq!(Feature::find("zebra"), None);
    }

    #[test]
    fn only_what_does_something_can_be_switched() {
        let value = |name, said| Feature::find(name).expect("a feature").effective(said);
        assert!(value("shell_tool", None) && !value("shell_tool", Some(false)));
        assert!(!value("web_search_request", None) && value("web_search_request", Some(true)));
        assert!(!value("multi_agent", Some(true)));
        assert!(value("item_ids", Some(false)));
    }
}
