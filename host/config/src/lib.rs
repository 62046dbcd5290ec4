//! Configuration: layers of files and overrides, resolved to one value that knows where each part came from.
//!
//! It owns the file formats under `$CODEX_HOME` that people write (`config.toml`, `auth.json`, `AGENTS.md`) and the
//! names of the environment variables. It refuses to understand a provider's or a plugin's own table: those are handed
//! on as JSON to whoever serves them.

mod agents_md;
mod auth;
mod de;
mod enums;
pub mod env;
mod error;
mod features;
mod file;
mod home;
mod json_schema;
mod layer;
mod line_index;
mod nearest;
mod overrides;
mod project;
mod providers;
mod redact;
mod replace;
mod resolve;
mod settings;
mod show;
mod stack;
mod tree;
mod trust;
mod trusted;
mod user_file;

pub use agents_md::{ProjectDocs, collect_project_docs};
pub use auth::{ApiKey, AuthError, AuthFile, KeySource, find_api_key};
pub use dovetail_models::{ReasoningSummary, Verbosity};
pub use enums::{
    ApprovalPolicy, CompactLimitScope, HistoryPersistence, InheritEnv, LoginMethod, LoginStore,
    SandboxMode, ServiceTier, TrustLevel, WebSearchMode,
};
pub use error::ConfigError;
pub use features::{FEATURES, Feature, FeatureStage};
pub use home::codex_home;
pub use json_schema::config_schema;
pub use layer::{LayerKind, Place, Source};
pub use overrides::Override;
pub use project::{Project, is_marker};
pub use providers::{RESERVED_PROVIDERS, is_provider_id};
pub use redact::{looks_like_token, looks_secret, mask_line};
pub use settings::{
    Config, Dovetail, History, LoginSettings, PluginPolicy, PluginSettings, ProjectDocSettings,
    ShellEnvironmentPolicy, UnknownKey, WorkspaceWrite,
};
pub use show::{ExplainError, Explained, ShownValue};
pub use stack::{
    BrokenProvider, LoadRequest, SYSTEM_CONFIG, load, load_with_user_text,
    load_without_broken_providers, managed_files,
};
pub use trust::{TrustError, trust_project};
pub use user_file::{EditError, UserFile};
