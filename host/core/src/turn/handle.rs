//! Reaching into a thread from outside while a turn has it: start, steer, interrupt.
//!
//! The thread itself belongs to whoever runs its turns. Everybody else has a [`ThreadHandle`], on which a turn is
//! claimed before it runs: from the claim on it can be steered and interrupted, so there is no moment in which a
//! request of a client comes too early.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::Prompt;
use crate::event::AbortReason;
use crate::ids::TurnId;
use crate::snapshot::Extras;

/// Something said to a turn that is running. The model reads it before its next answer.
#[derive(Debug, Clone, Default)]
pub struct Steer {
    /// What was said.
    pub prompt: Prompt,
    /// Client extras that take the place of the turn's own; none leaves those.
    pub extras: Option<Extras>,
}

/// Why a turn can be neither steered nor interrupted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRunning {
    /// No turn runs.
    #[error("no active turn to steer")]
    Nothing,
    /// Another turn runs than the client thinks.
    #[error("expected active turn id `{expected}` but found `{running}`")]
    Other {
        /// The one the client named.
        expected: TurnId,
        /// The one that runs.
        running: TurnId,
    },
}

/// What came of wanting to start a turn.
#[derive(Debug)]
pub enum Start {
    /// It may run.
    New(TurnTicket),
    /// Another one runs; what was said is queued for it.
    Steered(TurnId),
}

/// A way to reach a thread. Copies reach the same one.
#[derive(Debug, Clone, Default)]
pub struct ThreadHandle(Arc<Mutex<Desk>>);

#[derive(Debug, Default)]
struct Desk {
    running: Option<Running>,
    queued: VecDeque<Steer>,
}

#[derive(Debug)]
struct Running {
    id: TurnId,
    cancel: CancellationToken,
    reason: AbortReason,
}

/// The right to run a turn. Giving it up unused lets go of the turn, and keeps what was queued.
#[derive(Debug)]
pub struct TurnTicket {
    pub(super) id: TurnId,
    pub(super) prompt: Prompt,
    /// What was queued for an earlier turn and not taken up by it.
    pub(super) earlier: Vec<Steer>,
    pub(super) cancel: CancellationToken,
    pub(super) desk: ThreadHandle,
}

impl TurnTicket {
    /// The turn.
    pub fn turn_id(&self) -> TurnId {
        self.id
    }
}

impl TurnTicket {
    /// Ends the turn, leaves what it has not taken up to the next one, and says why it would have been interrupted.
    pub(super) fn close(&mut self) -> AbortReason {
        let mut desk = self.desk.lock();
        for steer in self.earlier.drain(..).rev() {
            desk.queued.push_front(steer);
        }
        desk.clear(self.id)
    }
}

impl Drop for TurnTicket {
    fn drop(&mut self) {
        self.close();
    }
}

impl ThreadHandle {
    /// Claims a turn for a prompt; while another one runs, the prompt becomes a steer of that one. `cancel` interrupts
    /// the turn.
    pub fn start(&self, prompt: Prompt, cancel: CancellationToken) -> Start {
        let mut desk = self.lock();
        if let Some(running) = &desk.running {
            let id = running.id;
            desk.queued.push_back(Steer {
                prompt,
                extras: None,
            });
            return Start::Steered(id);
        }
        let id = desk.run(&cancel);
        let earlier = desk.queued.drain(..).collect();
        drop(desk);
        Start::New(TurnTicket {
            id,
            prompt,
            earlier,
            cancel,
            desk: self.clone(),
        })
    }

    /// Claims a turn in which nothing is said. What is queued stays for the next one. `cancel` interrupts the turn.
    ///
    /// # Errors
    /// Another turn runs, which is returned.
    pub fn claim(&self, cancel: CancellationToken) -> Result<TurnTicket, TurnId> {
        let mut desk = self.lock();
        if let Some(running) = &desk.running {
            return Err(running.id);
        }
        Ok(TurnTicket {
            id: desk.run(&cancel),
            prompt: Prompt::default(),
            earlier: Vec::new(),
            cancel,
            desk: self.clone(),
        })
    }

    /// The turn that runs.
    pub fn running(&self) -> Option<TurnId> {
        self.lock().running.as_ref().map(|running| running.id)
    }

    /// Says something to the turn that runs, which is returned.
    ///
    /// # Errors
    /// No turn runs, or another one than `expected`.
    pub fn steer(&self, expected: Option<TurnId>, steer: Steer) -> Result<TurnId, NotRunning> {
        let mut desk = self.lock();
        let id = desk.expect(expected)?.id;
        desk.queued.push_back(steer);
        Ok(id)
    }

    /// Interrupts the turn that runs, which is returned. It ends within 100 ms.
    ///
    /// # Errors
    /// No turn runs, or another one than `expected`.
    pub fn interrupt(
        &self,
        expected: Option<TurnId>,
        reason: AbortReason,
    ) -> Result<TurnId, NotRunning> {
        let mut desk = self.lock();
        let running = desk.expect(expected)?;
        // The first reason is the one that ended the turn.
        if !running.cancel.is_cancelled() {
            running.reason = reason;
            running.cancel.cancel();
        }
        Ok(running.id)
    }

    /// Takes out what no turn has taken up, so that a client can offer it for another try. What stays is read by the
    /// next turn.
    pub fn take_queued(&self) -> Vec<Steer> {
        self.lock().queued.drain(..).collect()
    }

    /// Whether something was said that no turn has taken up.
    pub(super) fn has_queued(&self) -> bool {
        !self.lock().queued.is_empty()
    }

    pub(super) fn next_steer(&self) -> Option<Steer> {
        self.lock().queued.pop_front()
    }

    /// Ends a turn unless something is queued for it. The two happen as one, so that nothing is queued for a turn that
    /// has just ended.
    pub(super) fn finish(&self, id: TurnId) -> bool {
        let mut desk = self.lock();
        if !desk.queued.is_empty() {
            return false;
        }
        desk.clear(id);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Desk> {
        // Every change is one step, so whoever panicked left nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    fn run(&mut self, cancel: &CancellationToken) -> TurnId {
        let id = TurnId::generate();
        self.running = Some(Running {
            id,
            cancel: cancel.clone(),
            reason: AbortReason::Interrupted,
        });
        id
    }

    fn expect(&mut self, expected: Option<TurnId>) -> Result<&mut Running, NotRunning> {
        let running = self.running.as_mut().ok_or(NotRunning::Nothing)?;
        match expected {
            Some(expected) if expected != running.id => Err(NotRunning::Other {
                expected,
                running: running.id,
            }),
            Some(_) | None => Ok(running),
        }
    }

    fn clear(&mut self, id: TurnId) -> AbortReason {
        match self.running.take_if(|running| running.id == id) {
            Some(running) => running.reason,
            None => AbortReason::Interrupted,
        }
    }
}
