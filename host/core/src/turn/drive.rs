//! The loop of a turn: what is said, what the model answers, and until when.

use serde_json::json;

use super::Prompt;
use super::state::{Halt, Turn};
use super::thread::{Thread, user_text};
use crate::context::context_items;
use crate::event::{RecordError, TurnEvent};
use crate::item::{ContentItem, ResponseItem};
use crate::verdict::Ruling;

impl Thread {
    pub(super) async fn drive(
        &mut self,
        turn: &mut Turn,
        prompt: Prompt,
    ) -> Result<Option<String>, Halt> {
        self.emit(TurnEvent::TurnStarted {
            turn_id: turn.id,
            at: turn.started,
            context_window: turn.options.context_window,
        })?;
        let mut notes = self.session_start(turn).await?;
        let text = match self
            .rule(turn, "UserPromptSubmit", &prompt.text, json!({}))
            .await?
        {
            Ruling::Proceed { text, context } => {
                notes.extend(context);
                text
            }
            Ruling::Stop(reason) => {
                self.emit(TurnEvent::Warning {
                    message: format!("a hook stopped the prompt: {reason}"),
                })?;
                return Ok(None);
            }
        };
        self.record_input(turn, text, prompt.images, notes)?;
        let mut last_message = None;
        let mut continuations = 0;
        loop {
            let sampled = self.sample_until_done(turn).await?;
            last_message = sampled.message.or(last_message);
            if sampled.follow_up {
                continue;
            }
            let Some(reason) = self
                .stop_hooks(turn, last_message.as_deref(), continuations)
                .await?
            else {
                return Ok(last_message);
            };
            continuations += 1;
            let text =
                format!("<hook_prompt hook_run_id=\"stop:{continuations}\">{reason}</hook_prompt>");
            self.record(turn, user_text(text, "generic.hook_prompt"))?;
        }
    }

    /// Records what the model must know, then what the user said.
    pub(super) fn record_input(
        &mut self,
        turn: &Turn,
        text: String,
        images: Vec<ContentItem>,
        notes: Vec<String>,
    ) -> Result<(), RecordError> {
        for item in context_items(self.history.items(), &turn.options.facts) {
            self.record(turn, item)?;
        }
        self.emit(TurnEvent::Settings {
            turn_id: turn.id,
            settings: Box::new(turn.options.settings.clone()),
        })?;
        let shown = (text.clone(), images.len());
        let mut content = vec![ContentItem::InputText { text }];
        content.extend(images);
        let kinds: Vec<&str> = std::iter::once("user.text")
            .chain(std::iter::repeat_n("user.image", shown.1))
            .collect();
        self.record(turn, ResponseItem::message("user", content, &kinds))?;
        self.emit(TurnEvent::UserMessage {
            turn_id: turn.id,
            text: shown.0,
            images: shown.1,
        })?;
        self.record_notes(turn, notes)
    }
}
