//! Tools: what the model is told of them, what a call is, and the port that runs one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::event::{EventSender, ToolActivity};
use crate::ids::{CallId, ThreadId, TurnId};
use crate::item::OutputPayload;
use crate::verdict::Cleared;

/// What models that want every tool in a namespace call the one of tools without.
pub const PLAIN_NAMESPACE: &str = "functions";

/// How a tool takes its input.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolInput {
    /// A JSON object described by a schema.
    Function {
        /// The JSON Schema object.
        parameters: Value,
    },
    /// Free text in a grammar.
    Custom {
        /// The grammar in Lark syntax.
        grammar: String,
    },
    /// As a search for other tools, which has items of its own.
    Search {
        /// The JSON Schema object.
        parameters: Value,
    },
}

/// What the model is told of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// Its namespace, such as `mcp__notes`.
    pub namespace: Option<String>,
    /// What it does.
    pub description: String,
    /// How it takes its input.
    pub input: ToolInput,
    /// Whether calls may overlap other calls.
    pub parallel_safe: bool,
}

/// What the model asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum CallInput {
    /// The text of `arguments`, not yet parsed: it may be no JSON at all.
    Function(String),
    /// Free text.
    Custom(String),
    /// The arguments of a search for tools, as JSON.
    Search(String),
}

impl CallInput {
    /// What the model wrote, in whichever form.
    pub fn text(&self) -> &str {
        match self {
            Self::Function(text) | Self::Custom(text) | Self::Search(text) => text,
        }
    }
}

/// A call that the model made.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The model's id for it.
    pub call_id: CallId,
    /// The tool's name.
    pub name: String,
    /// The tool's namespace.
    pub namespace: Option<String>,
    /// The input.
    pub input: CallInput,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolOutcome {
    /// What the model sees.
    pub output: OutputPayload,
    /// Whether the call did what it was for. A command that exits with 3 has been run: that is success here.
    pub success: bool,
}

impl ToolOutcome {
    /// A text for the model about a call that could not be carried out.
    pub fn refused(text: impl Into<String>) -> Self {
        Self {
            output: OutputPayload::Text(text.into()),
            success: false,
        }
    }

    /// A text that is the result.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            output: OutputPayload::Text(text.into()),
            success: true,
        }
    }
}

/// What a running call may know and use.
#[derive(Clone)]
pub struct CallContext {
    /// The thread.
    pub thread_id: ThreadId,
    /// Its session: the root thread's id.
    pub session_id: ThreadId,
    /// The turn.
    pub turn_id: TurnId,
    /// The turn's working directory.
    pub cwd: PathBuf,
    /// Cancelled when the turn is interrupted; the call must end within 100 ms of that.
    pub cancel: CancellationToken,
    /// What MCP calls carry as `x-codex-turn-metadata`.
    pub turn_metadata: Arc<Value>,
    /// Where to report what can be seen of the call.
    pub events: EventSender,
}

impl CallContext {
    /// Reports that something visible began.
    pub fn started(&self, call_id: &CallId, activity: ToolActivity) {
        self.events.tool_started(call_id.clone(), activity);
    }

    /// Reports that it ended.
    pub fn finished(&self, call_id: &CallId, activity: ToolActivity, duration: Duration) {
        self.events
            .tool_finished(call_id.clone(), activity, duration);
    }
}

/// A tool the model can call.
#[async_trait]
pub trait Tool: Send + Sync {
    /// What the model is told. Asked once per turn.
    fn spec(&self) -> &ToolSpec;

    /// The name hooks know it by: `Bash`, `apply_patch`, `mcp__notes__search`.
    fn hook_name(&self) -> String;

    /// The input as hooks see it: `{"command": …}` for shell tools and patches, the arguments for others.
    ///
    /// # Errors
    /// The text for the model when the input cannot be understood; the call is then not made.
    fn hook_input(&self, call: &ToolCall) -> Result<Value, String>;

    /// Puts a hook's rewritten input (of the form of `hook_input`) in the place of the call's own.
    ///
    /// # Errors
    /// Says why the input cannot be used; the call is then refused.
    fn rewrite(&self, call: ToolCall, input: Value) -> Result<ToolCall, String>;

    /// What people see of a call that was refused before it ran; none where there is nothing to show.
    fn declined(&self, _call: &ToolCall, _reason: &str) -> Option<ToolActivity> {
        None
    }

    /// Runs a call. Never fails: what went wrong is an output for the model.
    async fn run(&self, call: Cleared<ToolCall>, context: &CallContext) -> ToolOutcome;
}
