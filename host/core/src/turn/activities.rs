//! What can be seen of a turn and has begun but not ended. Nothing is left open when it is given up.

use std::collections::HashSet;

use crate::event::{ToolActivity, TurnEvent};
use crate::ids::CallId;

/// Visible work of calls that is going on.
#[derive(Default)]
pub(super) struct Activities {
    open: Vec<(CallId, ToolActivity)>,
    given_up: HashSet<CallId>,
}

impl Activities {
    /// Notes what an event begins or ends. False where it comes from a call that was given up.
    pub(super) fn take(&mut self, event: &TurnEvent) -> bool {
        match event {
            TurnEvent::ToolStarted { call_id, activity } => {
                if self.given_up.contains(call_id) {
                    return false;
                }
                self.open.push((call_id.clone(), activity.clone()));
                true
            }
            TurnEvent::ToolFinished { call_id, .. } => {
                self.open.retain(|(open, _)| open != call_id);
                !self.given_up.contains(call_id)
            }
            _ => true,
        }
    }

    /// Gives a call up and says what of it must be closed.
    pub(super) fn give_up(&mut self, call_id: &CallId) -> Option<ToolActivity> {
        self.given_up.insert(call_id.clone());
        let at = self.open.iter().position(|(open, _)| open == call_id)?;
        Some(self.open.remove(at).1.given_up())
    }
}

/// A message that is coming in.
pub(super) struct Partial {
    pub(super) item_id: String,
    pub(super) text: String,
}
