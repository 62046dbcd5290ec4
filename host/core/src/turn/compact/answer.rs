//! The answer to a request that is to make a conversation shorter: collected, and not part of the conversation.

use std::time::Instant;

use futures_util::StreamExt;

use crate::event::RequestUse;
use crate::item::ResponseItem;
use crate::model::{ModelEvent, ModelRequest};
use crate::turn::sampling::{Timing, cut_off};
use crate::turn::state::{Halt, Lost, Turn};
use crate::turn::thread::Thread;

/// What a whole answer brought.
pub(super) struct Collected {
    pub(super) items: Vec<ResponseItem>,
    pub(super) response_id: String,
}

impl Thread {
    /// Sends a request and takes its answer to the end. Nothing of it is recorded but what it used.
    pub(super) async fn collect(
        &mut self,
        turn: &mut Turn,
        request: &ModelRequest,
    ) -> Result<Collected, Lost> {
        let sent = Instant::now();
        let mut stream = self.open(turn, request).await?;
        let (mut items, mut first_event) = (Vec::new(), None);
        loop {
            let next = tokio::select! {
                biased;
                () = turn.cancel.cancelled() => return Err(Lost::Halt(Halt::Interrupted)),
                next = stream.next() => next,
            };
            let event = match next {
                Some(Ok(event)) => event,
                Some(Err(error)) => return Err(Lost::Model(error)),
                None => return Err(Lost::Model(cut_off())),
            };
            first_event.get_or_insert_with(|| sent.elapsed());
            match self.take_fact(turn, event)? {
                Some(ModelEvent::ItemDone(item)) => items.push(*item),
                Some(ModelEvent::Completed {
                    response_id, usage, ..
                }) => {
                    let timing = Timing { sent, first_event };
                    let usage = usage.unwrap_or_default();
                    self.count(turn, &response_id, usage, RequestUse::Compaction, timing)?;
                    return Ok(Collected { items, response_id });
                }
                // Sticky routing is for answers; nobody watches this text come in.
                Some(_) | None => {}
            }
        }
    }
}
