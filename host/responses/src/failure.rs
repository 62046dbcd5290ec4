//! What a failure is called. The provider says of which kind it is; the words are those that people and scripts know
//! from existing clients, where there are any.

mod text;
mod words;

use dovetail_core::model::{FailureStage, ModelError};
use dovetail_core::plugin::{Failure, FailureKind, PluginError, PluginFault, Provider};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use self::text::known_text;
use self::words::{ErrorWords, usual_kind};
use crate::retry_after;

/// What a stream that ended too early begins with.
const DISCONNECTED: &str = "stream disconnected before completion: ";
/// A server's words are shown this far.
const LONGEST_MESSAGE: usize = 2_000;

/// A response with an error status.
pub(crate) struct ErrorResponse<'a> {
    /// The URL as it may be shown.
    pub(crate) url: &'a str,
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: &'a HeaderMap,
    /// The start of the body, without secrets.
    pub(crate) excerpt: &'a str,
}

/// Explains a response with an error status.
pub(crate) async fn of_response(
    provider: &dyn Provider,
    response: &ErrorResponse<'_>,
) -> ModelError {
    let status = response.status.as_u16();
    let headers: Vec<(String, String)> = response
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let failure = classify(provider, status, &headers, response.excerpt).await;
    let retry_after = failure
        .retry_after
        .or_else(|| retry_after::from_headers(response.headers));
    let message = response.message(&failure);
    ModelError {
        stage: FailureStage::Status(status),
        kind: failure.kind,
        message,
        retry_after,
        transient: false,
    }
}

/// Explains an error event; `excerpt` has the shape of an error response's body.
pub(crate) async fn of_event(provider: &dyn Provider, excerpt: &str) -> ModelError {
    let failure = classify(provider, 0, &[], excerpt).await;
    let words = words(&failure, excerpt);
    let retry_after = failure
        .retry_after
        .or_else(|| retry_after::from_message(&words));
    let message = match (known_text(failure.kind, excerpt), failure.kind) {
        (Some(text), _) => text,
        (None, FailureKind::InvalidRequest) => words,
        (None, _) => format!("{DISCONNECTED}{words}"),
    };
    ModelError {
        stage: FailureStage::Event,
        kind: failure.kind,
        message,
        retry_after,
        transient: false,
    }
}

/// An incomplete response: the model stopped for a reason that asking again does not change.
pub(crate) fn incomplete(reason: &str) -> ModelError {
    ModelError {
        kind: FailureKind::InvalidRequest,
        ..plain(
            FailureStage::Event,
            format!("Incomplete response returned, reason: {reason}"),
        )
    }
}

/// A stream that ended before it was complete.
pub(crate) fn disconnected(why: &str) -> ModelError {
    plain(FailureStage::Stream, format!("{DISCONNECTED}{why}"))
}

/// A request that got no answer.
pub(crate) fn unanswered(message: String) -> ModelError {
    plain(FailureStage::Connect, message)
}

/// The caller does not want an answer any more.
pub(crate) fn cancelled() -> ModelError {
    plain(FailureStage::Stream, "the request was cancelled".to_owned())
}

/// A request that was not sent, since something in it cannot be.
pub(crate) fn unsendable(message: String) -> ModelError {
    ModelError {
        kind: FailureKind::InvalidRequest,
        ..plain(FailureStage::Auth, message)
    }
}

/// A request that was not sent for want of a credential. The provider's words are the message.
pub(crate) fn of_credential(error: &PluginError) -> ModelError {
    let (transient, retry_after) = match error {
        PluginError::Retryable { after, .. } => (true, *after),
        // The call was repeated into a new instance already; more would only hide its last words behind a quarantine.
        PluginError::Fault(
            PluginFault::Trap { .. }
            | PluginFault::Deadline { .. }
            | PluginFault::Limit { .. }
            | PluginFault::Quarantined { .. }
            | PluginFault::NotLoaded { .. },
        )
        | PluginError::Denied(_)
        | PluginError::Invalid(_)
        | PluginError::Unavailable(_)
        | PluginError::Other(_) => (false, None),
    };
    ModelError {
        retry_after,
        transient,
        ..plain(FailureStage::Auth, error.to_string())
    }
}

fn plain(stage: FailureStage, message: String) -> ModelError {
    ModelError {
        stage,
        kind: FailureKind::Unknown,
        message,
        retry_after: None,
        transient: false,
    }
}

impl ErrorResponse<'_> {
    fn message(&self, failure: &Failure) -> String {
        if let Some(text) = known_text(failure.kind, self.excerpt) {
            return text;
        }
        match self.status.as_u16() {
            400 if !self.excerpt.trim().is_empty() => cut(self.excerpt.trim()),
            429 => format!("exceeded retry limit, last status: {}", self.status),
            500 => format!(
                "the model's service is in high demand and could not answer ({}){}",
                self.status,
                self.details()
            ),
            _ => {
                let words = words(failure, self.excerpt);
                format!(
                    "unexpected status {}: {words}{}",
                    self.status,
                    self.details()
                )
            }
        }
    }

    /// What whoever runs the service needs to find the request.
    fn details(&self) -> String {
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok()); // Not ASCII: no id.
        let mut details = format!(", url: {}", self.url);
        if let Some(ray) = header("cf-ray") {
            details.push_str(&format!(", cf-ray: {ray}"));
        }
        if let Some(id) = header("x-request-id").or_else(|| header("x-oai-request-id")) {
            details.push_str(&format!(", request id: {id}"));
        }
        details
    }
}

/// Asks the provider, and helps out where it has no answer.
async fn classify(
    provider: &dyn Provider,
    status: u16,
    headers: &[(String, String)],
    excerpt: &str,
) -> Failure {
    let mut failure = provider.classify(status, headers, excerpt).await.unwrap_or_else(|error| {
        tracing::warn!(plugin = %provider.plugin(), %error, "the provider could not explain a failure");
        Failure { kind: FailureKind::Unknown, message: None, retry_after: None }
    });
    if failure.kind == FailureKind::Unknown {
        failure.kind = usual_kind(status, &ErrorWords::read(excerpt));
    }
    failure
}

/// The server's own words, or what stands in for them.
fn words(failure: &Failure, excerpt: &str) -> String {
    let own = ErrorWords::read(excerpt);
    let words = failure
        .message
        .as_deref()
        .or(own.message.as_deref())
        .unwrap_or(excerpt)
        .trim();
    if words.is_empty() || words == r#"{"error":null}"# {
        "Unknown error".to_owned()
    } else {
        cut(words)
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_MESSAGE) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
