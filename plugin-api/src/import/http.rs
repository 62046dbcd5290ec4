//! HTTP requests made by the host. Linked where the grant lists `net`.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{in_host, limit_millis};
use crate::bindings::imports::dovetail::plugin::http;
use crate::{Error, Header, PlainHeader};

/// A request to be sent. The host fills in secret parts of headers, checks origin and address against the grant,
/// and follows no redirects.
///
/// ```no_run
/// use dovetail_plugin_api::{Error, Header, Secret, http};
///
/// fn token() -> Result<String, Error> {
///     let response = http::Request::get("https://auth.acme.example/token")
///         .header(Header::bearer(Secret::slot("acme-refresh")))
///         .send()?;
///     response.text()
/// }
/// ```
#[derive(Clone)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<Header>,
    body: Vec<u8>,
    timeout: Option<Duration>,
}

impl Request {
    /// Starts a request with any method, to an absolute `http` or `https` URL without a user name.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
        }
    }

    /// Starts a `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Starts a `POST`.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Adds a header.
    pub fn header(mut self, header: Header) -> Self {
        self.headers.push(header);
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a JSON body with its content type.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the value cannot be JSON, such as a map whose keys are no texts.
    pub fn json(self, body: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(body)?;
        Ok(self
            .header(Header::plain("content-type", "application/json"))
            .body(body))
    }

    /// Limits the whole exchange; the host has a cap of its own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends the request and reads the response to its end. A status of 400 or more is not an error.
    ///
    /// # Errors
    /// [`Error::Denied`] for an origin or address outside the grant, [`Error::Retryable`] for connection failures
    /// and timeouts, [`Error::Unavailable`] for a secret slot that cannot be filled and outside the host,
    /// [`Error::Invalid`] for a malformed request.
    pub fn send(self) -> Result<Response, Error> {
        in_host("http")?;
        let response = http::send(&http::Request {
            method: self.method,
            url: self.url,
            headers: self.headers.into_iter().map(Into::into).collect(),
            body: self.body,
            timeout_ms: self.timeout.map(limit_millis),
        })?;
        Ok(Response {
            status: response.status,
            headers: response.headers,
            body: response.body,
            truncated: response.truncated,
        })
    }
}

/// Shows no body: it may hold a credential.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {:?}, {} bytes",
            self.method,
            self.url,
            self.headers,
            self.body.len()
        )
    }
}

/// A response, read to its end.
#[derive(Clone, PartialEq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The response headers.
    pub headers: Vec<PlainHeader>,
    /// The body, at most what the plugin's limits allow.
    pub body: Vec<u8>,
    /// Whether the body was cut at that limit.
    pub truncated: bool,
}

impl Response {
    /// Whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The value of a header; case does not matter.
    pub fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    /// The body as text.
    ///
    /// # Errors
    /// [`Error::Other`] if it is not UTF-8.
    pub fn text(self) -> Result<String, Error> {
        String::from_utf8(self.body).map_err(|_| Error::other("the response body is not UTF-8"))
    }

    /// The body as a type of the plugin's.
    ///
    /// # Errors
    /// [`Error::Other`] if it was cut, or is not JSON of that form.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        if self.truncated {
            return Err(Error::other(
                "the response body was cut at the plugin's output limit",
            ));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::Other(format!("the response body: {error}")))
    }
}

/// Shows neither headers nor body: both may hold a credential.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}, {} bytes", self.status, self.body.len())
    }
}

/// The value of the first header of that name; case does not matter.
pub fn find_header<'a>(headers: &'a [PlainHeader], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value.as_str())
}
