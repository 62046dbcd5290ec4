//! What happens in a thread, as one closed stream.
//!
//! The recorder (rollout), the command line, and sinks are all fed from it, so that they cannot disagree.

mod activity;
mod compacted;
mod rate_limits;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::mpsc;

use crate::approval::ApprovalRequest;
use crate::ids::{CallId, PluginId, ThreadId, TurnId, WindowId};
use crate::item::ResponseItem;
use crate::lineage::{ParentTurn, SubagentKind};
use crate::review::{ReviewOutput, ReviewTarget};
use crate::snapshot::CompactionTrigger;
use crate::usage::TokenUsage;

pub use activity::{ActivityStatus, FileChange, FileChangeKind, PlanStep, ToolActivity};
pub use compacted::Compacted;
pub use rate_limits::{Credits, RateLimitWindow, RateLimits};

/// What a hook did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookRun {
    /// The plugin.
    pub plugin: PluginId,
    /// The event it was asked about.
    pub event: &'static str,
    /// What it was asked about, in a word: a tool's name, or empty.
    pub subject: String,
    /// What it said.
    pub result: HookResult,
    /// Text for the user.
    pub message: Option<String>,
    /// How long it took.
    pub duration: Duration,
}

/// What came of asking a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookResult {
    /// No objection, or no opinion.
    Passed,
    /// It stopped the thing; the reason.
    Denied(String),
    /// It put other input in place.
    Rewrote,
    /// It failed; what that was, and whether the gate closed because of it.
    Failed {
        /// What went wrong.
        why: String,
        /// Whether the thing was stopped.
        closed: bool,
    },
}

/// How a turn was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortReason {
    /// A person interrupted it.
    Interrupted,
    /// Another turn took its place.
    Replaced,
}

/// The settings a turn runs with, for the record.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnSettings {
    /// The model.
    pub model: String,
    /// The provider's id.
    pub provider_id: String,
    /// The working directory.
    pub cwd: PathBuf,
    /// `never`, `on-request`, …
    pub approval_policy: String,
    /// `read-only`, `workspace-write` or `danger-full-access`.
    pub sandbox_mode: String,
    /// Whether commands may use the network.
    pub network_access: bool,
    /// Directories that may be written besides the working directory.
    pub writable_roots: Vec<PathBuf>,
    /// Reasoning effort, where set.
    pub effort: Option<String>,
    /// Reasoning summary, where set.
    pub summary: Option<String>,
    /// `priority` or `flex`, where requests ask for it.
    pub service_tier: Option<String>,
    /// The output schema, where set.
    pub output_schema: Option<Value>,
}

