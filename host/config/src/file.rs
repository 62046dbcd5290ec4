//! The shape of `config.toml`: every setting with its type and meaning.
//!
//! These structures are all there is to it: reading, the naming of unknown keys, the JSON Schema, `config explain` and
//! the reference in the documentation come from them. A setting marked with `x-not-supported` is accepted, since a
//! configuration that other clients accept must not fail here, and people are told why it does nothing.

mod dovetail;
mod mcp;
mod permissions;
mod provider;

use std::collections::BTreeMap;

use dovetail_models::{ReasoningSummary, Verbosity};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

pub(crate) use dovetail::{DovetailTable, PluginTable, PolicyTable};
pub(crate) use mcp::McpServer;
pub(crate) use permissions::{
    ApprovalSetting, HistoryTable, ProjectTable, ShellEnvironmentTable, WorkspaceWriteTable,
};
pub(crate) use provider::ProviderTable;

use crate::enums::{CompactLimitScope, LoginMethod, LoginStore, SandboxMode, WebSearchMode};
use crate::features::FeatureSetting;

/// The configuration of Dovetail: `config.toml`, a profile's file or a project's.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, rename = "Configuration")]
pub(crate) struct ConfigFile {
    /// The model.
    #[schemars(length(min = 1))]
    pub(crate) model: Option<String>,
    /// The model of `exec review`, where that is another one; `--model` beats it.
    pub(crate) review_model: Option<String>,
    /// The id of the provider to ask: `openai`, or one that a table or a plugin serves.
    pub(crate) model_provider: Option<String>,
    /// Providers, by id.
    pub(crate) model_providers: BTreeMap<String, ProviderTable>,
    /// The local provider that `--oss` means: `ollama` or `lmstudio`.
    pub(crate) oss_provider: Option<String>,
    /// Another base URL for the provider `openai`.
    pub(crate) openai_base_url: Option<String>,
    /// Reasoning effort, sent as it is; where unset, the model's default.
    #[schemars(length(min = 1))]
    pub(crate) model_reasoning_effort: Option<String>,
    /// How much of its reasoning the model sums up; where unset, the model's default.
    pub(crate) model_reasoning_summary: Option<ReasoningSummary>,
    /// Whether the model can be asked for summaries of its reasoning, where the catalogue is wrong.
    pub(crate) model_supports_reasoning_summaries: Option<bool>,
    /// How wordy answers are, for models that support it.
    pub(crate) model_verbosity: Option<Verbosity>,
    /// The model's context window in tokens, where the catalogue is wrong.
    pub(crate) model_context_window: Option<u64>,
    /// Tokens of context after which the conversation is compacted; at most, and where unset, nine tenths of the window.
    pub(crate) model_auto_compact_token_limit: Option<u64>,
    /// What that limit counts: `total` for all that the model reads, `body_after_prefix` for what came after the first
    /// request since the conversation began or was compacted last.
    pub(crate) model_auto_compact_token_limit_scope: Option<CompactLimitScope>,
    /// The prompt that sums a conversation up, where the provider's service does not compact it.
    pub(crate) compact_prompt: Option<String>,
    /// A file with that prompt, which `compact_prompt` wins over.
    pub(crate) experimental_compact_prompt_file: Option<String>,
    /// Tokens of a tool's output that the model gets to see.
    pub(crate) tool_output_token_limit: Option<u64>,
    /// A catalogue of models to use instead of the built-in one: `{"models": [{"slug": …}]}`.
    pub(crate) model_catalog_json: Option<String>,
    /// How requests are queued by the service: `fast`, `flex`, `default`, or a queue that the model has. `fast` needs the
    /// feature `fast_mode`.
    pub(crate) service_tier: Option<String>,
    /// Whether the hosted web search is offered; where unset, `cached`, or `live` without a sandbox.
    pub(crate) web_search: Option<WebSearchMode>,
    /// A file with base instructions to use instead of the built-in ones.
    pub(crate) model_instructions_file: Option<String>,
    /// Base instructions to use instead of the built-in ones, where no file has them.
    pub(crate) instructions: Option<String>,
    /// Instructions of the user's own, besides the base instructions.
    pub(crate) developer_instructions: Option<String>,
    /// Entries to add to the metadata of requests.
    pub(crate) responses_api_metadata: BTreeMap<String, String>,
    /// What commands may do.
    pub(crate) sandbox_mode: Option<SandboxMode>,
    /// More about the sandbox mode `workspace-write`.
    pub(crate) sandbox_workspace_write: WorkspaceWriteTable,
    /// Which variables commands get.
    pub(crate) shell_environment_policy: ShellEnvironmentTable,
    /// Bytes that the `AGENTS.md` files of a project may have together.
    pub(crate) project_doc_max_bytes: Option<u64>,
    /// Names to look for in directories without an `AGENTS.md`.
    pub(crate) project_doc_fallback_filenames: Option<Vec<String>>,
    /// Files or directories that mark the root of a project.
    pub(crate) project_root_markers: Option<Vec<String>>,
    /// Projects, by the path of their root. Only the user's own file can trust one.
    pub(crate) projects: BTreeMap<String, ProjectTable>,
    /// Features to switch on or off; see `dovetail features list`.
    #[schemars(schema_with = "crate::features::schema")]
    pub(crate) features: BTreeMap<String, FeatureSetting>,
    /// Whether reasoning summaries are left out of what people see.
    pub(crate) hide_agent_reasoning: Option<bool>,
    /// Whether reasoning is shown in full, where a model sends it.
    pub(crate) show_raw_agent_reasoning: Option<bool>,
    /// A program to call after each turn, with one JSON argument.
    pub(crate) notify: Option<Vec<String>>,
    /// What is Dovetail's own.
    pub(crate) dovetail: DovetailTable,
    /// When to ask a person.
    #[schemars(extend("x-not-supported" = "nobody can be asked yet: every run is `never`"))]
    pub(crate) approval_policy: Option<ApprovalSetting>,
    /// Tool servers, by name.
    #[schemars(extend("x-not-supported" = "MCP servers are not started yet; tool plugins are"))]
    pub(crate) mcp_servers: BTreeMap<String, McpServer>,
    /// What is kept of prompts.
    #[schemars(extend("x-not-supported" = "prompts are kept nowhere but in their threads"))]
    pub(crate) history: HistoryTable,
    /// Limits of sub-agents.
    #[schemars(extend("x-not-supported" = "there are no sub-agents yet"))]
    agents: Anything,
    /// Whether commands may run in a login shell.
    #[schemars(extend("x-not-supported" = "commands say themselves whether they want one"))]
    allow_login_shell: Option<bool>,
    /// Whether the home may be a link.
    #[schemars(extend("x-not-supported" = "it always may"))]
    allow_symlinked_codex_home: Anything,
    /// Product analytics.
    #[schemars(extend("x-not-supported" = "nothing leaves this machine by itself"))]
    analytics: Anything,
    /// Who answers requests for more rights.
    #[schemars(extend("x-not-supported" = "nobody can be asked yet"))]
    approvals_reviewer: Option<String>,
    /// Apps of the service.
    #[schemars(extend("x-not-supported" = "there are no apps"))]
    apps: Anything,
    /// The product that apps are for.
    #[schemars(extend("x-not-supported" = "there are no apps"))]
    apps_mcp_product_sku: Anything,
    /// Devices for speech.
    #[schemars(extend("x-not-supported" = "there is no speech"))]
    audio: Anything,
    /// How a model answers requests for more rights.
    #[schemars(extend("x-not-supported" = "nobody can be asked yet"))]
    auto_review: Anything,
    /// The longest wait for a background command, in milliseconds.
    #[schemars(extend("x-not-supported" = "the built-in limits hold"))]
    background_terminal_max_timeout: Option<u64>,
    /// Where a ChatGPT login is used.
    pub(crate) chatgpt_base_url: Option<String>,
    /// Whether to look for newer versions.
    #[schemars(extend("x-not-supported" = "nobody looks for newer versions"))]
    check_for_update_on_startup: Option<bool>,
    /// Where a login is kept: `file` for `auth.json`, `keyring`, `auto` for the keyring where there is one, `ephemeral` for
    /// nowhere.
    pub(crate) cli_auth_credentials_store: Option<LoginStore>,
    /// Environments of the service.
    #[schemars(extend("x-not-supported" = "there are none"))]
    cloud: Anything,
    /// The trailer of commits.
    #[schemars(extend("x-not-supported" = "commits are the model's own"))]
    commit_attribution: Option<String>,
    /// The permission profile to use.
    #[schemars(extend("x-not-supported" = "`sandbox_mode` decides"))]
    default_permissions: Option<String>,
    /// The desktop application.
    #[schemars(extend("x-not-supported" = "it has no part in this"))]
    desktop: Anything,
    /// How the terminal interface takes pasted text.
    #[schemars(extend("x-not-supported" = "there is no terminal interface yet"))]
    disable_paste_burst: Option<bool>,
    /// The old name of `model_instructions_file`.
    #[schemars(extend("x-not-supported" = "use `model_instructions_file`"))]
    experimental_instructions_file: Option<String>,
    /// Speech.
    #[schemars(extend("x-not-supported" = "there is no speech"))]
    experimental_realtime_start_instructions: Anything,
    /// Speech.
    #[schemars(extend("x-not-supported" = "there is no speech"))]
    experimental_realtime_webrtc_call_base_url: Anything,
    /// Speech.
    #[schemars(extend("x-not-supported" = "there is no speech"))]
    experimental_realtime_ws_backend_prompt: Anything,
    /// Speech.
    #[schemars(extend("x-not-supported" = "there is no speech"))]
    experimental_realtime_ws_base_url: Anything,
    /// Speech.
    #[schemars(extend("x-not-supported" = "there is no speech"))]
    experimental_realtime_ws_model: Anything,
    /// Speech.
    #[schemars(extend("x-not-supported" = "there is no speech"))]
    experimental_realtime_ws_startup_context: Anything,
    /// Where threads are kept.
    #[schemars(extend("x-not-supported" = "they are files in `$CODEX_HOME/sessions`"))]
    experimental_thread_store: Anything,
    /// A server that keeps threads.
    #[schemars(extend("x-not-supported" = "they are files in `$CODEX_HOME/sessions`"))]
    experimental_thread_store_endpoint: Anything,
    /// An old switch of the feature `unified_exec`.
    #[schemars(extend("x-not-supported" = "use `[features]`"))]
    experimental_use_unified_exec_tool: Anything,
    /// Feedback to the vendor.
    #[schemars(extend("x-not-supported" = "nothing leaves this machine by itself"))]
    feedback: Anything,
    /// The editor that links open.
    #[schemars(extend("x-not-supported" = "there are no links"))]
    file_opener: Option<String>,
    /// The only workspaces whose logins are allowed: one, or a list. Another login is signed out.
    pub(crate) forced_chatgpt_workspace_id: Option<Workspaces>,
    /// The only kind of login that is allowed. Another one is signed out.
    pub(crate) forced_login_method: Option<LoginMethod>,
    /// Snapshots to undo changes.
    #[schemars(extend("x-not-supported" = "nothing is undone"))]
    ghost_snapshot: Anything,
    /// Goals of a thread.
    #[schemars(extend("x-not-supported" = "there are no goals yet"))]
    goals: Anything,
    /// Command hooks.
    #[schemars(extend("x-not-supported" = "hooks are plugins; command hooks are not run yet"))]
    hooks: Anything,
    /// Whether the model is told of apps.
    #[schemars(extend("x-not-supported" = "there are no apps"))]
    include_apps_instructions: Anything,
    /// Whether the model is told of its mode.
    #[schemars(extend("x-not-supported" = "there is one mode"))]
    include_collaboration_mode_instructions: Anything,
    /// Whether the model is told of its surroundings.
    #[schemars(extend("x-not-supported" = "it always is"))]
    include_environment_context: Anything,
    /// Whether the model is told the time.
    #[schemars(extend("x-not-supported" = "it is told the date"))]
    include_environment_context_time: Anything,
    /// Whether the model is told what it may do.
    #[schemars(extend("x-not-supported" = "it always is"))]
    include_permissions_instructions: Anything,
    /// Modules of the script interpreter.
    #[schemars(extend("x-not-supported" = "there is no script interpreter"))]
    js_repl_node_module_dirs: Anything,
    /// The script interpreter.
    #[schemars(extend("x-not-supported" = "there is no script interpreter"))]
    js_repl_node_path: Anything,
    /// Where logs go.
    #[schemars(extend("x-not-supported" = "logs go to standard error"))]
    log_dir: Option<String>,
    /// Where plugins of other clients come from.
    #[schemars(extend("x-not-supported" = "plugins are installed from directories"))]
    marketplaces: Anything,
    /// Logins of tool servers that an administrator manages.
    #[schemars(extend("x-not-supported" = "MCP servers are not started yet"))]
    mcp_enterprise_managed_auth: Anything,
    /// The port for logins of tool servers.
    #[schemars(extend("x-not-supported" = "MCP servers are not started yet"))]
    mcp_oauth_callback_port: Option<u64>,
    /// The address for logins of tool servers.
    #[schemars(extend("x-not-supported" = "MCP servers are not started yet"))]
    mcp_oauth_callback_url: Anything,
    /// Where logins of tool servers are kept.
    #[schemars(extend("x-not-supported" = "MCP servers are not started yet"))]
    mcp_oauth_credentials_store: Option<String>,
    /// How long a turn waits for tool servers that it does not need.
    #[schemars(extend("x-not-supported" = "MCP servers are not started yet"))]
    mcp_optional_startup_grace_ms: Anything,
    /// What is remembered across threads.
    #[schemars(extend("x-not-supported" = "nothing is remembered across threads"))]
    memories: Anything,
    /// When a conversation is compacted after a turn.
    #[schemars(extend("x-not-supported" = "conversations are compacted when the next turn needs it"))]
    model_post_turn_compact_threshold_percent: Anything,
    /// Notices that were seen.
    #[schemars(extend("x-not-supported" = "there are no notices"))]
    notice: Anything,
    /// Work across several agents.
    #[schemars(extend("x-not-supported" = "there are no sub-agents yet"))]
    orchestrator: Anything,
    /// Export of telemetry.
    #[schemars(extend("x-not-supported" = "telemetry goes to sink plugins"))]
    otel: Anything,
    /// Permission profiles.
    #[schemars(extend("x-not-supported" = "`sandbox_mode` decides"))]
    permissions: Anything,
    /// The tone of answers.
    #[schemars(extend("x-not-supported" = "base instructions decide"))]
    personality: Option<String>,
    /// Reasoning effort while planning.
    #[schemars(extend("x-not-supported" = "there is no plan mode yet"))]
    plan_mode_reasoning_effort: Option<String>,
    /// Plugins of other clients.
    #[schemars(extend("x-not-supported" = "Dovetail's own are in `[dovetail.plugins]`"))]
    plugins: Anything,
    /// Profiles as they were written once.
    #[schemars(extend("x-not-supported" = "use `$CODEX_HOME/<name>.config.toml` and `--profile <name>`"))]
    profiles: Anything,
    /// Speech.
    #[schemars(extend("x-not-supported" = "there is no speech"))]
    realtime: Anything,
    /// Skills.
    #[schemars(extend("x-not-supported" = "there are no skills yet"))]
    skills: Anything,
    /// Where databases are.
    #[schemars(extend("x-not-supported" = "they are in `$CODEX_HOME`"))]
    sqlite_home: Option<String>,
    /// Whether unfinished features warn.
    #[schemars(extend("x-not-supported" = "features that do nothing always say so"))]
    suppress_unstable_features_warning: Option<bool>,
    /// How long the app-server keeps a thread.
    #[schemars(extend("x-not-supported" = "there is no app-server yet"))]
    thread_unload_delay_secs: Anything,
    /// Tools to suggest.
    #[schemars(extend("x-not-supported" = "tools are not suggested"))]
    tool_suggest: Anything,
    /// Single tools.
    #[schemars(extend("x-not-supported" = "use `web_search` and features"))]
    tools: Anything,
    /// The terminal interface.
    #[schemars(extend("x-not-supported" = "there is no terminal interface yet"))]
    tui: Anything,
    /// Windows.
    #[schemars(extend("x-not-supported" = "Windows is not supported"))]
    windows: Anything,
    /// The shell of one feature.
    #[schemars(extend("x-not-supported" = "the user's shell is used"))]
    zsh_path: Option<String>,
}

/// One workspace, or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "neither a workspace's id nor a list of them")]
pub(crate) enum Workspaces {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Workspaces {
    /// Their ids; blank ones are none.
    pub(crate) fn ids(self) -> Vec<String> {
        let ids = match self {
            Self::One(id) => vec![id],
            Self::Several(ids) => ids,
        };
        ids.into_iter()
            .map(|id| id.trim().to_owned())
            .filter(|id| !id.is_empty())
            .collect()
    }
}

/// A value that nobody here looks into.
type Anything = Option<Value>;
