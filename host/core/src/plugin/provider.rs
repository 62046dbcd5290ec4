//! Providers: who answers for requests to a model.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde_json::Value;

use super::PluginError;
use crate::ids::PluginId;

/// A part of a header value, see `types.value-part` in the contract.
#[derive(Clone, PartialEq, Eq)]
pub enum ValuePart {
    /// Text as it is.
    Literal(String),
    /// A secret slot that the host fills at egress.
    Secret(String),
}

/// Headers that decide where a request goes or where it ends, in lower case. They are the host's: with them a credential
/// would reach somebody else, or a body would end where the next request begins.
pub const CONNECTION_HEADERS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// A header that a provider wants set.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderTemplate {
    /// The field name.
    pub name: String,
    /// The parts of its value, joined without a separator.
    pub value: Vec<ValuePart>,
    /// Whether the value stays out of logs.
    pub sensitive: bool,
}

// Literal parts may be credentials too (a token a command printed), so neither prints its text.
impl std::fmt::Debug for ValuePart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Literal(text) => write!(f, "Literal({} bytes)", text.len()),
            Self::Secret(slot) => write!(f, "Secret({slot})"),
        }
    }
}

impl std::fmt::Debug for HeaderTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeaderTemplate")
            .field("name", &self.name)
            .field("value", &self.value)
            .finish()
    }
}

/// What a provider request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A turn of a conversation.
    Turn,
    /// Compacting a conversation.
    Compact,
    /// Listing models.
    Models,
    /// Anything else of the provider's service.
    ControlPlane,
}

/// On whose behalf a credential is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The provider id from the configuration.
    pub provider_id: String,
    /// What the request is for.
    pub purpose: Purpose,
    /// Where the session comes from: `exec`, `cli`, …
    pub session_source: String,
    /// The credential policy: `strict` or `compat`.
    pub policy: String,
}

/// What a provider's service can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProviderCapabilities {
    /// Requests over WebSocket.
    pub websockets: bool,
    /// Server-side compaction.
    pub remote_compaction: bool,
    /// Per-item metadata in requests; stripped where off.
    pub item_metadata: bool,
    /// Tools that the service runs.
    pub hosted_tools: bool,
    /// Compressed request bodies.
    pub request_compression: bool,
}

/// What a provider plugin serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderDescription {
    /// The ids it answers for; empty for a generic one.
    pub ids: Vec<String>,
    /// A name for people.
    pub name: String,
    /// The base URL where the user sets none.
    pub default_endpoint: Option<String>,
    /// What the service can do.
    pub capabilities: ProviderCapabilities,
    /// Hosts its credentials may go to besides the endpoint's own.
    pub hosts: Vec<String>,
    /// Keys of the provider table that the user may set; empty for all.
    pub settable_keys: Vec<String>,
    /// Header names removed before `authorize`.
    pub removed_headers: Vec<String>,
}

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The name shown to people.
    pub name: String,
    /// The base URL; `/responses` is appended.
    pub base_url: String,
    /// Query parameters, in order.
    pub query: Vec<(String, String)>,
    /// Static headers.
    pub headers: Vec<HeaderTemplate>,
    /// What the service at this address can do; none is what the description says.
    pub capabilities: Option<ProviderCapabilities>,
}

/// Headers that carry a credential, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The headers.
    pub headers: Vec<HeaderTemplate>,
    /// When they stop being good.
    pub expires_at: Option<SystemTime>,
}

/// A request before it is signed. Secret values are shown as empty strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The method.
    pub method: String,
    /// The final URL.
    pub url: String,
    /// The headers so far.
    pub headers: Vec<(String, String)>,
}

/// Why a request failed, as far as the retry policy needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The conversation is too long for the model.
    ContextWindowExceeded,
    /// The plan's usage limit is reached.
    UsageLimitReached,
    /// The account has no quota left.
    QuotaExceeded,
    /// The plan does not include this.
    UsageNotIncluded,
    /// The request itself is wrong.
    InvalidRequest,
    /// The model is at capacity.
    Overloaded,
    /// Too many requests for now.
    RateLimited,
    /// The credential was not accepted.
    Unauthorized,
    /// The credential is good but not for this.
    Forbidden,
    /// There is nothing at that address.
    NotFound,
    /// The request is too large.
    TooLarge,
    /// The server failed.
    ServerError,
    /// None of these.
    Unknown,
}

/// A failure, understood by the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind it is.
    pub kind: FailureKind,
    /// The server's words, where it gave some.
    pub message: Option<String>,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
}

/// What came of recovering a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery {
    /// There is a new credential: try again.
    Changed,
    /// The credential is the same as before.
    Unchanged,
    /// It cannot be recovered; the text tells the user what to do.
    Permanent(String),
    /// It could not be recovered now.
    Transient(String),
}

/// A model on offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderModel {
    /// The name sent in requests.
    pub slug: String,
    /// A name for people.
    pub display_name: Option<String>,
    /// Tokens of context.
    pub context_window: Option<u64>,
    /// Accepted reasoning efforts.
    pub reasoning_efforts: Vec<String>,
    /// Whether it may ask for several calls at once.
    pub parallel_tool_calls: bool,
}

/// Authenticates requests to a model provider.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The plugin behind it.
    fn plugin(&self) -> &PluginId;
    /// What it serves. Asked once when it was loaded.
    fn description(&self) -> &ProviderDescription;
    /// Checks the user's table (JSON of `[model_providers.<id>]`) and resolves the endpoint.
    async fn configure(&self, provider_id: &str, table: &Value) -> Result<Endpoint, PluginError>;
    /// Gets the credential for a scope; may wait. Not cached here: the caller keeps it until it expires.
    async fn prepare(&self, scope: &Scope) -> Result<Prepared, PluginError>;
    /// Signs a final request; the headers to add.
    async fn authorize(
        &self,
        scope: &Scope,
        head: &RequestHead,
        body_sha256: [u8; 32],
    ) -> Result<Vec<HeaderTemplate>, PluginError>;
    /// Explains a failed response; status 0 is an error event of a stream.
    async fn classify(
        &self,
        status: u16,
        headers: &[(String, String)],
        excerpt: &str,
    ) -> Result<Failure, PluginError>;
    /// Tries to recover a refused credential.
    async fn recover(&self, scope: &Scope, failure: &Failure) -> Result<Recovery, PluginError>;
    /// The second step, in the same turn, where what `recover` gave was refused too. Most providers have none.
    async fn renew(&self, _scope: &Scope) -> Result<Recovery, PluginError> {
        Ok(Recovery::Unchanged)
    }
    /// The models on offer.
    async fn list_models(&self, scope: &Scope) -> Result<Vec<ProviderModel>, PluginError>;
}
