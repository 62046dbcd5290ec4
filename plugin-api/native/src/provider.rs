//! Model providers: the interface `provider` of the contract.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Plugin, base64_text};

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// A turn of a conversation.
    Turn,
    /// Compacting a conversation.
    Compact,
    /// Listing models.
    Models,
    /// Anything else that the provider's service offers.
    ControlPlane,
}

/// On whose behalf a credential is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scope {
    /// The provider id from the configuration.
    pub provider_id: String,
    /// What the request is for.
    pub purpose: Purpose,
    /// Where the session comes from: `cli`, `exec`, …
    pub session_source: String,
    /// The credential policy in force: `strict` or `compat`.
    pub policy: String,
}

/// Something that a provider's service can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Requests over WebSocket.
    Websockets,
    /// Server-side compaction.
    RemoteCompaction,
    /// Per-item metadata in the request's input.
    ItemMetadata,
    /// Tools that the service runs.
    HostedTools,
    /// Compressed request bodies.
    RequestCompression,
}

/// What a plugin serves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Description {
    /// The provider ids it answers for; empty for a generic one.
    pub ids: Vec<String>,
    /// A name for people.
    pub name: String,
    /// The base URL where the user sets none.
    #[serde(default)]
    pub default_endpoint: Option<String>,
    /// What the service can do.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// Hosts that its credentials may go to besides the endpoint's own.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Keys of `[model_providers.<id>]` that the user may set; empty for all standard ones.
    #[serde(default)]
    pub settable_keys: Vec<String>,
    /// Header names that the host removes before `authorize`.
    #[serde(default)]
    pub removed_headers: Vec<String>,
}

/// A part of a header's value. Its text may be a credential, so it does not print.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValuePart {
    /// Text as it is.
    Literal(String),
    /// A secret slot of the grant, which the host fills for granted origins only.
    Secret(String),
}

impl std::fmt::Debug for ValuePart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Literal(text) => write!(f, "Literal({} bytes)", text.len()),
            Self::Secret(slot) => write!(f, "Secret({slot})"),
        }
    }
}

/// A header to set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Header {
    /// The field name.
    pub name: String,
    /// The parts of its value, joined without a separator.
    pub value: Vec<ValuePart>,
    /// Whether the value stays out of logs. Left out it does.
    #[serde(default = "yes")]
    pub sensitive: bool,
}

fn yes() -> bool {
    true
}

impl Header {
    /// A header that anybody may see.
    pub fn plain(name: &str, value: impl Into<String>) -> Self {
        Self {
            sensitive: false,
            ..Self::sensitive(name, value)
        }
    }

    /// A header that stays out of logs.
    pub fn sensitive(name: &str, value: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: vec![ValuePart::Literal(value.into())],
            sensitive: true,
        }
    }
}

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Endpoint {
    /// The name shown to people.
    pub name: String,
    /// The base URL; `/responses` is appended.
    pub base_url: String,
    /// Query parameters to append, in order.
    #[serde(default)]
    pub query: Vec<(String, String)>,
    /// Static headers that are no credentials.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// What the service at this address can do; none is what the description says.
    #[serde(default)]
    pub capabilities: Option<Vec<Capability>>,
}

/// Headers that carry a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Prepared {
    /// The headers.
    pub headers: Vec<Header>,
    /// When they stop being good, in milliseconds since 1970.
    #[serde(default)]
    pub expires_at_unix_ms: Option<u64>,
}

/// A header as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlainHeader {
    /// The field name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// A request before it is signed. Values with secrets are empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RequestHead {
    /// The method.
    pub method: String,
    /// The final URL.
    pub url: String,
    /// The headers so far.
    pub headers: Vec<PlainHeader>,
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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

