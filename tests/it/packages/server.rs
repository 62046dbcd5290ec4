//! A web server that plays a table of answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: "200 OK",
            headers: String::new(),
            body: body.into(),
        }
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self {
            status: "302 Found",
            headers: format!("Location: {to}\r\n"),
            body: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }
}

/// What is answered to those who do not show an `authorization`, below a path.
#[derive(Debug, Clone)]
struct Closed {
    below: String,
    authorization: String,
    challenge: String,
}

/// Answers by path; any other path is not found.
pub(crate) struct Server {
    port: u16,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    closed: Arc<Mutex<Option<Closed>>>,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = Arc::new(Mutex::new(BTreeMap::new()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let closed = Arc::new(Mutex::new(None));
        let (table, log, gate) = (
            Arc::clone(&answers),
            Arc::clone(&asked),
            Arc::clone(&closed),
        );
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(
                    stream,
                    Arc::clone(&table),
                    Arc::clone(&log),
                    Arc::clone(&gate),
                ));
            }
        });
        Self {
            port,
            answers,
            closed,
            asked,
            task,
        }
    }

    /// Closes what is below a path to those who do not show this.
    pub(crate) fn close(&self, below: &str, authorization: &str, challenge: &str) {
        *self.closed.lock().unwrap() = Some(Closed {
            below: below.to_owned(),
            authorization: authorization.to_owned(),
            challenge: challenge.to_owned(),
        });
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub(crate) fn play(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// The paths that were asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
    closed: Arc<Mutex<Option<Closed>>>,
) {
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut head = String::new();
        // A client that goes away ends its connection.
        while !head.ends_with("\r\n\r\n") {
            match reader.read_line(&mut head).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let method = head.split(' ').next().unwrap_or_default().to_owned();
        asked.lock().unwrap().push(path.clone());
        let missing = Answer {
            status: "404 Not Found",
            headers: String::new(),
            body: Vec::new(),
        };
        let gate = closed.lock().unwrap().clone().filter(|closed| {
            let shown = format!("authorization: {}\r\n", closed.authorization);
            path.starts_with(&closed.below) && !head.contains(&shown)
        });
        let answer = match gate {
            Some(closed) => Answer {
                status: "401 Unauthorized",
                ..missing
            }
            .header("WWW-Authenticate", &closed.challenge),
            None => answers
                .lock()
                .unwrap()
                .get(&path)
                .cloned()
                .unwrap_or(missing),
        };
        let mut bytes = format!(
            "HTTP/1.1 {}\r\nContent-Length: {}\r\n{}\r\n",
            answer.status,
            answer.body.len(),
            answer.headers
        )
        .into_bytes();
        if method != "HEAD" {
            bytes.extend(&answer.body);
        }
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