/// What a request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestUse {
    /// An answer.
    Turn,
    /// A compaction.
    Compaction,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum TurnEvent {
    /// A turn began.
    TurnStarted {
        /// The turn.
        turn_id: TurnId,
        /// When.
        at: SystemTime,
        /// Tokens of context that may be used.
        context_window: Option<u64>,
        /// What made it: `exec`; none for a plain one.
        trigger: Option<String>,
        /// The turn of another thread that it works for.
        parent: Option<ParentTurn>,
    },
    /// A turn began in which another thread reviews changes. Of what that one does, its work is passed on under its own
    /// id, and nothing of what it says.
    ReviewStarted {
        /// The turn.
        turn_id: TurnId,
        /// When.
        at: SystemTime,
        /// What is reviewed.
        target: Box<ReviewTarget>,
    },
    /// The review is over, and what it brought becomes part of the conversation.
    ReviewEnded {
        /// The turn.
        turn_id: TurnId,
        /// What the reviewer says; none where it did not come to an end.
        output: Option<Box<ReviewOutput>>,
        /// What the reviewer used.
        usage: TokenUsage,
    },
    /// The settings of the turn, right after its context items.
    Settings {
        /// The turn.
        turn_id: TurnId,
        /// The settings.
        settings: Box<TurnSettings>,
    },
    /// An item entered the history. The rollout keeps exactly these.
    ItemRecorded {
        /// The turn.
        turn_id: TurnId,
        /// The item, with its id and metadata.
        item: std::sync::Arc<ResponseItem>,
    },
    /// The user's message, as people see it (it was recorded just before).
    UserMessage {
        /// The turn.
        turn_id: TurnId,
        /// The text.
        text: String,
        /// The files of the images that came with it.
        images: Vec<PathBuf>,
    },
    /// The model began an item of the answer.
    MessageStarted {
        /// The item's id; may be empty.
        item_id: String,
    },
    /// A piece of the answer.
    TextDelta {
        /// The text.
        delta: String,
    },
    /// The message that had begun will not be finished: an interrupt or a lost connection came first. It is no part
    /// of the conversation.
    MessageAbandoned {
        /// The item's id; may be empty.
        item_id: String,
        /// What had come of it.
        text: String,
    },
    /// A piece of the reasoning summary.
    ReasoningDelta {
        /// The text.
        delta: String,
    },
    /// Something visible began.
    ToolStarted {
        /// The call.
        call_id: CallId,
        /// What.
        activity: ToolActivity,
    },
    /// Something visible ended.
    ToolFinished {
        /// The call.
        call_id: CallId,
        /// What, with its result.
        activity: ToolActivity,
        /// How long it took.
        duration: Duration,
    },
    /// Somebody has to say whether a command that began may run outside of the sandbox.
    ApprovalRequested(ApprovalRequest),
    /// A tool call ended, visible or not; one for every call.
    ToolCalled {
        /// The call.
        call_id: CallId,
        /// The tool, with its namespace in front.
        tool: String,
        /// Whether it succeeded.
        success: bool,
        /// How long it took.
        duration: Duration,
        /// The output's text, as the model sees it.
        output: String,
    },
    /// A hook was asked.
    HookRan(HookRun),
    /// A request was answered to its end.
    RequestCompleted {
        /// The provider's id for the response.
        response_id: String,
        /// What this request used.
        usage: TokenUsage,
        /// What the turn used so far.
        turn_total: TokenUsage,
        /// What the thread used so far.
        thread_total: TokenUsage,
        /// Rate limits, as last reported.
        rate_limits: RateLimits,
        /// The turn.
        turn_id: TurnId,
        /// What it was for.
        made_for: RequestUse,
        /// From sending to the first byte of the answer.
        time_to_first_event: Duration,
        /// From sending to the end.
        duration: Duration,
    },
    /// A connection was lost and is tried again.
    Reconnecting {
        /// Which try, from 1.
        attempt: u32,
        /// The most there will be.
        max: u32,
        /// Why.
        reason: String,
        /// How long until then.
        delay: Duration,
    },
    /// The network is gone, and is waited for until somebody interrupts. Once per outage.
    WaitingForNetwork {
        /// Why a connection cannot be made.
        reason: String,
    },
    /// The conversation no longer fits into the model's context: the window counts as full.
    ContextFull {
        /// The turn.
        turn_id: TurnId,
        /// What the thread used so far.
        thread_total: TokenUsage,
        /// Rate limits, as last reported.
        rate_limits: RateLimits,
    },
    /// The conversation is being made shorter. Ends with [`TurnEvent::Compacted`] or
    /// [`TurnEvent::CompactionAbandoned`].
    CompactionStarted {
        /// The turn.
        turn_id: TurnId,
        /// What clients know it by.
        item_id: String,
        /// Who wanted it.
        trigger: CompactionTrigger,
    },
    /// The conversation was made shorter. The rollout keeps what it goes on with.
    Compacted(Box<Compacted>),
    /// The conversation stays as it was: making it shorter failed, or was interrupted.
    CompactionAbandoned {
        /// What clients know it by.
        item_id: String,
    },
    /// Something the user should know; work goes on.
    Warning {
        /// The text.
        message: String,
    },
    /// The turn ended well.
    TurnCompleted {
        /// The turn.
        turn_id: TurnId,
        /// The answer.
        last_message: Option<String>,
        /// When it began.
        started: SystemTime,
        /// How long it took.
        duration: Duration,
        /// Until the first text.
        time_to_first_token: Option<Duration>,
        /// What the thread used so far.
        thread_total: TokenUsage,
    },
    /// The turn ended with an error. The thread can go on.
    TurnFailed {
        /// The turn.
        turn_id: TurnId,
        /// What went wrong, for people.
        message: String,
        /// When it began.
        started: SystemTime,
        /// How long it took.
        duration: Duration,
    },
    /// The turn was interrupted.
    TurnAborted {
        /// The turn.
        turn_id: TurnId,
        /// Why.
        reason: AbortReason,
        /// When it began.
        started: SystemTime,
        /// How long it took.
        duration: Duration,
    },
}

