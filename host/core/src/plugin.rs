//! The ports that plugins fill: provider, hooks, tools and sink, in the host's own vocabulary.
//!
//! `host/runtime` implements them with components (and later with native libraries); nothing here knows which.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde_json::Value;

use crate::ids::{CallId, PluginId, ThreadId, TurnId};

/// A plugin's typed refusal: the guest is well, the answer is no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// The grant does not list what was asked for.
    #[error("denied: {0}")]
    Denied(String),
    /// The same call may succeed later.
    #[error("{reason}")]
    Retryable {
        /// One sentence for the user.
        reason: String,
        /// How long to wait, where the plugin knows.
        after: Option<Duration>,
    },
    /// The input was wrong; repeating it will not help.
    #[error("{0}")]
    Invalid(String),
    /// Something this depends on is missing.
    #[error("{0}")]
    Unavailable(String),
    /// None of these.
    #[error("{0}")]
    Other(String),
    /// The guest broke: its instance is gone and the next call gets a new one.
    #[error(transparent)]
    Fault(#[from] PluginFault),
}

/// How a guest broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginFault {
    /// It trapped: a panic, an unreachable, an access out of bounds.
    #[error("plugin `{plugin}` trapped in `{call}`: {detail}")]
    Trap {
        /// Which plugin.
        plugin: PluginId,
        /// The exported function.
        call: &'static str,
        /// The last words on its standard error, or the kind of trap.
        detail: String,
    },
    /// It did not answer in time.
    #[error("plugin `{plugin}` did not answer `{call}` within {} ms", limit.as_millis())]
    Deadline {
        /// Which plugin.
        plugin: PluginId,
        /// The exported function.
        call: &'static str,
        /// The limit it passed.
        limit: Duration,
    },
    /// It asked for more memory, or gave more output, than its limits allow.
    #[error("plugin `{plugin}` passed its limit of {limit} in `{call}`")]
    Limit {
        /// Which plugin.
        plugin: PluginId,
        /// The exported function.
        call: &'static str,
        /// The limit in words, such as `64 MiB of memory`.
        limit: String,
    },
    /// Too many faults in a short time: it is not called any more.
    #[error("plugin `{plugin}` is quarantined after {faults} faults")]
    Quarantined {
        /// Which plugin.
        plugin: PluginId,
        /// How many faults led to it.
        faults: u32,
    },
    /// It could not be loaded at all, and says so each time it is needed.
    #[error("plugin `{plugin}` is not running: {why}")]
    NotLoaded {
        /// Which plugin.
        plugin: PluginId,
        /// The load failure in one sentence.
        why: String,
    },
}

/// A part of a header value, see `types.value-part` in the contract.
#[derive(Clone, PartialEq, Eq)]
pub enum ValuePart {
    /// Text as it is.
    Literal(String),
    /// A secret slot that the host fills at egress.
    Secret(String),
}

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
    /// The models on offer.
    async fn list_models(&self, scope: &Scope) -> Result<Vec<ProviderModel>, PluginError>;
}

/// Whether a hook decides or watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookMode {
    /// It decides.
    Gate,
    /// It watches.
    Observer,
}

/// What to do when a hook fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// What it guards does not happen.
    Deny,
    /// Work goes on.
    Allow,
}

/// What a hook wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookSubscription {
    /// `PreToolUse`, `UserPromptSubmit`, …
    pub event: String,
    /// Which tools; see the contract for its forms.
    pub matcher: String,
    /// Whether it decides.
    pub mode: HookMode,
}

/// A tool call as hooks see it.
#[derive(Debug, Clone, PartialEq)]
pub struct HookToolUse {
    /// The model's id for the call.
    pub call_id: CallId,
    /// `Bash`, `apply_patch`, `mcp__<server>__<tool>` or the tool's own name.
    pub name: String,
    /// The input object.
    pub input: Value,
    /// After the call: the output as the model would see it.
    pub output: Option<String>,
    /// After the call: whether it succeeded.
    pub success: Option<bool>,
}

/// Something that happens, as hooks see it.
#[derive(Debug, Clone, PartialEq)]
pub struct HookEvent {
    /// Its name.
    pub name: &'static str,
    /// The thread.
    pub thread_id: ThreadId,
    /// The turn; none at session start.
    pub turn_id: Option<TurnId>,
    /// The working directory.
    pub cwd: String,
    /// The model in use.
    pub model: String,
    /// UserPromptSubmit: the prompt.
    pub prompt: Option<String>,
    /// Tool events: the call.
    pub tool: Option<HookToolUse>,
    /// The same in the form of the existing hooks' standard input.
    pub payload: Value,
}

