//! What a signal means to whoever asked, whichever way it came.

use std::sync::Arc;

use dovetail_core::model::{ModelError, ModelEvent};
use dovetail_core::plugin::Provider;

use crate::event::Signal;
use crate::failure;
use crate::redact::Redactor;

/// Interprets the signals of one response.
pub(crate) struct Interpreter {
    provider: Arc<dyn Provider>,
    /// Whether a message is being streamed: text belongs to one.
    in_message: bool,
}

impl Interpreter {
    pub(crate) fn new(provider: Arc<dyn Provider>) -> Self {
        Self {
            provider,
            in_message: false,
        }
    }

    /// What a signal means to the caller; none for what does not concern it.
    pub(crate) async fn interpret(
        &mut self,
        signal: Signal,
        redactor: &Redactor,
    ) -> Option<Result<ModelEvent, ModelError>> {
        Some(match signal {
            Signal::Created => Ok(ModelEvent::Created),
            Signal::ItemAdded { kind, id } => {
                self.in_message |= kind == "message";
                Ok(ModelEvent::ItemAdded { kind, id })
            }
            Signal::Text(delta) if self.in_message => Ok(ModelEvent::TextDelta(delta)),
            Signal::Text(_) => {
                tracing::error!("a piece of text belongs to no message and is left out");
                return None;
            }
            Signal::Reasoning(delta) => Ok(ModelEvent::ReasoningDelta(delta)),
            Signal::ReasoningBreak => Ok(ModelEvent::ReasoningDelta("\n\n".to_owned())),
            Signal::ItemDone(item) => {
                self.in_message &= item.assistant_text().is_none();
                Ok(ModelEvent::ItemDone(item))
            }
            Signal::ItemLost(why) => Ok(ModelEvent::ItemLost(redactor.clean(&why))),
            Signal::RateLimits(limits) => Ok(ModelEvent::RateLimits(limits)),
            Signal::Completed {
                response_id,
                usage,
                end_turn,
            } => Ok(ModelEvent::Completed {
                response_id,
                usage,
                end_turn,
            }),
            Signal::Failed(body) => {
                let body = redactor.clean(&body);
                Err(failure::of_event(self.provider.as_ref(), &body).await)
            }
            Signal::Incomplete(reason) => Err(failure::incomplete(&redactor.clean(&reason))),
            Signal::Ignored => return None,
        })
    }
}
