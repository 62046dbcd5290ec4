//! Just enough HTTP/1.1 to be asked and to answer: whole requests in, single writes out.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request as it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedRequest {
    /// Which connection it came on, counted from 0: equal numbers mean that a connection was used again.
    pub connection: u64,
    /// The method; `WEBSOCKET` for a message, whose path and headers are those of the upgrade.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The headers in their order and spelling.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The body as JSON, where it is.
    pub json: Option<Value>,
}

impl RecordedRequest {
    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The path without its query.
    pub(crate) fn path_alone(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    fn says(&self, name: &str, word: &str) -> bool {
        self.header(name).is_some_and(|value| {
            value
                .split(',')
                .any(|part| part.trim().eq_ignore_ascii_case(word))
        })
    }

    pub(crate) fn is_upgrade(&self) -> bool {
        self.header("upgrade").is_some()
    }

    pub(crate) fn wants_close(&self) -> bool {
        self.says("connection", "close")
    }
}

/// Whether a header of that name is one that clients authenticate with.
pub(crate) fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let telling = [
        "authorization",
        "cookie",
        "api-key",
        "apikey",
        "token",
        "secret",
        "attestation",
    ];
    telling.iter().any(|part| name.contains(part))
}

/// Why a request could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("not an HTTP/1.1 request: {0}")]
    Malformed(String),
    #[error("the request is longer than {0} bytes")]
    TooLong(usize),
}

/// A head may hold long metadata headers, but not this much.
const MAX_HEAD: usize = 256 * 1024;
/// Conversations with images reach tens of megabytes.
const MAX_BODY: usize = 128 * 1024 * 1024;
const MAX_HEADERS: usize = 128;

/// A connection with what was read and not yet used.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    number: u64,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, number: u64) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            number,
        }
    }

    /// The socket, and what was read of it and not yet used.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.buffer)
    }

    /// Reads the next request; none when the client is done.
    pub(crate) async fn read_request(&mut self) -> Result<Option<RecordedRequest>, ReadError> {
        let (head_length, mut request) = loop {
            if let Some(parsed) = parse_head(&self.buffer, self.number)? {
                break parsed;
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(ReadError::TooLong(MAX_HEAD));
            }
            if self.fill().await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(ReadError::Malformed("it ends in its head".to_owned()))
                };
            }
        };
        self.buffer.drain(..head_length);
        if request.says("expect", "100-continue") {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        request.body = self.read_body(&request).await?;
        // A body that is no JSON is a fact to record, not an error of the server.
        request.json = serde_json::from_slice(&request.body).ok();
        Ok(Some(request))
    }

    async fn read_body(&mut self, request: &RecordedRequest) -> Result<Vec<u8>, ReadError> {
        if request.says("transfer-encoding", "chunked") {
            return self.read_chunked().await;
        }
        let Some(length) = request.header("content-length") else {
            return Ok(Vec::new());
        };
        let length: usize = length
            .parse()
            .map_err(|_| ReadError::Malformed(format!("content-length `{length}`")))?;
        self.take(length).await
    }

    async fn read_chunked(&mut self) -> Result<Vec<u8>, ReadError> {
        let mut body = Vec::new();
        loop {
            let (used, size) = loop {
                match httparse::parse_chunk_size(&self.buffer) {
                    Ok(httparse::Status::Complete(parsed)) => break parsed,
                    Ok(httparse::Status::Partial) => self.fill_or_fail().await?,
                    Err(_) => {
                        return Err(ReadError::Malformed("a chunk has no valid size".to_owned()));
                    }
                }
            };
            self.buffer.drain(..used);
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if body.len().saturating_add(size) > MAX_BODY {
                return Err(ReadError::TooLong(MAX_BODY));
            }
            body.extend(self.take(size).await?);
            // Every chunk, the last empty one too, ends with a line end. Trailers are not sent by any client we know.
            self.take(2).await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, ReadError> {
        if length > MAX_BODY {
            return Err(ReadError::TooLong(MAX_BODY));
        }
        while self.buffer.len() < length {
            self.fill_or_fail().await?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    async fn fill(&mut self) -> std::io::Result<usize> {
        self.buffer.reserve(16 * 1024);
        self.stream.read_buf(&mut self.buffer).await
    }

    async fn fill_or_fail(&mut self) -> Result<(), ReadError> {
        match self.fill().await? {
            0 => Err(ReadError::Malformed("it ends in its body".to_owned())),
            _ => Ok(()),
        }
    }

    /// Writes bytes as they are, at once.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Writes one chunk of a chunked body, at once.
    pub(crate) async fn write_chunk(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        self.write(&framed).await
    }

    /// Writes a whole response that is no stream.
    pub(crate) async fn write_response(
        &mut self,
        status: u16,
        headers: &[(String, String)],
        body: &[u8],
    ) -> std::io::Result<()> {
        let mut bytes = head(status, headers);
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            bytes.extend_from_slice(b"content-type: application/json\r\n");
        }
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        self.write(&bytes).await
    }

    /// Returns when the client has closed the connection; never while it only waits.
    pub(crate) async fn closed(&mut self) {
        loop {
            match self.fill().await {
                Ok(0) | Err(_) => return,
                // A pipelined request: it waits in the buffer.
                Ok(_) if self.buffer.len() <= MAX_HEAD => {}
                Ok(_) => return,
            }
        }
    }
}

/// The start of a response, up to and without the empty line.
pub(crate) fn head(status: u16, headers: &[(String, String)]) -> Vec<u8> {
    let reason = reqwest::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    let mut head = format!("HTTP/1.1 {status} {}\r\n", reason.unwrap_or("Unknown"));
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.into_bytes()
}

fn parse_head(
    bytes: &[u8],
    connection: u64,
) -> Result<Option<(usize, RecordedRequest)>, ReadError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed
        .parse(bytes)
        .map_err(|error| ReadError::Malformed(error.to_string()))?;
    let httparse::Status::Complete(length) = status else {
        return Ok(None);
    };
    let headers = parsed
        .headers
        .iter()
        .map(|header| {
            (
                header.name.to_owned(),
                String::from_utf8_lossy(header.value).into_owned(),
            )
        })
        .collect();
    let request = RecordedRequest {
        connection,
        method: parsed.method.unwrap_or_default().to_owned(),
        path: parsed.path.unwrap_or_default().to_owned(),
        headers,
        body: Vec::new(),
        json: None,
    };
    Ok(Some((length, request)))
}