/// A failure, understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// What kind it is; the host's retry policy goes by it.
    pub kind: FailureKind,
    /// The server's own words.
    #[serde(default)]
    pub message: Option<String>,
    /// How long the server asked to wait, in milliseconds.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// By the status alone.
    pub fn of_status(status: u16) -> Self {
        let kind = match status {
            400 | 405 | 422 => FailureKind::InvalidRequest,
            401 => FailureKind::Unauthorized,
            402 => FailureKind::QuotaExceeded,
            403 => FailureKind::Forbidden,
            404 => FailureKind::NotFound,
            413 => FailureKind::TooLarge,
            429 => FailureKind::RateLimited,
            500.. => FailureKind::ServerError,
            _ => FailureKind::Unknown,
        };
        Self {
            kind,
            message: None,
            retry_after_ms: None,
        }
    }
}

/// What came of an attempt to recover a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Model {
    /// The name sent in requests.
    pub slug: String,
    /// A name for people.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Tokens of context.
    #[serde(default)]
    pub context_window: Option<u64>,
    /// Accepted reasoning efforts.
    #[serde(default)]
    pub reasoning_efforts: Vec<String>,
    /// Whether it may ask for several tool calls at once.
    #[serde(default)]
    pub parallel_tool_calls: bool,
}

/// The parameters of `configure`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Configure {
    /// The provider id.
    pub provider_id: String,
    /// `[model_providers.<id>]` as JSON.
    pub table_json: String,
}

/// The parameters of `prepare` and `list-models`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForScope {
    /// On whose behalf.
    pub scope: Scope,
}

/// The parameters of `authorize`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Authorize {
    /// On whose behalf.
    pub scope: Scope,
    /// The request.
    pub head: RequestHead,
    /// 32 bytes.
    #[serde(with = "base64_text")]
    pub body_sha256: Vec<u8>,
}

/// The parameters of `classify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classify {
    /// The status; 0 for an error event of a stream.
    pub status: u16,
    /// The response's headers.
    pub headers: Vec<PlainHeader>,
    /// The start of its body.
    pub excerpt: String,
}

/// The parameters of `recover`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recover {
    /// On whose behalf.
    pub scope: Scope,
    /// What happened.
    pub failure: Failure,
}

/// Authenticates requests to a model provider.
pub trait Provider: Plugin {
    /// What it serves. Asked once, after `open`.
    fn describe(&self) -> Description;

    /// Checks the user's table and resolves the endpoint: as given, its `base_url` or the default one.
    ///
    /// # Errors
    /// `invalid` names the key that is wrong.
    fn configure(&self, provider_id: &str, table: &Value) -> Result<Endpoint, Error> {
        let description = self.describe();
        let set = table.get("base_url").and_then(Value::as_str);
        let base_url = set.map(str::to_owned).or(description.default_endpoint);
        Ok(Endpoint {
            name: description.name,
            base_url: base_url.ok_or_else(|| {
                Error::Invalid(format!(
                    "`model_providers.{provider_id}.base_url` is missing"
                ))
            })?,
            query: Vec::new(),
            headers: Vec::new(),
            capabilities: None,
        })
    }

    /// Gets the credential for a scope; may wait.
    ///
    /// # Errors
    /// There is none; the request is not sent.
    fn prepare(&self, scope: &Scope) -> Result<Prepared, Error>;

    /// Signs a final request: the headers to add. Has two seconds.
    ///
    /// # Errors
    /// It cannot be signed; it is not sent.
    fn authorize(
        &self,
        scope: &Scope,
        head: &RequestHead,
        body_sha256: &[u8; 32],
    ) -> Result<Vec<Header>, Error> {
        let _ = (scope, head, body_sha256);
        Ok(Vec::new())
    }

    /// Explains a response with a status of 400 or more: by default by its status alone.
    fn classify(&self, status: u16, headers: &[PlainHeader], excerpt: &str) -> Failure {
        let _ = (headers, excerpt);
        Failure::of_status(status)
    }

    /// Tries to recover a refused credential.
    ///
    /// # Errors
    /// It could not be tried.
    fn recover(&self, scope: &Scope, failure: &Failure) -> Result<Recovery, Error> {
        let _ = (scope, failure);
        Ok(Recovery::Unchanged)
    }

    /// The models on offer; none where the service has no such call.
    ///
    /// # Errors
    /// They cannot be listed now.
    fn list_models(&self, scope: &Scope) -> Result<Vec<Model>, Error> {
        let _ = scope;
        Ok(Vec::new())
    }
}
