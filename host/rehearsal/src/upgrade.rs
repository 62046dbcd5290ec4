//! Upgrades to WebSocket, and the messages that come then.

use std::sync::Arc;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::http::{self, Connection, RecordedRequest};
use crate::play::Ending;
use crate::script::{Action, Step, Upgrade};
use crate::server::{Shared, error_body};
use crate::wire::{Socket, Wire};

/// The method that a message is recorded with.
const MESSAGE: &str = "WEBSOCKET";

impl Shared {
    /// Answers a request for an upgrade as the script says. None once the connection is not HTTP any more.
    pub(crate) async fn upgrade(
        self: &Arc<Self>,
        mut connection: Connection,
        request: RecordedRequest,
    ) -> Option<Connection> {
        let upgrade = self.next_upgrade(&request);
        match upgrade {
            None => {
                let body = error_body("a rehearsal without `[[upgrade]]` speaks HTTP only");
                let refused = connection.write_response(426, &[], &body).await;
                self.answered(Ending::of(refused)).map(|()| connection)
            }
            Some(Upgrade::Refuse {
                status,
                headers,
                body,
            }) => {
                let refused = connection
                    .write_response(*status, headers, body.as_bytes())
                    .await;
                self.answered(Ending::of(refused)).map(|()| connection)
            }
            Some(Upgrade::Hang) => {
                connection.closed().await;
                self.answered(Ending::ClientGone).map(|()| connection)
            }
            Some(Upgrade::Accept { headers, warm_up }) => {
                let agreed = connection.write(&agreement(&request, headers)).await;
                self.answered(Ending::of(agreed))?;
                self.converse(connection, request, warm_up).await;
                None
            }
        }
    }

    /// Answers messages, one after the other.
    async fn converse(&self, connection: Connection, upgrade: RecordedRequest, warm_up: &Step) {
        let mut socket = Socket::new(connection).await;
        while let Some(text) = socket.next_text().await {
            let request = RecordedRequest {
                method: MESSAGE.to_owned(),
                json: serde_json::from_str(&text).ok(), // What is no JSON is a fact to record.
                body: text.into_bytes(),
                ..upgrade.clone()
            };
            let generates = request
                .json
                .as_ref()
                .is_none_or(|json| json["generate"] != false);
            let warm_up = (!generates).then_some(warm_up);
            let ending = self.answer(Wire::Socket(&mut socket), request, warm_up);
            if ending.await != Ending::Whole {
                return;
            }
        }
    }
}

impl Upgrade {
    /// The step that answers a client which wants the server to make ready.
    pub(crate) fn warm_up(line: usize, actions: Vec<Action>) -> Step {
        Step {
            line,
            times: 1,
            complete: true,
            expect: Vec::new(),
            actions,
        }
    }
}

fn agreement(request: &RecordedRequest, headers: &[(String, String)]) -> Vec<u8> {
    let key = request.header("sec-websocket-key").unwrap_or_default();
    let mut head = http::head(101, headers);
    let accept = derive_accept_key(key.as_bytes());
    head.extend_from_slice(
        format!(
            "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
        )
        .as_bytes(),
    );
    head
}
