//! The resolved configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use dovetail_models::{ModelPatch, ReasoningSummary, Verbosity};
use serde_json::{Value, json};

use crate::enums::{
    ApprovalPolicy, CompactLimitScope, HistoryPersistence, InheritEnv, LoginMethod, LoginStore,
    SandboxMode, WebSearchMode,
};
use crate::error::ConfigError;
use crate::features::{FEATURES, Feature};
use crate::layer::{Layer, Place};
use crate::project::Project;
use crate::providers;
use crate::tree::{self, Entry, Node, Table};

/// The configuration that holds, after all layers. Pass on its fields, not the whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// `$CODEX_HOME`. It may not exist.
    pub home: PathBuf,
    /// The working directory it was resolved for.
    pub cwd: PathBuf,
    /// The project around the working directory.
    pub project: Project,
    /// The model, where chosen.
    pub model: Option<String>,
    /// The model of reviews, where it is another one.
    pub review_model: Option<String>,
    /// The provider's id.
    pub model_provider: String,
    /// The users' tables of providers, by id; only the plugin that serves one understands it.
    pub model_providers: BTreeMap<String, Value>,
    /// The local server that `--oss` means where nothing else says which.
    pub oss_provider: Option<String>,
    /// Another base URL for the built-in provider.
    pub openai_base_url: Option<String>,
    /// Logins: where they are kept, and which are allowed.
    pub login: LoginSettings,
    /// Entries to add to the metadata of requests.
    pub responses_api_metadata: BTreeMap<String, String>,
    /// When to ask a person.
    pub approval_policy: Option<ApprovalPolicy>,
    /// What commands may do.
    pub sandbox_mode: Option<SandboxMode>,
    /// More about `workspace-write`.
    pub sandbox_workspace_write: WorkspaceWrite,
    /// Reasoning effort, passed on as it is.
    pub model_reasoning_effort: Option<String>,
    /// Reasoning summaries.
    pub model_reasoning_summary: Option<ReasoningSummary>,
    /// How wordy answers are.
    pub model_verbosity: Option<Verbosity>,
    /// A file with a catalogue to use instead of the built-in one.
    pub model_catalog: Option<PathBuf>,
    /// What the limit counts after which a conversation is compacted.
    pub compact_limit_scope: CompactLimitScope,
    /// Another prompt to sum a conversation up with.
    pub compact_prompt: Option<String>,
    /// A file with such a prompt, for where there is none here.
    pub compact_prompt_file: Option<PathBuf>,
    /// How requests are queued.
    pub service_tier: Option<String>,
    /// The hosted web search.
    pub web_search: Option<WebSearchMode>,
    /// How `AGENTS.md` files are collected.
    pub project_docs: ProjectDocSettings,
    /// Which variables commands get.
    pub shell_environment_policy: ShellEnvironmentPolicy,
    /// A program to call after each turn; empty for none.
    pub notify: Vec<String>,
    /// Instructions of the user's own to the model.
    pub developer_instructions: Option<String>,
    /// A file with other base instructions.
    pub model_instructions_file: Option<PathBuf>,
    /// Other base instructions, where no file has them.
    pub instructions: Option<String>,
    /// Features that are switched on or off, by the names that were used. See [`Config::feature`].
    pub features: BTreeMap<String, bool>,
    /// What is kept of prompts.
    pub history: History,
    /// Tool servers, by name, as written.
    pub mcp_servers: BTreeMap<String, Value>,
    /// Whether reasoning summaries stay out of sight.
    pub hide_agent_reasoning: bool,
    /// Whether reasoning is shown in full.
    pub show_raw_agent_reasoning: bool,
    /// What is Dovetail's own.
    pub dovetail: Dovetail,
    /// What a person should know: ignored settings of projects and the like.
    pub warnings: Vec<String>,
    /// Settings that do not exist and had no effect.
    pub unknown_keys: Vec<UnknownKey>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) table: Table,
}

/// Logins: where they are kept, and which are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSettings {
    /// Where a login is kept.
    pub store: LoginStore,
    /// The only kind that is allowed.
    pub forced_method: Option<LoginMethod>,
    /// The only workspaces whose logins are allowed; empty for all.
    pub forced_workspaces: Vec<String>,
    /// Another base URL for the service behind accounts.
    pub chatgpt_base_url: Option<String>,
}

