//! A turn that is going on, and the ways its loop is left early.

use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::TurnOptions;
use super::activities::{Activities, Partial};
use super::handle::TurnTicket;
use crate::event::{EventSender, RecordError, TurnEvent};
use crate::ids::TurnId;
use crate::model::ModelError;
use crate::retry::RetryBudget;
use crate::usage::TokenUsage;

/// Why the loop was left early.
pub(super) enum Halt {
    Failed(String),
    Interrupted,
    Unrecorded(RecordError),
}

impl From<RecordError> for Halt {
    fn from(error: RecordError) -> Self {
        Self::Unrecorded(error)
    }
}

/// Why a request was not answered to its end.
pub(super) enum Lost {
    Model(ModelError),
    Halt(Halt),
}

impl From<RecordError> for Lost {
    fn from(error: RecordError) -> Self {
        Self::Halt(Halt::Unrecorded(error))
    }
}

/// A turn that is going on.
pub(super) struct Turn {
    pub(super) id: TurnId,
    pub(super) started: SystemTime,
    pub(super) clock: Instant,
    pub(super) first_token: Option<Duration>,
    pub(super) options: TurnOptions,
    pub(super) cancel: CancellationToken,
    /// The claim on the thread; it ends with the turn.
    pub(super) ticket: TurnTicket,
    pub(super) budget: RetryBudget,
    pub(super) turn_state: Option<String>,
    pub(super) used: TokenUsage,
    pub(super) warned_model: bool,
    pub(super) context_recorded: bool,
    /// Whether it says itself what became of it, where it is interrupted.
    pub(super) explained: bool,
    /// Compactions that were of no use, see [`super::compact`].
    pub(super) useless_compactions: u32,
    /// Whether no request was answered since a compaction.
    pub(super) just_compacted: bool,
    pub(super) partial: Option<Partial>,
    pub(super) activities: Activities,
    pub(super) events: mpsc::UnboundedReceiver<TurnEvent>,
    pub(super) sender: EventSender,
}

impl Turn {
    pub(super) fn new(ticket: TurnTicket, options: TurnOptions) -> Self {
        let (sender, events) = EventSender::channel();
        Self {
            id: ticket.id,
            started: SystemTime::now(),
            clock: Instant::now(),
            first_token: None,
            budget: RetryBudget::new(options.retries),
            options,
            cancel: ticket.cancel.clone(),
            ticket,
            turn_state: None,
            used: TokenUsage::default(),
            warned_model: false,
            context_recorded: false,
            explained: false,
            useless_compactions: 0,
            just_compacted: false,
            partial: None,
            activities: Activities::default(),
            events,
            sender,
        }
    }

    /// Ends the turn, unless something was said that nobody has read yet.
    pub(super) fn finish(&self) -> bool {
        self.ticket.desk.finish(self.id)
    }

    pub(super) async fn pause(&self, delay: Duration) -> Result<(), Halt> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Halt::Interrupted),
            () = tokio::time::sleep(delay) => Ok(()),
        }
    }
}
