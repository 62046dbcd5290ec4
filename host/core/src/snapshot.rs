//! Who asks, for what: one snapshot per request, rendered three ways.
//!
//! The headers, the flat `client_metadata` and the `x-codex-turn-metadata` blob all come from the same value, so they
//! cannot disagree. What is missing from a request of some kind is missing from its type: a request that belongs to no
//! turn has no [`TurnIdentity`], and a connection that belongs to no request has an [`Identity`] and no blob.

mod blob;
mod extras;
mod projection;
mod workspace;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::ids::{ThreadId, TurnId, WindowId};
use crate::lineage::{Lineage, ParentTurn};
use crate::model::NodeRepl;

pub use extras::{Extras, ExtrasError};
pub use projection::TraceContext;
pub use workspace::{WorkspaceFacts, Workspaces};

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestKind {
    /// A turn.
    Turn,
    /// Warming a connection.
    Prewarm,
    /// Compacting.
    Compaction(Compaction),
    /// Making memories of other threads; such a request says nothing of the thread that makes it.
    Memory,
}

impl RequestKind {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Prewarm => "prewarm",
            Self::Compaction(_) => "compaction",
            Self::Memory => "memory",
        }
    }
}

/// What a compaction is, for those who count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Compaction {
    /// Who wanted it.
    pub trigger: CompactionTrigger,
    /// Why.
    pub reason: CompactionReason,
    /// How it is done.
    pub implementation: CompactionImplementation,
    /// When.
    pub phase: CompactionPhase,
    strategy: CompactionStrategy,
}

impl Compaction {
    /// Describes a compaction.
    pub fn new(
        trigger: CompactionTrigger,
        reason: CompactionReason,
        implementation: CompactionImplementation,
        phase: CompactionPhase,
    ) -> Self {
        Self {
            trigger,
            reason,
            implementation,
            phase,
            strategy: CompactionStrategy::Memento,
        }
    }
}

/// Who wanted a compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CompactionTrigger {
    /// The host.
    Auto,
    /// A person.
    Manual,
}

impl CompactionTrigger {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Manual => "manual",
        }
    }
}

/// Why a conversation is compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CompactionReason {
    /// It grew too long.
    ContextLimit,
    /// A person asked.
    UserRequested,
    /// The next model has a smaller window.
    ModelDownshift,
}

/// How a conversation is compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CompactionImplementation {
    /// By an ordinary request for a summary.
    Responses,
    /// By the service, with a request of its own.
    ResponsesCompact,
    /// By the service, with a control item in an ordinary request.
    ResponsesCompactionV2,
}

/// When a conversation is compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CompactionPhase {
    /// Before a turn's first request.
    PreTurn,
    /// Between two requests of a turn.
    MidTurn,
    /// In a turn of its own.
    StandaloneTurn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum CompactionStrategy {
    Memento,
}

/// How the conversation in this process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryInitialization {
    /// From nothing.
    New,
    /// From a file.
    ColdResume,
    /// From another thread's file.
    ColdFork,
    /// From another thread in this process.
    WarmFork,
}

/// Who asks: the same for every request of a thread, but for its window.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Stable per home directory.
    pub installation_id: String,
    /// The root thread of the session; all threads under it share it.
    pub session_id: ThreadId,
    /// This thread.
    pub thread_id: ThreadId,
    /// How many compactions came before.
    pub window_number: u64,
    /// The window's own id.
    pub context_window_id: WindowId,
    /// Where the thread comes from.
    pub lineage: Lineage,
    /// `user`, ….
    pub thread_source: Option<String>,
}

/// The turn that a request belongs to.
#[derive(Debug, Clone)]
pub struct TurnIdentity {
    /// The turn.
    pub id: TurnId,
    /// The turn of another thread that it works for.
    pub parent: Option<ParentTurn>,
    /// What made it: `exec`; none for a plain one.
    pub trigger: Option<String>,
    /// When it began.
    pub started_at: SystemTime,
}

impl TurnIdentity {
    /// The turn of the root thread that this one belongs to; its own id in a root thread.
    pub fn root(&self) -> TurnId {
        self.parent.map_or(self.id, |parent| parent.root_turn_id)
    }
}

/// The snapshot.
#[derive(Debug, Clone)]
pub struct RequestSnapshot {
    /// Who asks.
    pub identity: Identity,
    /// For what.
    pub kind: RequestKind,
    /// In which turn; none before the first one.
    pub turn: Option<TurnIdentity>,
    /// How the conversation began.
    pub history_initialization: HistoryInitialization,
    /// `seccomp` or `none`.
    pub sandbox: &'static str,
    /// `read-only`, ….
    pub sandbox_mode: String,
    /// Git work trees, by root, as far as they are known by now.
    pub workspaces: BTreeMap<String, WorkspaceFacts>,
    /// The model's script interpreter.
    pub node_repl: NodeRepl,
    /// Whether product analytics are on. They are not built, so nobody sets it.
    pub analytics_enabled: bool,
    /// The model.
    pub model: String,
    /// The effort, where one is sent.
    pub reasoning_effort: Option<String>,
    /// Client extras.
    pub extras: Extras,
}

/// What the sandbox of a mode is called in metadata.
pub fn sandbox_tag(mode: &str) -> &'static str {
    if mode == "danger-full-access" {
        "none"
    } else {
        "seccomp"
    }
}

/// Milliseconds since 1970; a clock set before then counts as 1970.
pub fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
