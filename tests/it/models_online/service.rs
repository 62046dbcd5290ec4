//! A service that answers every turn with the same words, has a list of models, and remembers what it was asked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// What a turn is answered with.
const TURN: &str = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r1\"}}\n\n\
data: {\"type\":\"response.output_item.done\",\"item\":{\"type\":\"message\",\"role\":\"assistant\",\"id\":\"m1\",\"content\":[{\"type\":\"output_text\",\"text\":\"hi there\"}]}}\n\n\
data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r1\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1,\"total_tokens\":2}}}\n\n";

/// A request that it got.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    headers: Vec<(String, String)>,
    pub(super) body: Value,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// An answer to a question for the list.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<String>,
    body: Vec<u8>,
    /// Whether there is none at all.
    silent: bool,
}

impl Answer {
    /// With a header, in the place of any other of its name.
    pub(super) fn with_header(mut self, header: &str) -> Self {
        let name = header.split(':').next();
        self.headers.retain(|known| known.split(':').next() != name);
        self.headers.push(header.to_owned());
        self
    }

    /// Nothing, on an open connection.
    pub(super) fn silence() -> Self {
        Self {
            silent: true,
            ..status(200, "")
        }
    }
}

/// A list.
pub(super) fn list(models: &Value) -> Answer {
    status(200, &models.to_string())
}

/// A status with a body.
pub(super) fn status(status: u16, body: &str) -> Answer {
    Answer {
        status,
        headers: vec!["content-type: application/json".to_owned()],
        body: body.as_bytes().to_vec(),
        silent: false,
    }
}

#[derive(Default)]
struct State {
    lists: VecDeque<Answer>,
    /// Headers of answers to turns.
    told: Vec<String>,
    asked: Vec<Asked>,
}

/// The service. Dropping it ends it.
pub(super) struct Service {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _accepting: AbortOnDropHandle<()>,
}

impl Service {
    /// Starts with answers to questions for the list, each once and the last for ever.
    pub(super) async fn start(lists: Vec<Answer>) -> Self {
        let state = Arc::new(Mutex::new(State {
            lists: lists.into(),
            ..State::default()
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            address,
            state,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has every answer to a turn carry a header from now on.
    pub(super) fn tell(&self, header: &str) {
        self.state.lock().unwrap().told = vec![header.to_owned()];
    }

    /// What it was asked since the last look.
    pub(super) fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    while let Some(asked) = read(&mut stream).await {
        let answer = {
            let mut state = state.lock().unwrap();
            let is_turn = asked.method == "POST";
            state.asked.push(asked);
            match is_turn {
                true => Answer {
                    headers: [
                        vec!["content-type: text/event-stream".to_owned()],
                        state.told.clone(),
                    ]
                    .concat(),
                    ..status(200, TURN)
                },
                false if state.lists.len() > 1 => state.lists.pop_front().unwrap(),
                false => state.lists.front().cloned().unwrap_or(status(404, "{}")),
            }
        };
        if answer.silent {
            // Until the client has had enough.
            drop(stream.read_u8().await);
            return;
        }
        let mut head = format!("HTTP/1.1 {} Said\r\n", answer.status);
        for header in &answer.headers {
            head.push_str(&format!("{header}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", answer.body.len()));
        let whole = [head.as_bytes(), &answer.body].concat();
        if stream.write_all(&whole).await.is_err() {
            return;
        }
    }
}

/// The next request; none where the connection has ended.
async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let first: Vec<String> = lines
        .next()
        .unwrap()
        .split(' ')
        .map(str::to_owned)
        .collect();
    let headers: Vec<(String, String)> = lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_owned(), value.trim().to_owned())
        })
        .collect();
    let mut asked = Asked {
        method: first[0].clone(),
        path: first[1].clone(),
        headers,
        body: Value::Null,
    };
    let length: usize = asked
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = &bytes[head_end + 4..][..length];
    // Bodies of accounts are compressed; those are not looked at.
    asked.body = serde_json::from_slice(body).unwrap_or_default();
    Some(asked)
}
