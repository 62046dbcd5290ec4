//! Errors of this API: an object with a `type`, beside the status or in the stream.

use dovetail_plugin_api::provider::{Failure, FailureKind};
use dovetail_plugin_api::{PlainHeader, failure};
use serde_json::Value;

/// How it says that a conversation is too long for the model.
const TOO_LONG: [&str; 3] = [
    "prompt is too long",
    "exceed context limit",
    "context window",
];

pub(crate) fn classify(status: u16, headers: &[PlainHeader], excerpt: &str) -> Failure {
    let mut failure = failure::classify(status, headers, excerpt);
    let body: Value = serde_json::from_str(excerpt).unwrap_or_default();
    let words = failure
        .message
        .as_deref()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let too_long = TOO_LONG.iter().any(|text| words.contains(text));
    let kind = match (status, body["error"]["type"].as_str().unwrap_or_default()) {
        (0 | 400 | 413, _) if too_long => FailureKind::ContextWindowExceeded,
        // In the middle of a stream it passes in seconds: another try helps.
        (0, "overloaded_error" | "api_error" | "timeout_error") => FailureKind::ServerError,
        (529, _) | (_, "overloaded_error") => FailureKind::Overloaded,
        (_, "rate_limit_error") => FailureKind::RateLimited,
        (_, "authentication_error") => FailureKind::Unauthorized,
        (_, "permission_error") => FailureKind::Forbidden,
        (_, "billing_error") => FailureKind::QuotaExceeded,
        (_, "not_found_error") => FailureKind::NotFound,
        (_, "request_too_large") => FailureKind::TooLarge,
        (_, "invalid_request_error") => FailureKind::InvalidRequest,
        _ => return failure,
    };
    failure.kind = kind;
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, kind: &str, message: &str, expected: FailureKind) {
        let body =
            format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#);
        let failure = classify(status, &[], &body);
        assert_eq!(failure.kind, expected, "{status} {body}");
        assert_eq!(failure.message.as_deref(), Some(message));
    }

    #[test]
    fn errors_are_what_their_type_says() {
        check(
            400,
            "invalid_request_error",
            "bad",
            FailureKind::InvalidRequest,
        );
        check(
            400,
            "invalid_request_error",
            "prompt is too long: 200001 tokens > 200000 maximum",
            FailureKind::ContextWindowExceeded,
        );
        check(401, "authentication_error", "no", FailureKind::Unauthorized);
        check(402, "billing_error", "no", FailureKind::QuotaExceeded);
        check(403, "permission_error", "no", FailureKind::Forbidden);
        check(404, "not_found_error", "no", FailureKind::NotFound);
        check(413, "request_too_large", "no", FailureKind::TooLarge);
        check(429, "rate_limit_error", "no", FailureKind::RateLimited);
        check(500, "api_error", "no", FailureKind::ServerError);
        check(529, "overloaded_error", "no", FailureKind::Overloaded);
        check(0, "overloaded_error", "no", FailureKind::ServerError);
        check(0, "rate_limit_error", "no", FailureKind::RateLimited);
        check(
            0,
            "invalid_request_error",
            "no",
            FailureKind::InvalidRequest,
        );
    }

    #[test]
    fn what_says_nothing_is_what_its_status_says() {
        assert_eq!(classify(502, &[], "<html>").kind, FailureKind::ServerError);
        assert_eq!(classify(529, &[], "").kind, FailureKind::Overloaded);
    }
}
