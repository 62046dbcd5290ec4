//! Questions that whoever plays the client has yet to answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dovetail_core::approval::{ApprovalDecision, ApprovalRequest, Approver};
use dovetail_core::ids::CallId;
use tokio::sync::oneshot;

/// Open questions, by the call that they are about; none once nobody answers any more.
#[derive(Debug)]
pub(super) struct Desk(Mutex<Option<Questions>>);

type Questions = HashMap<CallId, oneshot::Sender<ApprovalDecision>>;

impl Default for Desk {
    fn default() -> Self {
        Self(Mutex::new(Some(Questions::new())))
    }
}

impl Desk {
    /// Answers a question; false where nobody asked it, or nobody waits any more.
    pub(super) fn answer(&self, call_id: &CallId, decision: ApprovalDecision) -> bool {
        let mut questions = self.questions();
        let asked = questions.as_mut().and_then(|open| open.remove(call_id));
        asked.is_some_and(|asked| asked.send(decision).is_ok())
    }

    /// From here on nobody answers: what is asked is declined.
    pub(super) fn close(&self) {
        self.questions().take();
    }

    fn questions(&self) -> MutexGuard<'_, Option<Questions>> {
        // Every change is one step, so whoever panicked left nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Approver for Desk {
    fn ask(&self, request: &ApprovalRequest) -> oneshot::Receiver<ApprovalDecision> {
        let (answer, decision) = oneshot::channel();
        if let Some(open) = self.questions().as_mut() {
            // What was asked with the same id before is dropped, and so declined.
            drop(open.insert(request.call_id.clone(), answer));
        }
        decision
    }
}
