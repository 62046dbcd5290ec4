//! A connection with what belongs to it.

use std::collections::VecDeque;

use dovetail_core::model::ModelEvent;

use super::continuation::Answered;
use super::wire::{Heard, Lost, Wire};
use crate::event::Signal;
use crate::redact::Redactor;

/// A connection that can be asked.
pub(super) struct Connection {
    pub(super) wire: Wire,
    /// What the handshake told and nobody was told yet.
    pub(super) told: VecDeque<ModelEvent>,
    pub(super) login: Login,
    /// What was answered on it last.
    pub(super) answered: Option<Answered>,
}

/// The credential that a connection was opened with.
pub(super) struct Login {
    /// Its secrets, to be left out of what is said.
    pub(super) redactor: Redactor,
    /// Which one it was.
    pub(super) generation: u64,
}

impl Connection {
    /// Has the server make ready: the id of its response, which says nothing.
    pub(super) async fn warm_up(&mut self, message: Vec<u8>) -> Result<String, Lost> {
        // The caller's patience is the shorter one.
        let limit = super::WARM_UP_PATIENCE;
        self.wire.send(message, limit).await?;
        loop {
            match self.wire.hear(limit).await? {
                Heard::Signal(Signal::Completed { response_id, .. }) => return Ok(response_id),
                Heard::Signal(Signal::RateLimits(limits)) => {
                    self.told.push_back(ModelEvent::RateLimits(limits));
                }
                Heard::Signal(Signal::Created | Signal::Ignored) => {}
                // It does not know what it is asked for.
                Heard::Signal(_) | Heard::Refusal(_) => return Err(Lost::Closed(None)),
            }
        }
    }
}

// Whoever wants to know what became of a connection does not want its secrets.
impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("told", &self.told)
            .field("generation", &self.login.generation)
            .finish_non_exhaustive()
    }
}
