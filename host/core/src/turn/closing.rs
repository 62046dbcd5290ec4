//! The end of a turn, however it came.

use super::TurnOutcome;
use super::state::{Halt, Turn};
use super::thread::{Thread, user_text};
use crate::event::{RecordError, TurnEvent};

/// What the model reads where a turn was cut short.
const ABORT_MARKER: &str = "<turn_aborted>\nThe user interrupted this turn. Commands that were running have been stopped and may have done part of their work; check before going on.\n</turn_aborted>";

impl Thread {
    /// Writes the last event of a turn.
    pub(super) fn close(
        &mut self,
        turn: &mut Turn,
        end: Result<Option<String>, Halt>,
    ) -> Result<TurnOutcome, RecordError> {
        self.pass_all_on(turn)?;
        let reason = turn.ticket.close();
        let (turn_id, started, duration) = (turn.id, turn.started, turn.clock.elapsed());
        match end {
            Ok(last_message) => {
                self.emit(TurnEvent::TurnCompleted {
                    turn_id,
                    last_message: last_message.clone(),
                    started,
                    duration,
                    time_to_first_token: turn.first_token,
                    thread_total: self.totals,
                })?;
                Ok(TurnOutcome::Completed(last_message))
            }
            Err(Halt::Failed(message)) => {
                self.emit(TurnEvent::TurnFailed {
                    turn_id,
                    message: message.clone(),
                    started,
                    duration,
                })?;
                Ok(TurnOutcome::Failed(message))
            }
            Err(Halt::Interrupted) => {
                if !turn.explained {
                    let marker = user_text(ABORT_MARKER.to_owned(), "generic.turn_aborted");
                    self.record(turn, marker)?;
                }
                self.emit(TurnEvent::TurnAborted {
                    turn_id,
                    reason,
                    started,
                    duration,
                })?;
                Ok(TurnOutcome::Interrupted)
            }
            Err(Halt::Unrecorded(error)) => Err(error),
        }
    }
}
