//! What a failure is called. The provider says of which kind it is; the words are those that people and scripts know
//! from existing clients, where there are any.

mod text;
mod words;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dovetail_core::model::{FailureStage, ModelError};
use dovetail_core::plugin::{Failure, FailureKind, PluginError, PluginFault, Provider};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use self::text::{Reached, known_text, usage_limit_text};
use self::words::{ErrorWords, usual_kind};
use crate::redact::Redactor;
use crate::transport::{self, Broken, Unbuilt};
use crate::{limits, retry_after};

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

/// Explains a response with an error status. Neither what is shown nor what the provider's plugin reads has the secrets
/// that the server was sent.
pub(crate) async fn of_response(
    provider: &dyn Provider,
    response: &ErrorResponse<'_>,
    redactor: &Redactor,
) -> ModelError {
    let headers = redactor.clean_headers(response.headers);
    let response = &ErrorResponse {
        headers: &headers,
        ..*response
    };
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
    // Once more: some of what it is made of was encoded.
    let message = redactor.clean(&response.message(&failure));
    ModelError {
        kind: failure.kind,
        retry_after,
        about_image: is_about_an_image(status, &ErrorWords::read(response.excerpt)),
        rate_limits: limits::from_headers(response.headers).map(Box::new),
        ..ModelError::new(FailureStage::Status(status), message)
    }
}

/// Explains an error event; `excerpt` has the shape of an error response's body.
pub(crate) async fn of_event(provider: &dyn Provider, excerpt: &str) -> ModelError {
    let failure = classify(provider, 0, &[], excerpt).await;
    let words = words(&failure, excerpt);
    let retry_after = failure
        .retry_after
        .or_else(|| retry_after::from_message(&words));
    let about_image = is_about_an_image(0, &ErrorWords::read(excerpt));
    let message = match (known_text(failure.kind), failure.kind) {
        (Some(text), _) => text.to_owned(),
        (None, FailureKind::UsageLimitReached) => {
            usage_limit_text(&Reached::of(&ErrorWords::read(excerpt), None))
        }
        (None, FailureKind::InvalidRequest) if about_image => image_text(&words),
        (None, FailureKind::InvalidRequest) => words,
        (None, _) => format!("{DISCONNECTED}{words}"),
    };
    ModelError {
        kind: failure.kind,
        retry_after,
        about_image,
        ..ModelError::new(FailureStage::Event, message)
    }
}

/// An incomplete response: the model stopped for a reason that asking again does not change.
pub(crate) fn incomplete(reason: &str) -> ModelError {
    ModelError {
        kind: FailureKind::InvalidRequest,
        ..ModelError::new(
            FailureStage::Event,
            format!("Incomplete response returned, reason: {reason}"),
        )
    }
}

/// A stream that ended before it was complete.
pub(crate) fn disconnected(why: &str) -> ModelError {
    ModelError::new(FailureStage::Stream, format!("{DISCONNECTED}{why}"))
}

/// A request that got no answer; `url` as it may be shown, `proxy` the variable that names one on the way.
pub(crate) fn unanswered(
    broken: Broken,
    url: &str,
    proxy: Option<&str>,
    cause: &str,
) -> ModelError {
    let (stage, what) = match broken {
        Broken::Unreachable => (FailureStage::Connect, "cannot connect to"),
        Broken::Unsafe | Broken::Untrusted => (FailureStage::Exchange, "no secure connection to"),
        Broken::Unanswered => (FailureStage::Exchange, "no answer from"),
    };
    let way = proxy.map_or_else(String::new, |name| {
        format!(" through the proxy of `{name}`")
    });
    ModelError::new(stage, format!("{what} `{url}`{way}: {cause}"))
}

/// A request whose server said nothing for so many milliseconds.
pub(crate) fn silent(url: &str, limit: u128) -> ModelError {
    let message = format!("no answer from `{url}` within {limit} ms");
    ModelError::new(FailureStage::Exchange, message)
}

/// The caller does not want an answer any more.
pub(crate) fn cancelled() -> ModelError {
    ModelError::new(FailureStage::Stream, "the request was cancelled".to_owned())
}

/// Whether an error is that a credential was not accepted.
pub(crate) fn is_unauthorized(error: &ModelError) -> bool {
    error.kind == FailureKind::Unauthorized || error.stage == FailureStage::Status(401)
}

/// A request that is no JSON.
pub(crate) fn unwritable(error: &serde_json::Error) -> ModelError {
    unsendable(format!("the request cannot be written as JSON: {error}"))
}

/// A client that cannot be made.
pub(crate) fn unprepared(error: Unbuilt) -> ModelError {
    unsendable(match error {
        Unbuilt::File(error) => error.to_string(),
        Unbuilt::Client(error) => format!("cannot prepare HTTP: {}", transport::cause(error)),
    })
}