/// More about the sandbox mode `workspace-write`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceWrite {
    /// Directories that may be written besides the working directory, absolute.
    pub writable_roots: Vec<PathBuf>,
    /// Whether commands may use the network.
    pub network_access: bool,
    /// Whether `$TMPDIR` stays read-only.
    pub exclude_tmpdir_env_var: bool,
    /// Whether `/tmp` stays read-only.
    pub exclude_slash_tmp: bool,
}

/// How `AGENTS.md` files are collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectDocSettings {
    /// Bytes that the files of the project may have together.
    pub max_bytes: u64,
    /// Names to look for where there is no `AGENTS.md`.
    pub fallback_filenames: Vec<String>,
}

/// Which variables commands get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellEnvironmentPolicy {
    /// Where to start from.
    pub inherit: InheritEnv,
    /// Whether variables that look like credentials are kept.
    pub ignore_default_excludes: bool,
    /// Patterns of names to remove.
    pub exclude: Vec<String>,
    /// Variables to set.
    pub set: BTreeMap<String, String>,
    /// Patterns of names that alone are kept; empty for all.
    pub include_only: Vec<String>,
}

/// What is kept of prompts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// How much.
    pub persistence: HistoryPersistence,
    /// The most bytes of it.
    pub max_bytes: Option<u64>,
}

/// The table `[dovetail]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dovetail {
    /// Whether a plugin that cannot be loaded is an error.
    pub strict: bool,
    /// Whether native plugins may be loaded at all.
    pub allow_native: bool,
    /// The credential policy: `strict` or `compat`.
    pub auth_policy: String,
    /// Origins to which the login of an account may go besides OpenAI's own.
    pub login_origins: Vec<String>,
    /// Whether a project's committed lock is as good as a grant; none where nobody said.
    pub accept_project_lock: Option<bool>,
    /// Minisign public keys, by the names that the user gave them.
    pub trusted_keys: BTreeMap<String, String>,
    /// Which plugins may be used; none where all may.
    pub plugin_policy: Option<PluginPolicy>,
    /// Whether WebSockets are used at all, for providers that have them.
    pub websockets: bool,
    /// The longest wait for a WebSocket, in milliseconds, where the provider's table does not say.
    pub websocket_connect_timeout_ms: u64,
    /// Settings of plugins, by id.
    pub plugins: BTreeMap<String, PluginSettings>,
}

/// Which plugins may be used, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginPolicy {
    /// Minisign public keys.
    pub keys: Vec<String>,
    /// SHA-256 digests of components.
    pub digests: Vec<String>,
    /// Places that packages come from.
    pub sources: Vec<String>,
    /// Where it was set.
    pub place: Place,
}

/// The table `[dovetail.plugins.<id>]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PluginSettings {
    /// Whether it is used; none where nobody said.
    pub enabled: Option<bool>,
    /// Whether there is no session without it.
    pub required: bool,
    /// What the plugin itself is told, as JSON.
    pub config: Option<Value>,
    /// Secret slots: each names one source (`env`, `file`, `command`, …). Never a secret itself.
    pub secrets: BTreeMap<String, Value>,
    /// The whole table as JSON, for keys that only the plugin host understands.
    pub table: Value,
}

/// A setting that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// The dotted key.
    pub key: String,
    /// Where it was set.
    pub place: Place,
    /// A known key that looks like it.
    pub nearest: Option<String>,
}

/// Settings for whichever model is used, and the fact that each stands for.
const MODEL_SETTINGS: &[(&str, &str)] = &[
    ("model_auto_compact_token_limit", "auto_compact_token_limit"),
    ("model_context_window", "context_window"),
    (
        "model_supports_reasoning_summaries",
        "supports_reasoning_summaries",
    ),
    ("tool_output_token_limit", "truncation_policy"),
];

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            place,
            nearest,
        } = self;
        write!(
            f,
            "`{key}` in {place} is not a known setting and has no effect"
        )?;
        match nearest {
            Some(nearest) => write!(f, " (did you mean `{nearest}`?)"),
            None => Ok(()),
        }
    }
}

