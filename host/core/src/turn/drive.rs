//! The loop of a turn: what is said, what the model answers, and until when.

use super::state::{Halt, Turn};
use super::thread::{Thread, user_text};
use crate::event::{RecordError, TurnEvent};

impl Thread {
    pub(super) fn begin(&mut self, turn: &Turn) -> Result<(), RecordError> {
        self.emit(TurnEvent::TurnStarted {
            turn_id: turn.id,
            at: turn.started,
            context_window: turn.options.context_window,
            trigger: turn.options.turn_trigger.clone(),
            parent: turn.options.parent_turn,
        })?;
        if !std::mem::replace(&mut self.warmed_up, true) {
            // Beside hooks and prompt: nobody waits for a connection that is not needed yet.
            self.ports.model.warm_up(&self.beginning(turn));
        }
        Ok(())
    }

    /// Runs a turn to its end. There is no limit to the number of requests: the model ends a turn, or a person does.
    pub(super) async fn drive(&mut self, turn: &mut Turn) -> Result<Option<String>, Halt> {
        self.begin(turn)?;
        self.compact_before(turn).await?;
        let mut ask = self.take_prompt(turn).await?;
        if !ask && turn.finish() {
            return Ok(None);
        }
        let mut last_message = None;
        let mut continuations = 0;
        loop {
            // What was said meanwhile belongs before the next request.
            ask |= self.take_steers(turn).await?;
            if ask {
                let sampled = self.sample_until_done(turn).await?;
                last_message = sampled.message.or(last_message);
                ask = sampled.follow_up;
                if ask || turn.ticket.desk.has_queued() {
                    self.compact_within(turn).await?;
                }
                continue;
            }
            match self
                .stop_hooks(turn, last_message.as_deref(), continuations)
                .await?
            {
                Some(reason) => {
                    continuations += 1;
                    self.compact_within(turn).await?;
                    let text = format!(
                        "<hook_prompt hook_run_id=\"stop:{continuations}\">{reason}</hook_prompt>"
                    );
                    self.record(turn, user_text(text, "generic.hook_prompt"))?;
                    ask = true;
                }
                None if turn.finish() => return Ok(last_message),
                // Something was said while the hooks were asked.
                None => {}
            }
        }
    }
}
