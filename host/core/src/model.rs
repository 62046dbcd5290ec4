//! The port to a model: one request out, a stream of events back.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::event::RateLimits;
use crate::item::ResponseItem;
use crate::plugin::{FailureKind, Recovery};
use crate::retry::RecoveryStep;
use crate::snapshot::RequestSnapshot;
use crate::tool::ToolSpec;
use crate::usage::TokenUsage;

/// `reasoning` of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// Any non-empty text, passed on as it is.
    pub effort: Option<String>,
    /// `auto`, `concise` or `detailed`.
    pub summary: Option<String>,
    /// Which reasoning of the past the model gets to see, for models that are told.
    pub context: Option<String>,
}

/// What requests to a model differ in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelTraits {
    /// Whether it takes its tools as the first input item.
    pub lite: bool,
    /// Its script interpreter, as the metadata of requests tells it.
    pub node_repl: NodeRepl,
}

/// What the metadata of a request says of the model's script interpreter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeRepl {
    /// Whether its calls are reviewed.
    pub auto_review_required: bool,
    /// Whether there is none.
    pub disabled: bool,
}

/// `text` of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextOptions {
    /// `low`, `medium` or `high`.
    pub verbosity: Option<String>,
    /// A JSON Schema the answer must match.
    pub output_schema: Option<Value>,
}

/// The hosted web search, where a request offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSearch {
    /// Whether it may leave the service's own cache.
    pub external_web_access: bool,
    /// What it may return, such as `text` and `image`; none leaves it to the service.
    pub content_types: Option<Vec<String>>,
}

/// One request. Encoded by the adapter, which alone knows the wire.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    /// The model.
    pub model: String,
    /// The base instructions, sent as the first input item.
    pub instructions: Arc<ResponseItem>,
    /// The conversation.
    pub input: Arc<[Arc<ResponseItem>]>,
    /// The tools on offer.
    pub tools: Arc<[ToolSpec]>,
    /// For a model that takes its tools as the first input item: that item's id.
    pub tools_item_id: Option<String>,
    /// The hosted web search, where offered.
    pub web_search: Option<WebSearch>,
    /// Whether the model may ask for several calls at once.
    pub parallel_tool_calls: bool,
    /// Reasoning options; none leaves the key out.
    pub reasoning: Option<Reasoning>,
    /// Text options.
    pub text: Option<TextOptions>,
    /// `priority` or `flex`.
    pub service_tier: Option<String>,
    /// The session id.
    pub prompt_cache_key: String,
    /// Who asks, for what.
    pub metadata: Arc<RequestSnapshot>,
    /// `x-codex-turn-state` of an earlier response of this turn.
    pub turn_state: Option<String>,
}

/// What a model's stream says.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelEvent {
    /// The response began.
    Created,
    /// `x-codex-turn-state`, to be sent back within this turn.
    TurnState(String),
    /// Rate limits from headers or stream.
    RateLimits(RateLimits),
    /// Another model answered than was asked for.
    ServerModel(String),
    /// The version of the server's model catalogue.
    ModelsEtag(String),
    /// The server's token counts include the reasoning that the conversation carries.
    ReasoningIncluded,
    /// An item began; its id may be empty.
    ItemAdded {
        /// `message`, `reasoning`, ….
        kind: String,
        /// The item's id.
        id: String,
    },
    /// A piece of the answer.
    TextDelta(String),
    /// A piece of the reasoning summary.
    ReasoningDelta(String),
    /// A finished item: it is recorded now, and if it is a call it starts now.
    ItemDone(Box<ResponseItem>),
    /// A finished item that cannot be read, for this reason.
    ItemLost(String),
    /// The end.
    Completed {
        /// The response's id.
        response_id: String,
        /// What it used; none where the server does not say.
        usage: Option<TokenUsage>,
        /// False where the model wants to go on although it called no tool.
        end_turn: Option<bool>,
    },
}

/// Where a failure happened, which decides how it may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureStage {
    /// No credential: the request was not sent.
    Auth,
    /// No connection could be made.
    Connect,
    /// The connection broke, went silent or was not safe before the response's head.
    Exchange,
    /// The server was reached, and no WebSocket came of it: the request was not sent, and may be sent another way.
    Upgrade,
    /// A response with an error status.
    Status(u16),
    /// A failure event in the stream.
    Event,
    /// The stream ended or went silent before it was complete.
    Stream,
}

/// A request that failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    /// Where.
    pub stage: FailureStage,
    /// What kind, as the provider understands it.
    pub kind: FailureKind,
    /// For people; no secrets.
    pub message: String,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
    /// Whether trying again makes sense at all for an `Auth` failure.
    pub transient: bool,
    /// Whether the service cannot use an image of the conversation.
    pub about_image: bool,
    /// Whether the request went over a WebSocket, which servers close now and then: the first time nobody is told.
    pub over_socket: bool,
    /// Rate limits that came with the failure.
    pub rate_limits: Option<Box<RateLimits>>,
}

impl ModelError {
    /// A failure of unknown kind, about which nothing more is known.
    pub fn new(stage: FailureStage, message: String) -> Self {
        Self {
            stage,
            kind: FailureKind::Unknown,
            message,
            retry_after: None,
            transient: false,
            about_image: false,
            over_socket: false,
            rate_limits: None,
        }
    }
}

/// A model's answer as it arrives.
pub type ModelStream = BoxStream<'static, Result<ModelEvent, ModelError>>;

/// Sends requests to a model.
#[async_trait]
pub trait ModelClient: Send + Sync {
    /// Sends one request, once: repeating it is the caller's decision. Dropping the stream ends the exchange.
    ///
    /// # Errors
    /// Anything up to the response's head; later failures are items of the stream.
    async fn send(
        &self,
        request: &ModelRequest,
        cancel: &CancellationToken,
    ) -> Result<ModelStream, ModelError>;

    /// Asks the provider to get a better credential after `Unauthorized`.
    async fn recover(&self, failure: &ModelError, step: RecoveryStep) -> Recovery;

    /// Makes ready for requests that begin like this one, where that takes time. Must not wait: what there is to do is
    /// done beside, and its failure is the next request's.
    fn warm_up(&self, _beginning: &ModelRequest) {}

    /// Sends all further requests another way. False where there is none, or none that is not taken already.
    fn fall_back(&self) -> bool {
        false
    }
}
