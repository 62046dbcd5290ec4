//! Messages of a WebSocket: whole texts out, events in, with limits on size and silence.

use std::time::Duration;

use dovetail_core::model::ModelError;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use reqwest::Upgraded;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::connection::Login;
use super::refusal::Refusal;
use crate::event::Signal;
use crate::failure;
use crate::service::Service;
use crate::sse::MAX_EVENT;
use crate::stream::decode;

/// What is read at a time; a piece of text takes a few hundred bytes.
const READ_AT_ONCE: usize = 16 * 1024;

/// A WebSocket whose handshake is done.
pub(super) struct Wire(WebSocketStream<Upgraded>);

/// What a server said.
#[derive(Debug)]
pub(super) enum Heard {
    /// An event.
    Signal(Signal),
    /// An error with a status, as HTTP has them.
    Refusal(Refusal),
}

/// Why nothing more is heard.
#[derive(Debug)]
pub(super) enum Lost {
    /// The server hung up; with the reason that it gave.
    Closed(Option<CloseFrame>),
    /// The connection broke.
    Broken(String),
    /// The server says nothing.
    Silent,
    /// A message is longer than the limit.
    TooLong,
    /// A message that is no text.
    Binary,
    /// The request could not be made.
    Unsent(Box<ModelError>),
}

impl Wire {
    pub(super) async fn new(upgraded: Upgraded) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_AT_ONCE)
            .max_message_size(Some(MAX_EVENT))
            .max_frame_size(Some(MAX_EVENT));
        Self(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
    }

    /// Sends a text; to a server that does not read it, for so long.
    pub(super) async fn send(&mut self, text: Vec<u8>, limit: Duration) -> Result<(), Lost> {
        let text = Utf8Bytes::try_from(Bytes::from(text)).expect("JSON is UTF-8");
        let sent = tokio::time::timeout(limit, self.0.send(Message::Text(text)));
        sent.await
            .map_err(|_elapsed| Lost::Silent)?
            .map_err(Lost::from)
    }

    /// The next event, after a silence of at most this. Pings are no events: they tell of the connection alone.
    pub(super) async fn hear(&mut self, limit: Duration) -> Result<Heard, Lost> {
        // The clock is asked only when there is nothing to read.
        let mut deadline = None;
        loop {
            let next = match self.0.next().now_or_never() {
                Some(next) => next,
                None => {
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + limit);
                    let next = tokio::time::timeout_at(deadline, self.0.next());
                    next.await.map_err(|_elapsed| Lost::Silent)?
                }
            };
            match next {
                Some(Ok(Message::Text(text))) => match Heard::read(text.as_bytes()) {
                    Some(heard) => return Ok(heard),
                    None => deadline = None,
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Binary(_))) => return Err(Lost::Binary),
                Some(Ok(Message::Close(frame))) => return Err(Lost::Closed(frame)),
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Lost::Closed(None)),
            }
        }
    }

    /// Answers pings until the server hangs up, and leaves out what it says unasked.
    pub(super) async fn listen(&mut self) {
        while let Some(Ok(message)) = self.0.next().await {
            if message.is_close() {
                return;
            }
        }
    }
}

impl Drop for Wire {
    /// Says goodbye, if that can be done at once: the server need not wait to find out.
    fn drop(&mut self) {
        let goodbye = CloseFrame {
            code: CloseCode::Normal,
            reason: Utf8Bytes::default(),
        };
        // It is gone then, one way or the other.
        drop(self.0.close(Some(goodbye)).now_or_never());
    }
}

impl Heard {
    /// Reads a message; none for one that cannot be read.
    fn read(data: &[u8]) -> Option<Self> {
        let signal = decode(data)?;
        if matches!(signal, Signal::Failed(_))
            && let Some(refusal) = Refusal::read(data)
        {
            return Some(Self::Refusal(refusal));
        }
        Some(Self::Signal(signal))
    }

    /// Whether the server cannot answer on this connection, and could on another.
    pub(super) fn wants_another_connection(&self) -> bool {
        match self {
            Self::Refusal(refusal) => refusal.is_of_connection(),
            Self::Signal(Signal::Failed(body)) => super::refusal::is_of_connection(body),
            Self::Signal(_) => false,
        }
    }

    /// The event; an error with a status is one here too.
    pub(super) async fn into_signal(
        self,
        login: &Login,
        service: &Service,
    ) -> Result<Signal, ModelError> {
        match self {
            Self::Signal(signal) => Ok(signal),
            Self::Refusal(refusal) => {
                let error = refusal.explain(service, &login.redactor).await;
                service.note_refusal(login.generation, &error);
                Err(error)
            }
        }
    }
}

impl Lost {
    /// Whether it may be the age of the connection that is to blame.
    pub(super) fn is_of_connection(&self) -> bool {
        matches!(self, Self::Closed(_) | Self::Broken(_))
    }

    /// What to tell of it.
    pub(super) fn into_error(self, login: &Login) -> ModelError {
        let why = match self {
            Self::Unsent(error) => return *error,
            Self::Closed(Some(frame)) if frame.code == CloseCode::Size => {
                return failure::no_socket(
                    "the server takes no request of this size over a WebSocket".to_owned(),
                );
            }
            Self::Closed(None) => "websocket closed by server before response.completed".to_owned(),
            Self::Closed(Some(CloseFrame { code, reason })) => {
                let reason = match login.redactor.clean(&reason) {
                    reason if reason.is_empty() => String::new(),
                    reason => format!(": {reason}"),
                };
                format!("websocket closed by server before response.completed ({code}{reason})")
            }
            Self::Broken(cause) => login.redactor.clean(&cause),
            Self::Silent => "idle timeout waiting for websocket".to_owned(),
            Self::TooLong => format!("an event is longer than {MAX_EVENT} bytes"),
            Self::Binary => "unexpected binary websocket event".to_owned(),
        };
        ModelError {
            over_socket: true,
            ..failure::disconnected(&why)
        }
    }
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Closed(None),
            Error::Capacity(_) => Self::TooLong,
            error => Self::Broken(error.to_string()),
        }
    }
}

impl From<ModelError> for Lost {
    fn from(error: ModelError) -> Self {
        Self::Unsent(Box::new(error))
    }
}