/// What a hook answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookDecision {
    /// No opinion.
    None,
    /// No objection.
    Allow,
    /// A person should decide.
    Ask(String),
    /// It must not happen.
    Deny(String),
    /// Go on with this instead: a JSON object for tools, text for prompts.
    Rewrite(String),
}

/// A hook's whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookOutcome {
    /// What to do.
    pub decision: HookDecision,
    /// Text for the model.
    pub context: Option<String>,
    /// Text for the user.
    pub message: Option<String>,
}

/// A hook handler.
#[async_trait]
pub trait Hook: Send + Sync {
    /// The plugin behind it.
    fn plugin(&self) -> &PluginId;
    /// What it wants to see.
    fn subscriptions(&self) -> &[HookSubscription];
    /// What happens to a gate's event when the hook fails.
    fn on_failure(&self) -> OnFailure;
    /// Asks it about an event.
    async fn handle(&self, event: &HookEvent) -> Result<HookOutcome, PluginError>;
}

/// A tool that a plugin offers.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginTool {
    /// Its name within the server.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// A JSON Schema object for its arguments.
    pub input_schema: Value,
    /// Whether calls may overlap others.
    pub parallel_safe: bool,
    /// Whether it changes nothing.
    pub read_only: bool,
}

/// A piece of a tool's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolContent {
    /// Text.
    Text(String),
    /// An image.
    Image {
        /// The bytes.
        data: Vec<u8>,
        /// Such as `image/png`.
        mime_type: String,
    },
    /// Sound.
    Audio {
        /// The bytes.
        data: Vec<u8>,
        /// Such as `audio/wav`.
        mime_type: String,
    },
    /// The URI of a resource.
    ResourceLink(String),
}

/// What came of a plugin's tool call.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginToolResult {
    /// The pieces, in order.
    pub content: Vec<ToolContent>,
    /// A structured result.
    pub structured: Option<Value>,
    /// Whether the tool failed.
    pub is_error: bool,
}

/// A server of tools.
#[async_trait]
pub trait ToolServer: Send + Sync {
    /// The plugin behind it; the model sees `mcp__<plugin>`.
    fn plugin(&self) -> &PluginId;
    /// Lists the tools.
    async fn list_tools(&self) -> Result<Vec<PluginTool>, PluginError>;
    /// Runs one. Dropping the future ends the call.
    async fn call_tool(
        &self,
        call_id: &CallId,
        name: &str,
        arguments: &Value,
        turn_metadata: &Value,
    ) -> Result<PluginToolResult, PluginError>;
}

/// What a field of a record holds, so that sinks get only what they may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldClass {
    /// Names, numbers, durations, outcomes.
    Basic,
    /// Prompts, answers, commands, output.
    Content,
    /// Accounts, hosts, installation.
    Identity,
    /// Paths and URLs.
    Location,
}

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Any number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A JSON document.
    Json(Value),
}

/// A named, classed value.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its class.
    pub class: FieldClass,
    /// Its value.
    pub value: FieldValue,
}

/// A versioned record of something that happened, for sinks.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRecord {
    /// Unique; the same when delivered again.
    pub id: String,
    /// Counts up by one within the process and thread.
    pub sequence: u64,
    /// Such as `turn.started`.
    pub kind: String,
    /// The version of this kind's fields.
    pub version: u32,
    /// When.
    pub time: SystemTime,
    /// The thread.
    pub thread_id: ThreadId,
    /// The turn.
    pub turn_id: Option<TurnId>,
    /// The rest.
    pub fields: Vec<Field>,
}

/// What a sink wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSubscription {
    /// Kinds; `*` for all, `tool.*` for a family.
    pub kinds: Vec<String>,
    /// Classes it can use, already cut to what is granted. `Basic` is always in.
    pub classes: Vec<FieldClass>,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ack {
    /// All is well.
    Accepted,
    /// Give it again after this long.
    Retry(Duration),
    /// These ids can never be accepted.
    Reject(Vec<String>),
}

/// An analytics sink.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The plugin behind it.
    fn plugin(&self) -> &PluginId;
    /// What it wants.
    fn subscription(&self) -> &SinkSubscription;
    /// Called once before the first batch.
    async fn open(&self) -> Result<(), PluginError>;
    /// Gives it a batch, in order. Fields of other classes are already gone.
    async fn deliver(&self, batch: &[Arc<EventRecord>]) -> Result<Ack, PluginError>;
    /// The host is about to stop.
    async fn close(&self) -> Result<(), PluginError>;
}
