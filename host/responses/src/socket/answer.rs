//! A response as it arrives over a WebSocket.

use std::sync::Arc;

use dovetail_core::model::{ModelError, ModelEvent, ModelRequest, ModelStream};
use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use super::Slot;
use super::connection::Connection;
use super::continuation::Question;
use crate::event::Signal;
use crate::failure;
use crate::interpret::Interpreter;
use crate::service::Service;

type Item = Result<ModelEvent, ModelError>;

/// A response in progress. Dropping it closes the connection, which nothing else can be asked on meanwhile.
pub(super) struct Answer {
    connection: Connection,
    service: Arc<Service>,
    interpreter: Interpreter,
    question: Question,
    /// What was heard already.
    first: Option<Signal>,
    /// Where the connection goes when the response is complete.
    slot: Arc<Slot>,
    cancel: CancellationToken,
}

impl Answer {
    pub(super) fn new(
        connection: Connection,
        service: Arc<Service>,
        request: ModelRequest,
        first: Signal,
        slot: Arc<Slot>,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            connection,
            interpreter: Interpreter::new(Arc::clone(&service.provider)),
            service,
            question: Question::new(request),
            first: Some(first),
            slot,
            cancel,
        }
    }

    /// The events, up to and with the end or the first failure.
    pub(super) fn into_stream(self) -> ModelStream {
        let steps = stream::unfold(Some(self), |state| async move {
            let mut answer = state?;
            let item = answer.next_item().await;
            let rest = match &item {
                Ok(ModelEvent::Completed { response_id, .. }) => {
                    answer.complete(response_id.clone());
                    None
                }
                Ok(_) => Some(answer),
                Err(_) => None,
            };
            Some((item, rest))
        });
        steps.boxed()
    }

    async fn next_item(&mut self) -> Item {
        loop {
            if let Some(event) = self.connection.told.pop_front() {
                return Ok(event);
            }
            let signal = match self.first.take() {
                Some(signal) => signal,
                None => self.next_signal().await?,
            };
            let redactor = &self.connection.login.redactor;
            match self.interpreter.interpret(signal, redactor).await {
                None => {}
                Some(Ok(event)) => {
                    self.question.note(&event);
                    return Ok(event);
                }
                Some(Err(error)) => {
                    return Err(ModelError {
                        over_socket: true,
                        ..error
                    });
                }
            }
        }
    }

    async fn next_signal(&mut self) -> Result<Signal, ModelError> {
        let limit = self.service.options.idle_timeout;
        let heard = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(failure::cancelled()),
            heard = self.connection.wire.hear(limit) => heard,
        };
        match heard {
            Ok(heard) => {
                heard
                    .into_signal(&self.connection.login, &self.service)
                    .await
            }
            Err(lost) => Err(lost.into_error(&self.connection.login)),
        }
    }

    /// Keeps the connection, with what was answered on it.
    fn complete(mut self, response_id: String) {
        self.connection.answered = self.question.answered(response_id);
        self.slot.keep(self.connection);
    }
}
