//! Errors in messages: what HTTP says with a status, in one JSON object with its headers.

use dovetail_core::model::ModelError;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::address;
use crate::failure::{self, ErrorResponse};
use crate::redact::Redactor;
use crate::service::Service;

/// Codes of errors that another connection does not have: the server has forgotten the response that the request goes on
/// from, or has had this connection for long enough.
const OF_CONNECTION: [&str; 2] = [
    "previous_response_not_found",
    "websocket_connection_limit_reached",
];

/// An error with a status.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    status: StatusCode,
    headers: HeaderMap,
    /// The whole message.
    body: String,
}

#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    status: Value,
    #[serde(default)]
    headers: Value,
}

impl Refusal {
    /// Reads a message; none where it has no status of an error.
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let frame: Frame = serde_json::from_slice(data).ok()?; // Something else, which is read elsewhere.
        let status = u16::try_from(frame.status.as_u64()?).ok()?; // No number that HTTP has.
        let status = StatusCode::from_u16(status).ok()?;
        (status.is_client_error() || status.is_server_error()).then(|| Self {
            status,
            headers: headers(frame.headers),
            body: String::from_utf8_lossy(data).into_owned(),
        })
    }

    /// Whether it is this connection's alone.
    pub(super) fn is_of_connection(&self) -> bool {
        is_of_connection(&self.body)
    }

    /// What it means: the same as the response over HTTP that it stands for.
    pub(super) async fn explain(&self, service: &Service, redactor: &Redactor) -> ModelError {
        let excerpt = redactor.clean(&self.body);
        let error = if self.is_of_connection() {
            let words = failure::own_words(&excerpt);
            failure::disconnected(
                words
                    .as_deref()
                    .unwrap_or("the connection is of no more use"),
            )
        } else {
            let response = ErrorResponse {
                url: &address::shown_socket(&service.url),
                status: self.status,
                headers: &self.headers,
                excerpt: &excerpt,
            };
            failure::of_response(service.provider.as_ref(), &response, redactor).await
        };
        ModelError {
            over_socket: true,
            ..error
        }
    }
}

/// Whether the body of an error says that it is this connection's alone.
pub(super) fn is_of_connection(body: &str) -> bool {
    OF_CONNECTION.contains(&failure::code(body).as_str())
}

/// The headers of a message; what none could be is left out.
fn headers(value: Value) -> HeaderMap {
    let Value::Object(fields) = value else {
        return HeaderMap::new();
    };
    fields.into_iter().filter_map(header).collect()
}

fn header(
    (name, value): <Map<String, Value> as IntoIterator>::Item,
) -> Option<(HeaderName, HeaderValue)> {
    let value = match value {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    Some((name.parse().ok()?, value.parse().ok()?)) // Not as HTTP writes them: left out.
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_with_a_status_is_read_with_its_headers() {
        let text = r#"{"type":"error","status":429,"error":{"code":"x"},"headers":{"Retry-After":7,"x-request-id":"r","bad name":"x","list":[]}}"#;
        let refusal = Refusal::read(text.as_bytes()).expect("an error with a status");
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("7"));
        headers.insert("x-request-id", HeaderValue::from_static("r"));
        let expected = Refusal {
            status: StatusCode::TOO_MANY_REQUESTS,
            headers,
            body: text.to_owned(),
        };
        assert_eq!(refusal, expected);
        assert!(!refusal.is_of_connection());
    }

    #[test]
    fn other_messages_are_no_such_error() {
        for text in [
            r#"{"type":"error","error":{"code":"x"}}"#,
            r#"{"type":"error","status":200}"#,
            r#"{"type":"error","status":"429"}"#,
            r#"{"type":"error","status":70000}"#,
            r#"{"type":"error","status":-1}"#,
            "[]",
            "",
        ] {
            assert_eq!(Refusal::read(text.as_bytes()), None, "{text}");
        }
    }
}
