//! A made-up HTTP service on a real socket: it remembers what it is asked, and a function answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const HEAD_END: &[u8] = b"\r\n\r\n";

/// A request that it got.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    headers: Vec<(String, String)>,
    /// The body as it came.
    pub body: Vec<u8>,
}

impl Asked {
    /// The first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// All headers, as they came.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// `METHOD path`.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The body as text.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// What a request is answered with.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<String>,
    body: Vec<u8>,
    is_silence: bool,
}

impl Answer {
    /// A status with a body of no declared type.
    #[must_use]
    pub fn new(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
            is_silence: false,
        }
    }

    /// A status with JSON.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, &body.to_string()).with_header("content-type: application/json")
    }

    /// Nothing, on an open connection.
    #[must_use]
    pub fn silence() -> Self {
        Self {
            is_silence: true,
            ..Self::new(200, "")
        }
    }

    /// With a header, in the place of any other of its name.
    #[must_use]
    pub fn with_header(mut self, header: &str) -> Self {
        let name = header.split(':').next();
        self.headers.retain(|known| known.split(':').next() != name);
        self.headers.push(header.to_owned());
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Said\r\n", self.status);
        for header in &self.headers {
            head.push_str(&format!("{header}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", self.body.len()));
        [head.as_bytes(), &self.body].concat()
    }
}

/// The service. Dropping it ends it.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    accepting: JoinHandle<()>,
}

impl Service {
    /// Starts it on the loopback interface.
    ///
    /// # Panics
    /// It cannot listen.
    pub async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(Asked) -> A + Send + Sync + 'static,
        A: Future<Output = Answer> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
        let address = listener.local_addr().expect("it has an address");
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (shared, answer) = (Arc::clone(&asked), Arc::new(answer));
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("it accepts");
                let (asked, answer) = (Arc::clone(&shared), Arc::clone(&answer));
                tokio::spawn(async move { serve(stream, &asked, &*answer).await });
            }
        });
        Self {
            address,
            asked,
            accepting,
        }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        locked(&self.asked).clone()
    }

    /// What it was asked since the last look.
    #[must_use]
    pub fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut locked(&self.asked))
    }

    /// What it was asked, as `METHOD path`.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        locked(&self.asked).iter().map(Asked::line).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn locked(asked: &Mutex<Vec<Asked>>) -> std::sync::MutexGuard<'_, Vec<Asked>> {
    asked.lock().expect("nothing panics with it")
}

async fn serve<A>(mut stream: TcpStream, asked: &Mutex<Vec<Asked>>, answer: &impl Fn(Asked) -> A)
where
    A: Future<Output = Answer>,
{
    while let Some(request) = read(&mut stream).await {
        locked(asked).push(request.clone());
        let answer = answer(request).await;
        if answer.is_silence {
            // Until the client has had enough.
            drop(stream.read_u8().await);
            return;
        }
        if stream.write_all(&answer.bytes()).await.is_err() {
            return;
        }
    }
}

/// The next request; none where the connection has ended.
async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head_end = loop {
        let mut windows = bytes.windows(HEAD_END.len());
        if let Some(at) = windows.position(|window| window == HEAD_END) {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = bytes.split_off(head_end + HEAD_END.len());
    let head = String::from_utf8(bytes).expect("the head is text");
    let mut lines = head.trim_end().lines();
    let mut words = lines.next().expect("a line").split(' ').map(str::to_owned);
    let header = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header");
        (name.to_owned(), value.trim().to_owned())
    };
    let mut asked = Asked {
        method: words.next().expect("a method"),
        path: words.next().expect("a path"),
        headers: lines.map(header).collect(),
        body: Vec::new(),
    };
    let length = asked.header("content-length");
    let length = length.map_or(0, |length| length.parse().expect("a length"));
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    asked.body = body;
    Some(asked)
}