/// A write that failed: the turn stops, since what is not recorded must not go on.
#[derive(Debug, thiserror::Error)]
#[error("cannot record the thread: {message}")]
pub struct RecordError {
    /// What failed, with the file.
    pub message: String,
}

/// Keeps the thread. Gets every event before anybody else and may refuse, which stops the turn.
pub trait Recorder: Send {
    /// Records an event, durably where it must survive.
    ///
    /// # Errors
    /// Says which file could not be written.
    fn record(&mut self, thread_id: ThreadId, event: &TurnEvent) -> Result<(), RecordError>;
}

/// Watches events. Must not wait: it is called between two steps of a turn.
pub trait Observer: Send {
    /// Sees an event.
    fn observe(&mut self, thread_id: ThreadId, event: &TurnEvent);
}

/// Where running tools report; the turn loop passes it on in order.
#[derive(Clone)]
pub struct EventSender(mpsc::UnboundedSender<TurnEvent>);

impl EventSender {
    /// Makes a sender with its receiver. Unbounded on purpose: a tool sends a few events, never a stream.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<TurnEvent>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Reports that something visible began.
    pub fn tool_started(&self, call_id: CallId, activity: ToolActivity) {
        self.send(TurnEvent::ToolStarted { call_id, activity });
    }

    /// Reports that something visible ended.
    pub fn tool_finished(&self, call_id: CallId, activity: ToolActivity, duration: Duration) {
        self.send(TurnEvent::ToolFinished {
            call_id,
            activity,
            duration,
        });
    }

    /// Reports that somebody has to answer.
    pub fn approval_requested(&self, request: ApprovalRequest) {
        self.send(TurnEvent::ApprovalRequested(request));
    }

    /// Reports what a hook did.
    pub fn hook_ran(&self, run: HookRun) {
        self.send(TurnEvent::HookRan(run));
    }

    /// Tells the user something.
    pub fn warning(&self, message: String) {
        self.send(TurnEvent::Warning { message });
    }

    fn send(&self, event: TurnEvent) {
        // The receiver is gone only when the turn is over, and then nobody wants to know.
        drop(self.0.send(event));
    }
}

/// Where a fork leaves another thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForkPoint {
    /// The other thread.
    pub thread_id: ThreadId,
    /// The first of its lines that the fork does not share. Copies, which older clients made, do not say.
    pub ordinal_exclusive: Option<u64>,
}

/// What a thread is, for its first line on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadInfo {
    /// The thread.
    pub thread_id: ThreadId,
    /// The root thread of its session.
    pub session_id: ThreadId,
    /// The window it starts in.
    pub window_id: WindowId,
    /// Where it was started.
    pub cwd: PathBuf,
    /// Who started it: `codex_exec`, ….
    pub originator: String,
    /// `exec`, `cli`, `vscode`, ….
    pub source: String,
    /// `user`, ….
    pub thread_source: Option<String>,
    /// The thread that started this one, as a review's or a sub-agent's. Not the one whose history it has.
    pub parent_thread_id: Option<ThreadId>,
    /// Where it left the thread whose history it begins with.
    pub forked_from: Option<ForkPoint>,
    /// What it is for, where another thread started it.
    pub subagent: Option<SubagentKind>,
    /// The provider's id.
    pub provider_id: String,
    /// The base instructions it runs with.
    pub base_instructions: String,
    /// The model those are for.
    pub model: String,
    /// When it began.
    pub created: SystemTime,
}
