//! What is said to the model: its surroundings, the prompt, and what people add while it works.

use serde_json::json;

use super::Prompt;
use super::handle::Steer;
use super::state::{Halt, Turn};
use super::thread::Thread;
use crate::context::context_items;
use crate::event::{RecordError, TurnEvent};
use crate::item::ResponseItem;
use crate::verdict::Ruling;

impl Thread {
    /// Takes up the prompt of a turn, after what was left over from earlier ones. False where hooks stopped it all.
    pub(super) async fn take_prompt(&mut self, turn: &mut Turn) -> Result<bool, Halt> {
        let notes = self.session_start(turn).await?;
        let mut said = false;
        while !turn.ticket.earlier.is_empty() {
            let steer = turn.ticket.earlier.remove(0);
            said |= self.take_steer(turn, steer).await?;
        }
        let prompt = std::mem::take(&mut turn.ticket.prompt);
        said |= self.submit(turn, prompt, notes).await?;
        Ok(said)
    }

    /// Takes up what was said while the turn ran. True where the model has something new to read.
    pub(super) async fn take_steers(&mut self, turn: &mut Turn) -> Result<bool, Halt> {
        let mut said = false;
        while let Some(steer) = turn.ticket.desk.next_steer() {
            said |= self.take_steer(turn, steer).await?;
        }
        Ok(said)
    }

    async fn take_steer(&mut self, turn: &mut Turn, steer: Steer) -> Result<bool, Halt> {
        let kept = steer.clone();
        match self.submit(turn, steer.prompt, Vec::new()).await {
            Ok(said) => {
                if let (true, Some(extras)) = (said, steer.extras) {
                    turn.options.extras = extras;
                }
                Ok(said)
            }
            Err(halt) => {
                // It was not taken up: the next turn reads it.
                turn.ticket.earlier.insert(0, kept);
                Err(halt)
            }
        }
    }

    /// Asks hooks about a prompt and records it. `notes` come before it, what its own hooks add comes after. False
    /// where hooks stopped it.
    async fn submit(
        &mut self,
        turn: &mut Turn,
        prompt: Prompt,
        notes: Vec<String>,
    ) -> Result<bool, Halt> {
        let ruling = self
            .rule(turn, "UserPromptSubmit", &prompt.text, json!({}))
            .await?;
        let (text, added) = match ruling {
            Ruling::Proceed { text, context } => (text, context),
            Ruling::Stop(reason) => {
                self.emit(TurnEvent::Warning {
                    message: format!("a hook stopped the prompt: {reason}"),
                })?;
                return Ok(false);
            }
        };
        self.record_context(turn)?;
        self.record_notes(turn, notes)?;
        self.record_said(turn, Prompt { text, ..prompt })?;
        self.record_notes(turn, added)?;
        Ok(true)
    }

    /// Records what of the surroundings the model does not know yet, once a turn.
    fn record_context(&mut self, turn: &mut Turn) -> Result<(), RecordError> {
        if std::mem::replace(&mut turn.context_recorded, true) {
            return Ok(());
        }
        for item in context_items(self.history.items(), &turn.options.facts) {
            self.record(turn, item)?;
        }
        self.emit(TurnEvent::Settings {
            turn_id: turn.id,
            settings: Box::new(turn.options.settings.clone()),
        })
    }

    fn record_said(&mut self, turn: &Turn, prompt: Prompt) -> Result<(), RecordError> {
        let (content, kinds): (Vec<_>, Vec<_>) = prompt.parts().into_iter().unzip();
        self.record(turn, ResponseItem::message("user", content, &kinds))?;
        let images = prompt.images.into_iter().map(|image| image.path);
        self.emit(TurnEvent::UserMessage {
            turn_id: turn.id,
            text: prompt.text,
            images: images.collect(),
        })
    }
}
