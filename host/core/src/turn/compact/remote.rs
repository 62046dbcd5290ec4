//! Compaction by the provider's service: it answers with an item that only it can read.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::answer::Collected;
use super::{Made, Occasion};
use crate::compaction::{REMOTE_BUDGET, item_tokens, newest_messages, trimmed};
use crate::history::SharedItems;
use crate::item::ResponseItem;
use crate::snapshot::CompactionImplementation;
use crate::turn::state::{Halt, Lost, Turn};
use crate::turn::thread::Thread;

/// Such a request takes much longer than an answer, so it is repeated less often.
const STREAM_RETRIES: u32 = 2;

/// What clients know its failures by.
const FAILED: &str = "Error running remote compact task";

impl Thread {
    /// Asks the service to make the conversation shorter.
    pub(super) async fn compact_remotely(
        &mut self,
        turn: &mut Turn,
        occasion: Occasion,
    ) -> Result<Made, Halt> {
        let beside = turn.budget.beside(STREAM_RETRIES);
        let own = std::mem::replace(&mut turn.budget, beside);
        let made = self.ask_service(turn, occasion).await;
        let beside = std::mem::replace(&mut turn.budget, own);
        turn.budget.take_over(beside);
        made.map_err(|halt| match halt {
            Halt::Failed(why) => Halt::Failed(format!("{FAILED}: {why}")),
            Halt::Interrupted | Halt::Unrecorded(_) => halt,
        })
    }

    async fn ask_service(&mut self, turn: &mut Turn, occasion: Occasion) -> Result<Made, Halt> {
        let compaction = occasion.described(CompactionImplementation::ResponsesCompactionV2);
        loop {
            let input = with_trigger(&self.fitting(turn));
            let request = self.compaction_request(turn, compaction, input);
            match self.collect(turn, &request).await {
                Ok(answer) => return self.compacted(answer),
                Err(Lost::Halt(halt)) => return Err(halt),
                Err(Lost::Model(error)) => self.mend(turn, error).await?,
            }
        }
    }

    /// The conversation without the outputs for which there is no room.
    fn fitting(&self, turn: &Turn) -> SharedItems {
        let items = self.history.for_request(turn.options.image_input);
        match turn.options.context_window {
            Some(window) => trimmed(
                items,
                window.saturating_sub(item_tokens(&self.instructions)),
            ),
            None => items,
        }
    }

    fn compacted(&self, answer: Collected) -> Result<Made, Halt> {
        let all = answer.items.len();
        let mut compactions: Vec<ResponseItem> =
            answer.items.into_iter().filter(is_compaction).collect();
        let found = compactions.len();
        let (Some(mut item), 1) = (compactions.pop(), found) else {
            return Err(Halt::Failed(format!(
                "Fatal error: remote compaction v2 expected exactly one compaction output item, got {found} from {all} \
                 output items"
            )));
        };
        item.ensure_id();
        Ok(Made {
            kept: newest_messages(self.history.items(), REMOTE_BUDGET),
            rest: Arc::new(item),
            message: String::new(),
            response_id: answer.response_id,
        })
    }
}

/// The conversation and the request to make it shorter, which is no item of it and has no id.
fn with_trigger(items: &SharedItems) -> SharedItems {
    let kind = Value::String("compaction_trigger".to_owned());
    let trigger = ResponseItem::Other(Map::from_iter([("type".to_owned(), kind)]));
    items.iter().cloned().chain([Arc::new(trigger)]).collect()
}

fn is_compaction(item: &ResponseItem) -> bool {
    matches!(item, ResponseItem::Other(fields)
        if matches!(ResponseItem::other_kind(fields), "compaction" | "compaction_summary"))
}
