//! A response as it arrives: bytes to events, with a limit on silence and an ear for cancellation.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dovetail_core::model::{ModelError, ModelEvent, ModelStream};
use futures_util::{StreamExt as _, stream};
use reqwest::Response;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::drain::Drains;
use crate::event::{self, Signal};
use crate::interpret::Interpreter;
use crate::redact::Redactor;
use crate::sse::SseParser;
use crate::translation::Translation;
use crate::{failure, transport};

type Item = Result<ModelEvent, ModelError>;

/// A stream in progress.
pub(crate) struct Incoming {
    /// Events that the response's head already told.
    pub(crate) ready: VecDeque<ModelEvent>,
    pub(crate) interpreter: Interpreter,
    pub(crate) body: Body,
    pub(crate) source: Source,
    pub(crate) drains: Arc<Drains>,
}

/// What makes signals of a response's bytes.
pub(crate) enum Source {
    /// It is a Responses stream.
    Responses(SseParser),
    /// It is something else, which a plugin reads.
    Wire(Box<Translation>),
}

/// The body of a response.
pub(crate) struct Body {
    pub(crate) response: Response,
    pub(crate) redactor: Redactor,
    pub(crate) cancel: CancellationToken,
    pub(crate) idle_timeout: Duration,
}

impl Incoming {
    /// The events, up to and with the end or the first failure.
    pub(crate) fn into_stream(self) -> ModelStream {
        let steps = stream::unfold(Some(self), |state| async move {
            let mut incoming = state?;
            let item = incoming.next_item().await;
            let rest = match &item {
                Ok(ModelEvent::Completed { .. }) => {
                    incoming.drains.finish(incoming.body.response);
                    None
                }
                Ok(_) => Some(incoming),
                Err(_) => None,
            };
            Some((item, rest))
        });
        steps.boxed()
    }

    async fn next_item(&mut self) -> Item {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let signal = match &mut self.source {
                Source::Responses(parser) => next_signal(parser, &mut self.body).await?,
                Source::Wire(translation) => translation.next_signal(&mut self.body).await?,
            };
            let redactor = &self.body.redactor;
            if let Some(item) = self.interpreter.interpret(signal, redactor).await {
                return item;
            }
        }
    }
}

async fn next_signal(parser: &mut SseParser, body: &mut Body) -> Result<Signal, ModelError> {
    // Armed when there is nothing left to give out: the time the caller takes is not the server's silence.
    let mut deadline = None;
    loop {
        match parser.next_event() {
            Ok(Some(data)) => match decode(data) {
                Some(signal) => return Ok(signal),
                None => deadline = None,
            },
            Ok(None) => {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + body.idle_timeout);
                let Some(bytes) = body.read(deadline).await? else {
                    let last = parser.finish().and_then(decode);
                    return last.ok_or_else(|| {
                        failure::disconnected("stream closed before response.completed")
                    });
                };
                parser.push(bytes.as_ref());
            }
            Err(error) => return Err(failure::disconnected(&error.to_string())),
        }
    }
}

impl Body {
    /// Reads more bytes; none at the end.
    pub(crate) async fn read(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<impl AsRef<[u8]> + use<>>, ModelError> {
        let chunk = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(failure::cancelled()),
            chunk = tokio::time::timeout_at(deadline, self.response.chunk()) => chunk,
        };
        match chunk {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(failure::disconnected(
                &self.redactor.clean(&transport::cause(error)),
            )),
            Err(_elapsed) => Err(failure::disconnected("idle timeout waiting for SSE")),
        }
    }

    /// Waits for something else than bytes.
    pub(crate) async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, ModelError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(failure::cancelled()),
            done = work => Ok(done),
        }
    }
}

/// Reads an event; one that cannot be read is noted and left out.
pub(crate) fn decode(data: &[u8]) -> Option<Signal> {
    match event::decode(data) {
        Ok(signal) => Some(signal),
        Err(error) => {
            // Some gateways end their streams like this.
            if data != b"[DONE]" {
                tracing::warn!(%error, bytes = data.len(), "an event cannot be read and is left out");
            }
            event::lost(data, &error)
        }
    }
}
