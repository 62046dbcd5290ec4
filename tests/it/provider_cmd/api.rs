//! A server that answers by path: what it speaks, lists and refuses is a function of the test's.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// Method and path, as in `POST /v1/responses`.
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Value,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Server-sent events: their data, with `name|` before it where they have a name.
    Events(Vec<String>),
    Json(u16, Value),
    /// Status, type and text.
    Other(u16, &'static str, &'static str),
    /// The connection breaks.
    Close,
    /// Nothing, ever.
    Hang,
}

/// The server. Dropping it ends it.
pub(super) struct Api {
    address: std::net::SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    count: watch::Receiver<usize>,
    _serving: AbortOnDropHandle<()>,
}

impl Api {
    pub(super) async fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let (sender, count) = watch::channel(0);
        let (kept, answer) = (Arc::clone(&requests), Arc::new(answer));
        let serving = tokio::spawn(async move {
            let mut connections = Vec::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (kept, answer, sender) =
                    (Arc::clone(&kept), Arc::clone(&answer), sender.clone());
                let serve = async move {
                    // Some connections are only made and closed.
                    let Some((request, stream)) = read(stream).await else {
                        return;
                    };
                    let reply = answer(&request);
                    kept.lock().unwrap().push(request);
                    sender.send_modify(|count| *count += 1);
                    write(stream, reply).await;
                };
                connections.push(AbortOnDropHandle::new(tokio::spawn(serve)));
            }
        });
        Self {
            address,
            requests,
            count,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// One that speaks one API under `/v1`, lists these models, and wants no key.
    pub(super) async fn speaking(wire: &'static str, models: &'static [&'static str]) -> Self {
        Self::start(move |request| spoken(wire, models, request)).await
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The methods and paths of all requests.
    pub(super) fn lines(&self) -> Vec<String> {
        self.requests()
            .into_iter()
            .map(|request| request.line)
            .collect()
    }

    /// Waits for that many requests.
    pub(super) async fn wait_for(&self, wanted: usize) {
        let mut count = self.count.clone();
        count.wait_for(|count| *count >= wanted).await.unwrap();
    }
}

/// What a server under `/v1` says that speaks one API.
pub(super) fn spoken(wire: &str, models: &[&str], request: &Request) -> Reply {
    let path = match wire {
        "responses" => "POST /v1/responses",
        "chat" => "POST /v1/chat/completions",
        _ => "POST /v1/messages",
    };
    match request.line.as_str() {
        "GET /v1/models" if !models.is_empty() => listing(models),
        line if line == path => answer(wire, request),
        _ => not_found(),
    }
}

pub(super) fn not_found() -> Reply {
    Reply::Json(404, json!({ "detail": "Not Found" }))
}

pub(super) fn listing(models: &[&str]) -> Reply {
    let models: Vec<Value> = models
        .iter()
        .map(|id| json!({ "id": id, "object": "model" }))
        .collect();
    Reply::Json(200, json!({ "object": "list", "data": models }))
}

/// Does what it is asked: calls the tool that is offered, and says `ready` otherwise.
pub(super) fn answer(wire: &str, request: &Request) -> Reply {
    let body = &request.body;
    let offered = body["tools"].to_string().contains("dovetail_check");
    let answered = body.to_string().contains("acorn");
    let calls = offered && !answered;
    Reply::Events(match wire {
        "responses" => responses(calls),
        "chat" => chat(calls),
        _ => messages(calls),
    })
}

fn responses(calls: bool) -> Vec<String> {
    let item = match calls {
        true => {
            json!({ "type": "function_call", "id": "fc_1", "call_id": "c1", "name": "dovetail_check", "arguments": "{\"word\":\"oak\"}" })
        }
        false => {
            json!({ "type": "message", "id": "msg_1", "role": "assistant", "content": [{ "type": "output_text", "text": "ready" }] })
        }
    };
    let usage = json!({ "input_tokens": 20, "output_tokens": 2, "total_tokens": 22 });
    let events = [
        json!({ "type": "response.created", "response": { "id": "resp_1" } }),
        json!({ "type": "response.output_item.done", "item": item }),
        json!({ "type": "response.completed", "response": { "id": "resp_1", "usage": usage } }),
    ];
    events.iter().map(Value::to_string).collect()
}

fn chat(calls: bool) -> Vec<String> {
    let delta = match calls {
        true => {
            let function = json!({ "name": "dovetail_check", "arguments": "{\"word\":\"oak\"}" });
            json!({ "tool_calls": [{ "index": 0, "id": "c1", "type": "function", "function": function }] })
        }
        false => json!({ "content": "ready" }),
    };
    let reason = if calls { "tool_calls" } else { "stop" };
    let events = [
        json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] }).to_string(),
        json!({ "choices": [], "usage": { "prompt_tokens": 20, "completion_tokens": 2 } })
            .to_string(),
        "[DONE]".to_owned(),
    ];
    events.into()
}

fn messages(calls: bool) -> Vec<String> {
    let (block, reason) = match calls {
        true => (
            json!({ "type": "tool_use", "id": "c1", "name": "dovetail_check", "input": { "word": "oak" } }),
            "tool_use",
        ),
        false => (json!({ "type": "text", "text": "ready" }), "end_turn"),
    };
    let event = |name: &str, mut data: Value| {
        data["type"] = json!(name);
        format!("{name}|{data}")
    };
    let usage = json!({ "input_tokens": 20, "output_tokens": 2 });
    vec![
        event(
            "message_start",
            json!({ "message": { "id": "msg_1", "usage": usage } }),
        ),
        event(
            "content_block_start",
            json!({ "index": 0, "content_block": block }),
        ),
        event("content_block_stop", json!({ "index": 0 })),
        event(
            "message_delta",
            json!({ "delta": { "stop_reason": reason }, "usage": { "output_tokens": 2 } }),
        ),
        event("message_stop", json!({})),
    ]
}

async fn read(stream: TcpStream) -> Option<(Request, TcpStream)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).await.ok()?;
    let line = line.rsplit_once(' ')?.0.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    reader.read_exact(&mut body).await.ok()?;
    let request = Request {
        line,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    Some((request, reader.into_inner()))
}

/// A client that goes away before the end is none of the server's business.
async fn write(mut stream: TcpStream, reply: Reply) {
    let (status, kind, body) = match reply {
        Reply::Events(events) => (
            200,
            "text/event-stream",
            events.iter().map(|event| of_event(event)).collect(),
        ),
        Reply::Json(status, body) => (status, "application/json", body.to_string()),
        Reply::Other(status, kind, body) => (status, kind, body.to_owned()),
        Reply::Close => return,
        Reply::Hang => return std::future::pending().await,
    };
    let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-type: {kind}\r\n\r\n");
    drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
    drop(stream.shutdown().await);
}

fn of_event(event: &str) -> String {
    match event.split_once('|') {
        Some((name, data)) if !name.contains(['{', '[']) => {
            format!("event: {name}\ndata: {data}\n\n")
        }
        _ => format!("data: {event}\n\n"),
    }
}
