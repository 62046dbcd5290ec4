//! Where a thread comes from: who started it, and whose history it goes on with. These are two separate things: a
//! review has a parent and no history of it, a fork has a history and no parent.

use crate::event::{ForkPoint, ThreadInfo};
use crate::ids::{ThreadId, TurnId};

/// What a thread is for that another thread started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubagentKind {
    /// Reviews changes.
    Review,
    /// Compacts a conversation.
    Compact,
    /// Brings memories in order.
    MemoryConsolidation,
    /// Works on a task of the parent's.
    ThreadSpawn,
    /// Anything else, by its label, such as `guardian`.
    Other(String),
}

impl SubagentKind {
    /// The word in metadata and rollouts.
    pub fn label(&self) -> &str {
        match self {
            Self::Review => "review",
            Self::Compact => "compact",
            Self::MemoryConsolidation => "memory_consolidation",
            Self::ThreadSpawn => "thread_spawn",
            Self::Other(label) => label,
        }
    }

    /// The word in the header `x-openai-subagent`, which names spawned threads differently.
    pub fn header(&self) -> &str {
        match self {
            Self::ThreadSpawn => "collab_spawn",
            Self::Review | Self::Compact | Self::MemoryConsolidation | Self::Other(_) => {
                self.label()
            }
        }
    }
}

/// Where a thread comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The thread that started it.
    pub parent_thread_id: Option<ThreadId>,
    /// What it was started for.
    pub subagent: Option<SubagentKind>,
    /// The thread whose history it goes on with.
    pub forked_from: Option<ForkPoint>,
}

impl Lineage {
    /// Where a thread says it comes from.
    pub fn of(info: &ThreadInfo) -> Self {
        Self {
            parent_thread_id: info.parent_thread_id,
            subagent: info.subagent.clone(),
            forked_from: info.forked_from,
        }
    }
}

/// The turn of another thread that a turn works for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParentTurn {
    /// That turn.
    pub turn_id: TurnId,
    /// The turn of the root thread at the beginning of it all.
    pub root_turn_id: TurnId,
}
