//! Compaction by the model itself: it writes a summary, and the conversation goes on from that.

use std::sync::Arc;

use super::answer::Collected;
use super::{Made, Occasion};
use crate::compaction::{LOCAL_BUDGET, SUMMARY_KIND, newest_messages, summary_text};
use crate::history::{History, SharedItems};
use crate::item::{ContentItem, ResponseItem};
use crate::model::{FailureStage, ModelError};
use crate::plugin::FailureKind;
use crate::snapshot::CompactionImplementation;
use crate::turn::state::{Halt, Lost, Turn};
use crate::turn::thread::Thread;

/// The part of a conversation that is left out where it is too long even to be summed up, once more for each time that
/// the service says so. At least one item.
const LEFT_OUT: usize = 8;

impl Thread {
    /// Asks for a summary. Where the conversation is too long for that, its oldest items are left out.
    pub(super) async fn compact_locally(
        &mut self,
        turn: &mut Turn,
        occasion: Occasion,
    ) -> Result<Made, Halt> {
        let beside = turn.budget.beside(u32::MAX);
        let own = std::mem::replace(&mut turn.budget, beside);
        let made = self.sum_up(turn, occasion).await;
        let beside = std::mem::replace(&mut turn.budget, own);
        turn.budget.take_over(beside);
        made
    }

    async fn sum_up(&mut self, turn: &mut Turn, occasion: Occasion) -> Result<Made, Halt> {
        let compaction = occasion.described(CompactionImplementation::Responses);
        let mut oldest = 0;
        loop {
            let image_input = turn.options.image_input;
            let items = self.history.for_request_without(oldest, image_input);
            let input = with_prompt(&items, &turn.options.compaction.prompt);
            let request = self.compaction_request(turn, compaction, input);
            let error = match self.collect(turn, &request).await {
                Ok(answer) => match last_text(&answer) {
                    Some(summary) => return Ok(self.summed_up(turn, &summary, answer)),
                    None => no_summary(),
                },
                Err(Lost::Halt(halt)) => return Err(halt),
                Err(Lost::Model(error)) => error,
            };
            if error.kind == FailureKind::ContextWindowExceeded && !items.is_empty() {
                let more = (items.len() / LEFT_OUT).max(1);
                oldest = self.history.after_outputs(oldest + more);
                turn.budget.succeeded();
            } else {
                self.mend(turn, error).await?;
            }
        }
    }

    fn summed_up(&self, turn: &Turn, summary: &str, answer: Collected) -> Made {
        let message = summary_text(summary);
        let text = message.clone();
        let summary = vec![ContentItem::InputText { text }];
        let summary = ResponseItem::message("user", summary, &[SUMMARY_KIND]);
        Made {
            kept: newest_messages(self.history.items(), LOCAL_BUDGET),
            rest: History::admit(summary, turn.id),
            message,
            response_id: answer.response_id,
        }
    }
}

/// The conversation and what is asked of it, which is no part of it: it has no id and belongs to no turn.
fn with_prompt(items: &SharedItems, prompt: &str) -> SharedItems {
    let text = prompt.to_owned();
    let prompt = ResponseItem::Message {
        id: None,
        role: "user".to_owned(),
        content: vec![ContentItem::InputText { text }],
        phase: None,
        metadata: None,
    };
    items.iter().cloned().chain([Arc::new(prompt)]).collect()
}

fn last_text(answer: &Collected) -> Option<String> {
    let mut texts = answer.items.iter().rev();
    let text = texts.find_map(ResponseItem::assistant_text)?;
    (!text.trim().is_empty()).then_some(text)
}

/// Going on from nothing would lose the conversation, so this is a failure like a lost connection.
fn no_summary() -> ModelError {
    let why = "the model was asked for a summary of the conversation and gave none";
    ModelError::new(FailureStage::Stream, why.to_owned())
}
