//! What a script says: steps, and in each what is expected of the request and how it is answered.

use std::num::NonZeroUsize;
use std::time::Duration;

use regex_lite::Regex;
use serde_json::Value;

/// A whole script. Made from text by [`Script::parse`].
#[derive(Debug, Clone)]
pub struct Script {
    /// A name for reports.
    pub name: Option<String>,
    /// The model that answers claim to come from.
    pub model: String,
    /// One step per request, in the order of the requests.
    pub steps: Vec<Step>,
    /// One answer per upgrade to WebSocket, in the order of the upgrades; the last one answers all that follow. Where
    /// there is none, the server speaks HTTP only.
    pub upgrades: Vec<Upgrade>,
}

/// The answer to an upgrade to WebSocket.
#[derive(Debug, Clone)]
pub enum Upgrade {
    /// It is granted: messages are answered by the steps, as requests are.
    Accept {
        /// Headers of the response.
        headers: Vec<(String, String)>,
        /// The answer to a client that wants the server to make ready, which no step is used up for.
        warm_up: Step,
    },
    /// It is refused.
    Refuse {
        /// The status code.
        status: u16,
        /// Headers of the response.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// It is not answered, and the connection stays open.
    Hang,
}

/// What is expected of one request, and the answer to it.
#[derive(Debug, Clone)]
pub struct Step {
    /// The line of the script it starts at, from 1.
    pub line: usize,
    /// How many requests it answers.
    pub times: u32,
    /// Whether `response.completed` is sent after the last action.
    pub complete: bool,
    /// Everything that must hold of the request.
    pub expect: Vec<Expectation>,
    /// The answer, in order.
    pub actions: Vec<Action>,
}

/// Something that must hold of a request.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// What is looked at.
    pub subject: Subject,
    /// What must hold of it.
    pub check: Check,
}

/// A part of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The method.
    Method,
    /// The path with its query.
    Path,
    /// A header; the name in any case.
    Header(String),
    /// A part of the body by JSON pointer; the empty pointer is the whole body.
    Body(String),
    /// All text of the conversation: messages, calls and outputs.
    Input,
    /// The output of the tool call with this id.
    ToolOutput(String),
    /// The tool of this name among those on offer, namespaces included.
    Tool(String),
}

/// What must hold of a part of a request.
#[derive(Debug, Clone)]
pub enum Check {
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// It is this value.
    Equals(Value),
    /// It contains this text (a value that is no text is looked at as compact JSON).
    Contains(String),
    /// This expression matches somewhere in it.
    Matches(Regex),
}

/// Token counts of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Read by the model.
    pub input_tokens: u64,
    /// Of those, read from a cache.
    pub cached_input_tokens: u64,
    /// Written by the model.
    pub output_tokens: u64,
    /// Of those, reasoning.
    pub reasoning_output_tokens: u64,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Headers of the response.
    Headers(Vec<(String, String)>),
    /// An answer that is no stream.
    Status {
        /// The status code.
        status: u16,
        /// The body; a table in the script becomes JSON.
        body: String,
        /// The `retry-after` header.
        retry_after: Option<String>,
    },
    /// A message.
    Text {
        /// The text.
        text: String,
        /// `commentary` or `final_answer`.
        phase: Option<String>,
        /// Characters per delta.
        chunk: NonZeroUsize,
    },
    /// Reasoning with a summary.
    Reasoning {
        /// The summary.
        summary: String,
        /// Characters per delta.
        chunk: NonZeroUsize,
    },
    /// What is left of a conversation that was to be compacted.
    Compaction {
        /// What stands for the rest, as only the service could read it.
        content: String,
    },
    /// A call of a function tool.
    FunctionCall {
        /// The tool.
        name: String,
        /// Its namespace.
        namespace: Option<String>,
        /// The arguments as the model would write them: usually JSON.
        arguments: String,
        /// The call's id; made up where there is none.
        call_id: Option<String>,
    },
    /// A call of a freeform tool.
    CustomCall {
        /// The tool.
        name: String,
        /// Its input.
        input: String,
        /// The call's id; made up where there is none.
        call_id: Option<String>,
    },
    /// Any other item, as it is.
    Item(Value),
    /// Any event, as it is.
    Event(Value),
    /// The token counts of `response.completed`.
    Usage(Usage),
    /// `end_turn` of `response.completed`.
    EndTurn(bool),
    /// A pause.
    Delay(Duration),
    /// Waits until [`crate::RehearsalServer::open_gate`].
    Gate,
    /// From here on, so many bytes are written at a time.
    Split(NonZeroUsize),
    /// Bytes into the stream, whatever they mean.
    Garbage(Vec<u8>),
    /// `response.failed`.
    Failed {
        /// The code.
        code: String,
        /// The message.
        message: String,
    },
    /// `response.incomplete` with its reason.
    Incomplete(String),
    /// The connection breaks.
    Disconnect(Disconnect),
    /// The WebSocket is closed with this code; over HTTP the connection breaks.
    Close(u16),
    /// A ping on a WebSocket, a comment over HTTP.
    Ping,
    /// Nothing more is sent (as the first action: not even the response's head), and the connection stays open.
    Hang,
}

/// How a connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disconnect {
    /// At this point; as the first action that is before the response's head.
    Now,
    /// In the middle of an event.
    MidEvent,
    /// Once the body is this long.
    AfterBytes(u64),
}

impl Action {
    /// Whether the answer ends with it, so that nothing may follow.
    pub(crate) fn is_last(&self) -> bool {
        matches!(
            self,
            Self::Status { .. }
                | Self::Failed { .. }
                | Self::Incomplete(_)
                | Self::Disconnect(Disconnect::Now | Disconnect::MidEvent)
                | Self::Close(_)
                | Self::Hang
        )
    }

    /// Whether it only sets the stage and writes nothing to the body.
    pub(crate) fn is_setting(&self) -> bool {
        matches!(
            self,
            Self::Headers(_)
                | Self::Delay(_)
                | Self::Gate
                | Self::Split(_)
                | Self::Usage(_)
                | Self::EndTurn(_)
                | Self::Disconnect(Disconnect::AfterBytes(_))
        )
    }
}
