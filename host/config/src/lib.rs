//! Configuration: layers of files and overrides, resolved to one value that knows where each part came from.
//!
//! It owns the file formats under `$CODEX_HOME` that people write (`config.toml`, `auth.json`, `AGENTS.md`) and the
//! names of the environment variables. It refuses to understand a provider's or a plugin's own table: those are handed
//! on as JSON to whoever serves them.

mod agents_md;
mod auth;
mod enums;
pub mod env;
mod error;
mod home;
mod layer;
mod line_index;
mod overrides;
mod project;
mod reader;
mod redact;
mod resolve;
mod schema;
mod settings;
mod show;
mod tree;
mod trust;

pub use agents_md::{ProjectDocs, collect_project_docs};
pub use auth::{ApiKey, AuthError, AuthFile, KeySource, find_api_key};
pub use enums::{
    ApprovalPolicy, HistoryPersistence, InheritEnv, ReasoningSummary, SandboxMode, ServiceTier,
    Verbosity, WebSearchMode,
};
pub use error::ConfigError;
pub use home::codex_home;
pub use layer::{LayerKind, Place, Source};
pub use overrides::Override;
pub use project::{Project, is_marker};
pub use redact::looks_secret;
pub use resolve::{LoadRequest, SYSTEM_CONFIG, load};
pub use settings::{
    Config, Dovetail, History, PluginSettings, ProjectDocSettings, ShellEnvironmentPolicy,
    UnknownKey, WorkspaceWrite,
};
pub use show::ShownValue;
pub use trust::{TrustError, trust_project};
