//! One request and its response.

use std::io::Write as _;

use wasip2::http::outgoing_handler::{self, FutureIncomingResponse, RequestOptions};
use wasip2::http::types::{
    Fields, IncomingBody, Method, OutgoingBody, OutgoingRequest, Scheme, http_error_code,
};
use wasip2::io::streams::{InputStream, StreamError};

use crate::Order;

/// Read at once.
const PIECE: u64 = 64 << 10;

/// A request that is on its way.
pub(crate) struct Sent(FutureIncomingResponse);

/// Sends a request and its whole body.
pub(crate) fn begin(order: &Order) -> Result<Sent, String> {
    let (scheme, rest) = order.url.split_once("://").ok_or("no scheme")?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let request = OutgoingRequest::new(headers(order)?);
    let refused = |what: &str| format!("the {what} is not taken");
    let taken = [
        (request.set_method(&method(&order.method)), "method"),
        (request.set_scheme(Some(&scheme)), "scheme"),
        (request.set_authority(Some(authority)), "authority"),
        (request.set_path_with_query(Some(path)), "path"),
    ];
    for (result, what) in taken {
        result.map_err(|()| refused(what))?;
    }
    let body = request.body().map_err(|()| refused("body"))?;
    let options = order.patience_ms.map(|ms| {
        let options = RequestOptions::new();
        let set = options.set_first_byte_timeout(Some(ms * 1_000_000));
        set.map(|()| options).map_err(|()| refused("patience"))
    });
    let response = outgoing_handler::handle(request, options.transpose()?)
        .map_err(|code| format!("handle: {code:?}"))?;
    write(body, order.body)?;
    Ok(Sent(response))
}

fn headers(order: &Order) -> Result<Fields, String> {
    let fields = Fields::new();
    for (name, value) in &order.headers {
        fields
            .append(name, value.as_bytes())
            .map_err(|error| format!("header `{name}`: {error:?}"))?;
    }
    Ok(fields)
}

fn method(text: &str) -> Method {
    match text {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "CONNECT" => Method::Connect,
        other => Method::Other(other.to_owned()),
    }
}

/// A host that does not want the body says why in its response.
fn write(body: OutgoingBody, mut left: usize) -> Result<(), String> {
    {
        let mut stream = body.write().map_err(|()| "the body cannot be written")?;
        let piece = vec![b'x'; 64 << 10];
        while left > 0 {
            let now = left.min(piece.len());
            if stream.write_all(&piece[..now]).is_err() || stream.flush().is_err() {
                return Ok(());
            }
            left -= now;
        }
    }
    OutgoingBody::finish(body, None).map_err(|code| format!("body: {code:?}"))
}

impl Sent {
    /// Waits for the response and reads it.
    pub(crate) fn end(self) -> Result<String, String> {
        self.0.subscribe().block();
        let response = match self.0.get() {
            Some(Ok(response)) => response.map_err(|code| format!("failed: {code:?}"))?,
            Some(Err(())) | None => return Err("there is no response".to_owned()),
        };
        let status = response.status();
        let count = response.headers().entries().len();
        let body = response.consume().map_err(|()| "the body is gone")?;
        let stream = body.stream().map_err(|()| "the body is taken")?;
        let read = read(&stream);
        drop(stream);
        drop(IncomingBody::finish(body));
        let (length, beginning) = read?;
        Ok(format!(
            "status {status}, {count} headers, {length} bytes: {beginning}"
        ))
    }
}

/// How long a body is and how it begins.
fn read(stream: &InputStream) -> Result<(usize, String), String> {
    let (mut length, mut beginning) = (0, String::new());
    loop {
        match stream.blocking_read(PIECE) {
            Ok(piece) => {
                length += piece.len();
                if beginning.len() < 100 {
                    beginning.push_str(&String::from_utf8_lossy(&piece[..piece.len().min(100)]));
                }
            }
            Err(StreamError::Closed) => return Ok((length, beginning)),
            Err(StreamError::LastOperationFailed(error)) => {
                let code = http_error_code(&error).map(|code| format!("{code:?}"));
                let why = code.unwrap_or_else(|| error.to_debug_string());
                return Err(format!("body: {why}"));
            }
        }
    }
}
