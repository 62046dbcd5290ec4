//! Errors as these servers word them. Few have codes; what the conversation needs to know is in the words.

use dovetail_plugin_api::provider::{Failure, FailureKind};
use dovetail_plugin_api::{PlainHeader, failure};

/// How servers say that a conversation is too long for the model.
const TOO_LONG: [&str; 9] = [
    "maximum context length",
    "context length exceeded",
    "exceeds the available context size",
    "exceed context",
    "context_length_exceeded",
    "exceed_context_size",
    "context window",
    "context the overflows",
    "prompt is too long",
];

/// How they say that the model is not there.
const NO_MODEL: [&str; 3] = ["model not found", "no models loaded", "does not exist"];

pub(crate) fn classify(status: u16, headers: &[PlainHeader], excerpt: &str) -> Failure {
    let mut failure = failure::classify(status, headers, excerpt);
    let words = failure.message.as_deref().unwrap_or_default();
    let words = format!("{words} {excerpt}").to_ascii_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| words.contains(text));
    if matches!(status, 0 | 400 | 413 | 422 | 500) && says(&TOO_LONG) {
        failure.kind = FailureKind::ContextWindowExceeded;
    } else if matches!(status, 0 | 400) && says(&NO_MODEL) {
        failure.kind = FailureKind::InvalidRequest;
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, kind: FailureKind) {
        assert_eq!(classify(status, &[], body).kind, kind, "{status} {body}");
    }

    #[test]
    fn conversations_that_are_too_long_are_recognised() {
        for body in [
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 9000","code":400}"#,
            r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error"}}"#,
            r#"{"error":{"code":"context_length_exceeded","message":"too long"}}"#,
            r#"{"error":"Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens"}"#,
        ] {
            check(400, body, FailureKind::ContextWindowExceeded);
            check(0, body, FailureKind::ContextWindowExceeded);
        }
        check(404, "maximum context length", FailureKind::NotFound);
    }

    #[test]
    fn other_errors_are_what_their_status_says() {
        check(
            404,
            r#"{"error":{"message":"model 'x' not found","type":"api_error"}}"#,
            FailureKind::NotFound,
        );
        check(401, "", FailureKind::Unauthorized);
        check(
            429,
            r#"{"error":{"message":"slow down"}}"#,
            FailureKind::RateLimited,
        );
        check(
            500,
            r#"{"error":"llama runner process has terminated"}"#,
            FailureKind::ServerError,
        );
        check(0, r#"{"error":{"message":"boom"}}"#, FailureKind::Unknown);
        check(
            0,
            r#"{"error":{"message":"No models loaded"}}"#,
            FailureKind::InvalidRequest,
        );
    }
}
