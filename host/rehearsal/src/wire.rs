//! The two ways an answer travels: as the body of an HTTP response, or as messages of a WebSocket.

use std::num::NonZeroUsize;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use crate::http::{self, Connection};

/// A connection that was upgraded.
pub(crate) struct Socket(WebSocketStream<TcpStream>);

/// Where an answer goes.
pub(crate) enum Wire<'a> {
    Http(&'a mut Connection),
    Socket(&'a mut Socket),
}

/// What is written at once.
pub(crate) enum Piece<'b> {
    /// An event.
    Event(&'b Value),
    /// Bytes, whatever they mean.
    Bytes(&'b [u8]),
}

impl Socket {
    pub(crate) async fn new(connection: Connection) -> Self {
        let (stream, rest) = connection.into_parts();
        Self(WebSocketStream::from_partially_read(stream, rest, Role::Server, None).await)
    }

    /// The next text; none when the client is done, or says something else.
    pub(crate) async fn next_text(&mut self) -> Option<String> {
        loop {
            match self.0.next().await? {
                Ok(Message::Text(text)) => return Some(text.as_str().to_owned()),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Binary(_) | Message::Close(_)) => return None,
                Err(error) => {
                    tracing::debug!(%error, "a WebSocket broke");
                    return None;
                }
            }
        }
    }

    async fn closed(&mut self) {
        while self.next_text().await.is_some() {}
    }

    /// Writes a message, in fragments of so many bytes where that is wanted.
    async fn message(&mut self, bytes: &[u8], split: Option<NonZeroUsize>) -> std::io::Result<()> {
        let kind = match std::str::from_utf8(bytes) {
            Ok(_) => Data::Text,
            Err(_) => Data::Binary,
        };
        let size = split.map_or(bytes.len().max(1), NonZeroUsize::get);
        let pieces = bytes.len().div_ceil(size).max(1);
        for (index, piece) in bytes.chunks(size).enumerate() {
            let kind = if index == 0 { kind } else { Data::Continue };
            let last = index + 1 == pieces;
            let frame = Frame::message(Bytes::copy_from_slice(piece), OpCode::Data(kind), last);
            self.send(Message::Frame(frame)).await?;
        }
        Ok(())
    }

    async fn send(&mut self, message: Message) -> std::io::Result<()> {
        self.0.send(message).await.map_err(|error| match error {
            Error::Io(error) => error,
            error => std::io::Error::other(error),
        })
    }
}

impl Wire<'_> {
    /// Begins an answer.
    pub(crate) async fn begin(&mut self, headers: &[(String, String)]) -> std::io::Result<()> {
        let Self::Http(connection) = self else {
            return Ok(());
        };
        let mut head = http::head(200, headers);
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            head.extend_from_slice(b"content-type: text/event-stream\r\n");
        }
        head.extend_from_slice(b"cache-control: no-store\r\ntransfer-encoding: chunked\r\n\r\n");
        connection.write(&head).await
    }

    /// A piece in the form that it has on the way.
    pub(crate) fn encoded(&self, piece: &Piece<'_>) -> Vec<u8> {
        match (self, piece) {
            (_, Piece::Bytes(bytes)) => bytes.to_vec(),
            (Self::Socket(_), Piece::Event(event)) => event.to_string().into_bytes(),
            (Self::Http(_), Piece::Event(event)) => {
                let name = event["type"].as_str().unwrap_or("message");
                format!("event: {name}\ndata: {event}\n\n").into_bytes()
            }
        }
    }

    /// Writes bytes of an answer, so many at a time where that is wanted.
    pub(crate) async fn write(
        &mut self,
        bytes: &[u8],
        split: Option<NonZeroUsize>,
    ) -> std::io::Result<()> {
        match self {
            Self::Http(connection) => {
                let size = split.map_or(bytes.len().max(1), NonZeroUsize::get);
                for piece in bytes.chunks(size) {
                    connection.write_chunk(piece).await?;
                }
                Ok(())
            }
            Self::Socket(socket) => socket.message(bytes, split).await,
        }
    }

    /// Writes the beginning of an event whose rest never comes.
    pub(crate) async fn write_half(&mut self) -> std::io::Result<()> {
        match self {
            Self::Http(connection) => {
                connection
                    .write_chunk(
                        b"event: response.output_text.delta\ndata: {\"type\":\"response.outp",
                    )
                    .await
            }
            // The head of a text of 100 bytes, and a few of them.
            Self::Socket(socket) => {
                let stream = socket.0.get_mut();
                stream.write_all(b"\x81\x64{\"type\":\"response.outp").await
            }
        }
    }

    /// An answer that is an error.
    pub(crate) async fn refuse(
        &mut self,
        status: u16,
        headers: &[(String, String)],
        body: &str,
    ) -> std::io::Result<()> {
        match self {
            Self::Http(connection) => {
                connection
                    .write_response(status, headers, body.as_bytes())
                    .await
            }
            Self::Socket(socket) => {
                let frame = error_message(status, headers, body);
                socket.message(frame.to_string().as_bytes(), None).await
            }
        }
    }

    /// Shows that somebody is there, without saying anything.
    pub(crate) async fn ping(&mut self) -> std::io::Result<()> {
        match self {
            Self::Http(connection) => connection.write_chunk(b": ping\n\n").await,
            Self::Socket(socket) => {
                socket
                    .send(Message::Ping(Bytes::from_static(b"ping")))
                    .await
            }
        }
    }

    /// Hangs up with a code, and waits for the client to do the same. Over HTTP there are no codes.
    pub(crate) async fn hang_up(&mut self, code: u16) -> std::io::Result<()> {
        if let Self::Socket(socket) = self {
            let frame = CloseFrame {
                code: code.into(),
                reason: Utf8Bytes::from_static("as the script says"),
            };
            socket.send(Message::Close(Some(frame))).await?;
            socket.closed().await;
        }
        Ok(())
    }

    /// Ends an answer.
    pub(crate) async fn end(&mut self) -> std::io::Result<()> {
        match self {
            // A chunk of no bytes ends a chunked body.
            Self::Http(connection) => connection.write_chunk(b"").await,
            Self::Socket(_) => Ok(()),
        }
    }

    /// Returns when the client has left; never while it only waits.
    pub(crate) async fn closed(&mut self) {
        match self {
            Self::Http(connection) => connection.closed().await,
            Self::Socket(socket) => socket.closed().await,
        }
    }
}

/// What a WebSocket has for a response with an error status.
fn error_message(status: u16, headers: &[(String, String)], body: &str) -> Value {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| json!({ "message": body }));
    let error = body.get("error").cloned().unwrap_or(body);
    let headers: Map<String, Value> = headers
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    json!({ "type": "error", "status": status, "error": error, "headers": headers })
}
