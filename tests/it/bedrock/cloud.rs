//! Made-up AWS services: each answers what it was told to, and keeps what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::raw_server::RawServer;

/// A request to one of them.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    /// The path with its query.
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Such as `GET /latest/meta-data/`.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Some services at one address.
pub(super) struct Cloud {
    server: RawServer,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Cloud {
    /// Starts with an answer for each `METHOD /path?query`; others are not found.
    pub(super) async fn start(answers: &[(&str, u16, &str)]) -> Self {
        let answers: BTreeMap<String, (u16, String)> = answers
            .iter()
            .map(|(line, status, body)| ((*line).to_owned(), (*status, (*body).to_owned())))
            .collect();
        let (answers, asked) = (Arc::new(answers), Arc::<Mutex<Vec<Asked>>>::default());
        let kept = Arc::clone(&asked);
        let server = RawServer::start(move |stream| {
            let (answers, kept) = (Arc::clone(&answers), Arc::clone(&kept));
            async move {
                let mut stream = BufReader::new(stream);
                let asked = read(&mut stream).await;
                let missing = (404, String::new());
                let (status, body) = answers.get(&asked.line()).unwrap_or(&missing);
                kept.lock().unwrap().push(asked);
                let head = format!(
                    "HTTP/1.1 {status} Answer\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all((head + body).as_bytes()).await.unwrap();
                stream.into_inner()
            }
        })
        .await;
        Self { server, asked }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// What was asked so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The same as lines.
    pub(super) fn lines(&self) -> Vec<String> {
        self.asked().iter().map(Asked::line).collect()
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Asked {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        let read = stream.read_line(&mut line).await.unwrap();
        assert!(read > 0, "the request ends in its head");
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let mut words = head[0].split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let pair = |line: &String| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_owned(), value.trim().to_owned())
    };
    let mut asked = Asked {
        method,
        path,
        headers: head[1..].iter().map(pair).collect(),
        body: Vec::new(),
    };
    let length = asked
        .header("content-length")
        .map_or(0, |text| text.parse().unwrap());
    asked.body = vec![0; length];
    stream.read_exact(&mut asked.body).await.unwrap();
    asked
}
