//! What a server tells beside its answers, failures included.

use std::time::Duration;

use super::state::Turn;
use super::thread::Thread;
use crate::event::{RecordError, TurnEvent};
use crate::model::{ModelError, ModelEvent};
use crate::plugin::FailureKind;
use crate::retry::MAX_DELAY;

/// What responses tell of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// The version of its model catalogue, which tells whether a copy is still good.
    pub models_etag: Option<String>,
    /// Whether its token counts include the reasoning that the conversation carries.
    pub counts_reasoning: bool,
}

impl Thread {
    /// What responses told of the server so far.
    pub fn server(&self) -> &ServerFacts {
        &self.server
    }

    /// Takes what an event tells of the server beside the answer; gives back events that are about the answer.
    pub(super) fn take_fact(
        &mut self,
        turn: &mut Turn,
        event: ModelEvent,
    ) -> Result<Option<ModelEvent>, RecordError> {
        match event {
            ModelEvent::RateLimits(limits) => self.rate_limits.update(limits),
            ModelEvent::ModelsEtag(etag) => self.server.models_etag = Some(etag),
            ModelEvent::ReasoningIncluded => self.server.counts_reasoning = true,
            ModelEvent::ServerModel(model) => self.warn_other_model(turn, &model)?,
            ModelEvent::ItemLost(why) => {
                let message =
                    format!("a part of the model's answer cannot be read and is left out: {why}");
                self.emit(TurnEvent::Warning { message })?;
            }
            ModelEvent::Created
            | ModelEvent::TurnState(_)
            | ModelEvent::ItemAdded { .. }
            | ModelEvent::TextDelta(_)
            | ModelEvent::ReasoningDelta(_)
            | ModelEvent::ItemDone(_)
            | ModelEvent::Completed { .. } => return Ok(Some(event)),
        }
        Ok(None)
    }

    fn warn_other_model(&mut self, turn: &mut Turn, model: &str) -> Result<(), RecordError> {
        if model == turn.options.settings.model || std::mem::replace(&mut turn.warned_model, true) {
            return Ok(());
        }
        let message = format!(
            "the server answered with model `{model}` instead of `{}`",
            turn.options.settings.model
        );
        self.emit(TurnEvent::Warning { message })
    }

    /// Takes from a failure what it tells beside that it happened.
    pub(super) fn learn_from(
        &mut self,
        turn: &Turn,
        error: &ModelError,
    ) -> Result<(), RecordError> {
        if let Some(limits) = &error.rate_limits {
            self.rate_limits.update((**limits).clone());
        }
        if error.kind != FailureKind::ContextWindowExceeded {
            return Ok(());
        }
        if let Some(window) = turn.options.context_window {
            self.gauge.full(window, self.history.items().len());
        }
        self.emit(TurnEvent::ContextFull {
            turn_id: turn.id,
            thread_total: self.totals,
            rate_limits: self.rate_limits.clone(),
        })
    }
}

/// The words of a failure that could be repeated, if its server did not ask for so much time.
pub(super) fn too_long(message: &str, asked: Duration) -> String {
    let minutes = |time: Duration| time.as_secs().div_ceil(60);
    let asked = match asked {
        Duration::MAX => "for ever".to_owned(),
        asked => format!("{} min", minutes(asked)),
    };
    let most = minutes(MAX_DELAY);
    format!("{message} (the server asks to wait {asked}; more than {most} min is not waited for)")
}
