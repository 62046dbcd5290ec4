//! A turn that is going on, and the ways its loop is left early.

use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::TurnOptions;
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
    pub(super) budget: RetryBudget,
    pub(super) turn_state: Option<String>,
    pub(super) used: TokenUsage,
    pub(super) warned_model: bool,
    pub(super) events: mpsc::UnboundedReceiver<TurnEvent>,
    pub(super) sender: EventSender,
}

impl Turn {
    pub(super) fn new(options: TurnOptions, cancel: CancellationToken) -> Self {
        let (sender, events) = EventSender::channel();
        Self {
            id: TurnId::generate(),
            started: SystemTime::now(),
            clock: Instant::now(),
            first_token: None,
            budget: RetryBudget::new(options.retries),
            options,
            cancel,
            turn_state: None,
            used: TokenUsage::default(),
            warned_model: false,
            events,
            sender,
        }
    }

    pub(super) async fn pause(&self, delay: Duration) -> Result<(), Halt> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Halt::Interrupted),
            () = tokio::time::sleep(delay) => Ok(()),
        }
    }
}
