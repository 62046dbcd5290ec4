//! A review in a thread's file: where it begins and ends, and what people see of the reviewer's work.

use std::time::Duration;

use dovetail_core::event::{RecordError, TurnEvent};
use dovetail_core::ids::{ThreadId, TurnId};
use dovetail_core::review::{ReviewOutput, ReviewTarget};
use uuid::Uuid;

use super::RolloutRecorder;
use super::turn::{Turn, task_started};
use crate::turn_item::TurnItem;

/// A review that goes on in a turn.
#[derive(Default)]
pub(super) struct Review {
    /// The reviewer's turn, once it has begun.
    turn: Option<TurnId>,
}

impl RolloutRecorder {
    pub(super) fn review_started(
        &mut self,
        thread_id: ThreadId,
        id: TurnId,
        target: &ReviewTarget,
    ) -> Result<(), RecordError> {
        self.turn = Some(Turn {
            review: Some(Review::default()),
            ..Turn::new(id, id)
        });
        let entered = TurnItem::entered_review(Uuid::now_v7().to_string(), target);
        self.completed(thread_id, id, entered, Duration::ZERO)
    }

    /// Keeps what people see of the work of a reviewer, which has a file of its own for the rest.
    pub(super) fn reviewers(
        &mut self,
        reviewer: ThreadId,
        event: &TurnEvent,
    ) -> Result<(), RecordError> {
        let Some(review) = self.turn.as_mut().and_then(|turn| turn.review.as_mut()) else {
            return Ok(());
        };
        if let TurnEvent::TurnStarted { turn_id, .. } = event {
            review.turn = Some(*turn_id);
        }
        let turn = review.turn;
        match event {
            TurnEvent::TurnStarted { .. } => match task_started(event) {
                Some((started, _)) => self.event(&started),
                None => Ok(()),
            },
            TurnEvent::UserMessage {
                turn_id,
                text,
                images,
            } => {
                let item = TurnItem::user_message(Uuid::now_v7().to_string(), text, images);
                self.completed(reviewer, *turn_id, item, Duration::ZERO)
            }
            TurnEvent::ItemRecorded { turn_id, item } => match TurnItem::of_response(item) {
                Some(shown) => self.completed(reviewer, *turn_id, shown, Duration::ZERO),
                None => Ok(()),
            },
            TurnEvent::ToolFinished {
                call_id,
                activity,
                duration,
            } => self.worked(reviewer, turn, call_id, activity, *duration),
            TurnEvent::ReviewStarted { .. }
            | TurnEvent::ReviewEnded { .. }
            | TurnEvent::Settings { .. }
            | TurnEvent::MessageStarted { .. }
            | TurnEvent::TextDelta { .. }
            | TurnEvent::MessageAbandoned { .. }
            | TurnEvent::ReasoningDelta { .. }
            | TurnEvent::ToolStarted { .. }
            | TurnEvent::ApprovalRequested(_)
            | TurnEvent::ToolCalled { .. }
            | TurnEvent::HookRan(_)
            | TurnEvent::RequestCompleted { .. }
            | TurnEvent::Reconnecting { .. }
            | TurnEvent::WaitingForNetwork { .. }
            | TurnEvent::ContextFull { .. }
            | TurnEvent::CompactionStarted { .. }
            | TurnEvent::Compacted(_)
            | TurnEvent::CompactionAbandoned { .. }
            | TurnEvent::Warning { .. }
            | TurnEvent::TurnCompleted { .. }
            | TurnEvent::TurnFailed { .. }
            | TurnEvent::TurnAborted { .. } => Ok(()),
        }
    }

    pub(super) fn review_ended(
        &mut self,
        turn_id: TurnId,
        output: Option<&ReviewOutput>,
    ) -> Result<(), RecordError> {
        let exited = TurnItem::ExitedReviewMode {
            id: Uuid::now_v7().to_string(),
            review_output: output,
        };
        self.completed(self.info.thread_id, turn_id, exited, Duration::ZERO)
    }
}
