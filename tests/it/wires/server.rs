//! A server of any HTTP API: it plays its replies in order, and keeps the requests.

use std::sync::{Arc, Mutex};

use dovetail_tests::Lab;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::DOVETAIL;

/// What is answered, and in which pieces.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<String>,
    body: String,
    /// The size of the pieces that the body is written in.
    piece: usize,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) path: String,
    headers: Vec<(String, String)>,
    pub(super) body: Value,
}

/// The server. Dropping it ends it.
pub(super) struct Server {
    address: std::net::SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    _serving: AbortOnDropHandle<()>,
}

impl Reply {
    fn new(status: u16, content_type: &str, body: String) -> Self {
        Self {
            status,
            headers: vec![format!("content-type: {content_type}")],
            body,
            piece: usize::MAX,
        }
    }

    /// Server-sent events; each is data, with `name|` before it where it has a name.
    pub(super) fn events(events: &[&str]) -> Self {
        let event = |event: &&str| match event.split_once('|') {
            Some((name, data)) if !name.contains(['{', '[']) => {
                format!("event: {name}\ndata: {data}\n\n")
            }
            _ => format!("data: {event}\n\n"),
        };
        Self::new(200, "text/event-stream", events.iter().map(event).collect())
    }

    /// Lines of JSON.
    pub(super) fn lines(lines: &[&str]) -> Self {
        Self::new(200, "application/x-ndjson", lines.join("\n"))
    }

    /// A status with JSON.
    pub(super) fn json(status: u16, body: &str) -> Self {
        Self::new(status, "application/json", body.to_owned())
    }

    /// The same with one more header.
    pub(super) fn with_header(mut self, header: &str) -> Self {
        self.headers.push(header.to_owned());
        self
    }

    /// The same in pieces of so many bytes.
    pub(super) fn in_pieces(self, piece: usize) -> Self {
        Self { piece, ..self }
    }
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a header begins like this.
    pub(super) fn has_header_like(&self, prefix: &str) -> bool {
        self.headers
            .iter()
            .any(|(name, _)| name.starts_with(prefix))
    }
}

impl Server {
    /// Starts one.
    pub(super) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let kept = Arc::clone(&requests);
        let serving = tokio::spawn(async move {
            let mut replies = replies.into_iter();
            let none = || Reply::json(500, r#"{"error":{"message":"the script is over"}}"#);
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // A probe connects and says nothing.
                let Some((request, stream)) = read(stream).await else {
                    continue;
                };
                kept.lock().unwrap().push(request);
                answer(stream, replies.next().unwrap_or_else(none)).await;
            }
        });
        Self {
            address,
            requests,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// A lab whose provider `vendor` is this server, with a key in the environment and these lines in its table.
    pub(super) fn lab(&self, more: &str) -> Lab {
        let mut lab = Lab::bare(DOVETAIL);
        lab.set_env("VENDOR_KEY", "vendor-secret");
        let url = self.url("/v1");
        lab.write_config(&format!(
            "model = \"m-1\"\nmodel_provider = \"vendor\"\n\n[model_providers.vendor]\nname = \"Vendor\"\n\
             base_url = \"{url}\"\nrequest_max_retries = 1\nstream_max_retries = 1\n{more}\n"
        ));
        lab
    }
}

async fn read(stream: TcpStream) -> Option<(Request, TcpStream)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).await.unwrap();
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    let request = Request {
        path,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    Some((request, reader.into_inner()))
}

/// A client that goes away before the end is none of the server's business.
async fn answer(mut stream: TcpStream, reply: Reply) {
    let mut head = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", reply.status);
    for header in &reply.headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.set_nodelay(true).unwrap();
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    for piece in reply.body.as_bytes().chunks(reply.piece) {
        if stream.write_all(piece).await.is_err() {
            return;
        }
        // Others get to run: the pieces arrive as such, more or less.
        tokio::task::yield_now().await;
    }
    drop(stream.shutdown().await);
}