/// No WebSocket could be had for a request, for this reason.
pub(crate) fn no_socket(message: String) -> ModelError {
    ModelError::new(FailureStage::Upgrade, message)
}

/// A request that was not sent, since something in it cannot be.
pub(crate) fn unsendable(message: String) -> ModelError {
    ModelError {
        kind: FailureKind::InvalidRequest,
        ..ModelError::new(FailureStage::Auth, message)
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
            | PluginFault::Drifted { .. }
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
        ..ModelError::new(FailureStage::Auth, error.to_string())
    }
}

/// A response that a plugin could not read to its end. What broke in the plugin breaks again; only it knows what else may
/// be tried again.
pub(crate) fn of_decoder(error: &PluginError, redactor: &Redactor) -> ModelError {
    let words = redactor.clean(&cut(&error.to_string()));
    match error {
        PluginError::Retryable { after, .. } => ModelError {
            retry_after: *after,
            ..disconnected(&words)
        },
        PluginError::Fault(_)
        | PluginError::Denied(_)
        | PluginError::Invalid(_)
        | PluginError::Unavailable(_)
        | PluginError::Other(_) => ModelError {
            kind: FailureKind::InvalidRequest,
            ..ModelError::new(FailureStage::Event, words)
        },
    }
}

impl ErrorResponse<'_> {
    fn message(&self, failure: &Failure) -> String {
        let own = ErrorWords::read(self.excerpt);
        if let Some(text) = known_text(failure.kind)
            && !self.is_bare_demand_to_pay(&own)
        {
            return text.to_owned();
        }
        if failure.kind == FailureKind::UsageLimitReached {
            return usage_limit_text(&Reached::of(&own, Some(self.headers)));
        }
        let words = words(failure, self.excerpt);
        match self.status.as_u16() {
            300..=399 => format!(
                "unexpected status {}: redirects are not followed{}{}",
                self.status,
                self.target(),
                self.details()
            ),
            status if is_about_an_image(status, &own) => image_text(&words),
            400 if own.code == "cyber_policy" => words,
            400 if !self.excerpt.trim().is_empty() => cut(self.excerpt.trim()),
            429 => format!("exceeded retry limit, last status: {}", self.status),
            500 => format!(
                "the model's service is in high demand and could not answer ({}){}{}",
                self.status,
                // A body that is no error object is a page, which tells nothing.
                own.message
                    .as_deref()
                    .map_or_else(String::new, |words| format!(": {}", cut(words))),
                self.details()
            ),
            _ => format!(
                "unexpected status {}: {words}{}",
                self.status,
                self.details()
            ),
        }
    }

    /// A 402 that does not say what it is about: the server's own words tell more than ours.
    fn is_bare_demand_to_pay(&self, words: &ErrorWords) -> bool {
        self.status == StatusCode::PAYMENT_REQUIRED && words.code != "insufficient_quota"
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()) // Not ASCII: nothing that can be shown.
    }

    /// Where a redirect points, without its query, which may hold keys.
    fn target(&self) -> String {
        let target = self
            .header("location")
            .and_then(|text| text.split(['?', '#']).next());
        target.map_or_else(String::new, |target| {
            let target = cut(target);
            format!("; this one points to `{target}`")
        })
    }

    /// What whoever runs the service needs to find the request.
    fn details(&self) -> String {
        let mut details = format!(", url: {}", self.url);
        let mut add = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                details.push_str(&format!(", {name}: {value}"));
            }
        };
        add("cf-ray", self.header("cf-ray"));
        let id = self.header("x-request-id");
        add("request id", id.or_else(|| self.header("x-oai-request-id")));
        add("auth error", self.header("x-openai-authorization-error"));
        let code = self.header("x-error-json").and_then(coded_error);
        add("auth error code", code.as_deref());
        details
    }
}

/// Whether a failure is that an image cannot be used: one of a request, or (0) of an event.
fn is_about_an_image(status: u16, words: &ErrorWords) -> bool {
    matches!(status, 0 | 400) && words.is_about_an_image()
}

fn image_text(words: &str) -> String {
    format!("the model's service cannot use an image of this conversation: {words}")
}

/// The code of an error that a header carries as Base64 of JSON; none where it is anything else.
fn coded_error(header: &str) -> Option<String> {
    let json = STANDARD.decode(header.trim()).ok()?;
    let words = ErrorWords::read(std::str::from_utf8(&json).ok()?);
    let shown: String = words.code.chars().filter(|c| !c.is_control()).collect();
    (!shown.is_empty()).then(|| cut(&shown))
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

/// The code of an error's body; empty where it has none.
pub(crate) fn code(excerpt: &str) -> String {
    ErrorWords::read(excerpt).code
}

/// What the body of an error says in words.
pub(crate) fn own_words(excerpt: &str) -> Option<String> {
    ErrorWords::read(excerpt).message.as_deref().map(cut)
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
