//! Asking a person before a command runs outside of the sandbox.
//!
//! Where nobody can be asked there is no [`Approver`], and such a command is refused.

use std::fmt::Debug;
use std::path::PathBuf;

use tokio::sync::oneshot;

use crate::ids::{CallId, ThreadId, TurnId};

/// What a person is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRequest {
    /// The thread.
    pub thread_id: ThreadId,
    /// The turn.
    pub turn_id: TurnId,
    /// The call.
    pub call_id: CallId,
    /// The argv, shell included.
    pub command: Vec<String>,
    /// Where it would run.
    pub cwd: PathBuf,
    /// Why, in the model's words.
    pub reason: Option<String>,
}

/// What a person says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalDecision {
    /// The command may run outside of the sandbox, this once.
    Accept,
    /// It may not; the turn goes on.
    Decline,
    /// It may not, and the turn is interrupted.
    Cancel,
}

/// Whoever watches a session and can answer. That there is a question is told by
/// [`TurnEvent::ApprovalRequested`](crate::event::TurnEvent::ApprovalRequested), in its place among the other events.
pub trait Approver: Debug + Send + Sync {
    /// Takes a question in, before anybody is told of it. The answer comes over the channel; where none comes, it is
    /// [`ApprovalDecision::Decline`]. Nobody listens any more once the turn is interrupted.
    fn ask(&self, request: &ApprovalRequest) -> oneshot::Receiver<ApprovalDecision>;
}