impl Config {
    /// Checks that somebody serves the chosen provider: the host, a table, or one of the plugins' ids.
    ///
    /// # Errors
    /// Names the provider, where it was chosen, and those that exist.
    pub fn check_provider<'a>(
        &self,
        plugin_ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), ConfigError> {
        let id = self.model_provider.as_str();
        let mut known: Vec<String> = providers::BUILT_IN_PROVIDERS
            .iter()
            .map(|id| (*id).to_owned())
            .collect();
        known.extend(self.model_providers.keys().cloned());
        known.extend(plugin_ids.into_iter().map(str::to_owned));
        if known.iter().any(|candidate| candidate == id) {
            return Ok(());
        }
        known.sort();
        known.dedup();
        let place = self
            .place(&["model_provider"])
            .unwrap_or_else(|| self.layers[0].place(0));
        Err(ConfigError::UnknownProvider {
            id: id.to_owned(),
            place,
            known,
        })
    }

    /// Where a setting was set; none where it was not.
    pub fn place(&self, path: &[&str]) -> Option<Place> {
        tree::get(&self.table, path).map(|entry| self.place_of(entry))
    }

    pub(crate) fn place_of(&self, entry: &Entry) -> Place {
        self.layers[usize::from(entry.origin.layer)].place(entry.origin.line)
    }

    /// Whether a feature is on.
    pub fn feature(&self, feature: &Feature) -> bool {
        // Of several names for one feature, its own counts.
        let said = self.features.get(feature.name).or_else(|| {
            let mut others = self.features.iter();
            others
                .find(|(name, _)| Feature::find(name).map(|found| found.name) == Some(feature.name))
                .map(|(_, on)| on)
        });
        feature.effective(said.copied())
    }

    /// The features that can be switched, and those of other clients that somebody speaks of; sorted by name.
    pub fn listed_features(&self) -> Vec<&'static Feature> {
        let spoken_of = self.features.keys().filter_map(|name| Feature::find(name));
        let mut listed: Vec<&Feature> = FEATURES.iter().chain(spoken_of).collect();
        listed.sort_by_key(|feature| feature.name);
        listed.dedup_by_key(|feature| feature.name);
        listed
    }

    /// Whether the feature of this name is on; one that does not exist never is.
    pub fn has_feature(&self, name: &str) -> bool {
        Feature::find(name).is_some_and(|feature| self.feature(feature))
    }

    /// The models that tables of the user's describe.
    pub fn described_models(&self) -> Vec<String> {
        match tree::get(&self.table, &["dovetail", "models"]) {
            Some(Entry {
                node: Node::Table(models),
                ..
            }) => models.keys().cloned().collect(),
            Some(_) | None => Vec::new(),
        }
    }

    /// Whether a table of the user's describes a model.
    pub fn describes_model(&self, slug: &str) -> bool {
        tree::get(&self.table, &["dovetail", "models", slug]).is_some()
    }

    /// What the user says of a model, weakest first: one fact each, and where it was said. A higher layer beats a lower
    /// one; within a layer, the model's own table beats the settings for all models.
    pub fn model_overrides(&self, slug: &str) -> Vec<(ModelPatch, Place)> {
        let general = MODEL_SETTINGS.iter().filter_map(|(key, field)| {
            let entry = self.table.get(*key)?;
            let value = match *field {
                "truncation_policy" => json!({"mode": "tokens", "limit": entry.node.to_json()}),
                _ => entry.node.to_json(),
            };
            Some((entry, *field, false, value))
        });
        let own = match tree::get(&self.table, &["dovetail", "models", slug]) {
            Some(Entry {
                node: Node::Table(fields),
                ..
            }) => Some(fields),
            Some(_) | None => None,
        };
        let own = own
            .into_iter()
            .flatten()
            .map(|(field, entry)| (entry, field.as_str(), true, entry.node.to_json()));
        let mut said: Vec<_> = general.chain(own).collect();
        said.sort_by_key(|(entry, _, own, _)| (entry.origin.layer, *own));
        said.into_iter()
            .filter_map(|(entry, field, _, value)| {
                // Loading has read all of it already, so that only unknown fields are left out here.
                let patch = serde_json::from_value(json!({ field: value })).ok()?;
                Some((patch, self.place_of(entry)))
            })
            .collect()
    }

    /// The files that were read, lowest layer first.
    pub fn files(&self) -> Vec<&std::path::Path> {
        self.layers
            .iter()
            .filter_map(|layer| layer.path.as_deref())
            .collect()
    }
}
