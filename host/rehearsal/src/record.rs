//! Stands before a real service and writes down what it answers. Requests are forwarded and never written down, so no
//! credential of the client gets into the script.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::{self, Connection, RecordedRequest};
use crate::server;
use crate::transcript::Answer;

/// Answers are written down this far; what is longer is still forwarded whole.
const MAX_RECORDED: usize = 64 * 1024 * 1024;

/// Headers that belong to one connection, and what would make an answer unreadable here.
const NOT_FORWARDED: [&str; 10] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept-encoding",
];

/// The script so far.
struct Recorded {
    text: String,
    answers: usize,
}

/// The recording proxy.
pub(crate) struct Recorder {
    client: reqwest::Client,
    upstream: String,
    out: PathBuf,
    recorded: Mutex<Recorded>,
}

impl Recorder {
    /// Prepares to record what `upstream` answers into `out`, which must not exist yet.
    pub(crate) fn new(upstream: &str, out: &Path) -> std::io::Result<Self> {
        // Created here so that a path that cannot be written is noticed before anything is asked.
        std::fs::File::create_new(out)?;
        // Fails only where the process has chosen a provider already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(std::io::Error::other)?;
        let upstream = upstream.trim_end_matches('/').to_owned();
        Ok(Self {
            client,
            upstream,
            out: out.to_owned(),
            recorded: Mutex::new(Recorded {
                text: HEADER.to_owned(),
                answers: 0,
            }),
        })
    }

    /// Opens the port to record on.
    pub(crate) async fn listen(port: u16) -> std::io::Result<TcpListener> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
    }

    /// Forwards until told to stop; how many answers were written down.
    pub(crate) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> usize {
        let tasks = TaskTracker::new();
        let mut number = 0;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (recorder, stop) = (Arc::clone(&self), stop.clone());
                    tasks.spawn(async move {
                        tokio::select! {
                            () = recorder.serve_connection(stream, number) => {}
                            () = stop.cancelled() => {}
                        }
                    });
                    number += 1;
                }
                Err(error) => tracing::warn!(%error, "a connection could not be accepted"),
            }
        }
        tasks.close();
        tasks.wait().await;
        self.recorded().answers
    }

    async fn serve_connection(&self, stream: TcpStream, number: u64) {
        let mut connection = Connection::new(stream, number);
        while let Ok(Some(request)) = connection.read_request().await {
            if request.is_upgrade() {
                // Clients ask over HTTP then, which can be written down.
                let body = server::error_body("a recording speaks HTTP only");
                match connection.write_response(426, &[], &body).await {
                    Ok(()) => continue,
                    Err(_gone) => return,
                }
            }
            let relayed = match self.send(&request).await {
                Ok(response) => self.relay(&mut connection, &request, response).await,
                Err(error) => {
                    tracing::warn!(%error, "the service cannot be reached");
                    let why = format!(
                        "{{\"error\":{{\"message\":\"rehearsal: cannot reach {}\"}}}}",
                        self.upstream
                    );
                    connection
                        .write_response(502, &[], why.as_bytes())
                        .await
                        .map(|()| true)
                }
            };
            match relayed {
                Ok(true) if !request.wants_close() => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "the client is gone, or the script cannot be written");
                    return;
                }
            }
        }
    }

    /// Passes an answer on and writes it down; false where it broke, so that the client must see it break too.
    async fn relay(
        &self,
        connection: &mut Connection,
        request: &RecordedRequest,
        mut response: reqwest::Response,
    ) -> std::io::Result<bool> {
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok());
        let mut answer = Answer {
            status,
            retry_after: retry_after.map(str::to_owned),
            body: Vec::new(),
        };
        let mut head = http::head(status, &forwarded(response.headers()));
        head.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        connection.write(&head).await?;
        let whole = loop {
            match response.chunk().await {
                Ok(None) => break true,
                Ok(Some(bytes)) if bytes.is_empty() => {}
                Ok(Some(bytes)) => {
                    let room = MAX_RECORDED - answer.body.len();
                    answer
                        .body
                        .extend_from_slice(&bytes[..bytes.len().min(room)]);
                    connection.write_chunk(&bytes).await?;
                }
                Err(error) => {
                    tracing::warn!(%error, "the service broke off its answer");
                    break false;
                }
            }
        };
        // Before the end is sent, so that the script is whole once the client has its answer.
        if request.method == "POST" && request.path_alone().ends_with("/responses") {
            self.append(&answer.to_step(|text| redact(text, request)))?;
        }
        if whole {
            connection.write_chunk(b"").await?;
        }
        Ok(whole)
    }

    async fn send(&self, request: &RecordedRequest) -> Result<reqwest::Response, reqwest::Error> {
        // The base URL of a rehearsal ends in `/v1`, that of the service wherever it does.
        let path = request.path.strip_prefix("/v1").unwrap_or(&request.path);
        let method =
            reqwest::Method::from_bytes(request.method.as_bytes()).unwrap_or(reqwest::Method::POST);
        let mut builder = self
            .client
            .request(method, format!("{}{path}", self.upstream));
        for (name, value) in &request.headers {
            if !NOT_FORWARDED.contains(&name.to_ascii_lowercase().as_str()) {
                builder = builder.header(name, value);
            }
        }
        builder.body(request.body.clone()).send().await
    }

    fn append(&self, step: &str) -> std::io::Result<()> {
        let mut recorded = self.recorded();
        recorded.answers += 1;
        recorded.text.push('\n');
        recorded.text.push_str(step);
        // Written whole each time: a recording that is interrupted is a script still.
        std::fs::write(&self.out, recorded.text.as_bytes())
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        // A panic elsewhere leaves text that is still a script.
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const HEADER: &str = "# Recorded by `dovetail rehearse --record`. Read it before you share it: what the model said is in it.\n";

fn forwarded(headers: &reqwest::header::HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| {
            !NOT_FORWARDED.contains(&name.as_str()) && name.as_str() != "set-cookie"
        })
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect()
}

/// Services repeat a refused key in their errors.
fn redact(mut text: String, request: &RecordedRequest) -> String {
    /// Shorter words, such as `Bearer`, would take half the text with them.
    const SHORTEST_SECRET: usize = 8;
    for (name, value) in &request.headers {
        if http::is_credential(name) {
            for word in value
                .split_whitespace()
                .filter(|word| word.len() >= SHORTEST_SECRET)
            {
                text = text.replace(word, "<credential>");
            }
        }
    }
    text
}
