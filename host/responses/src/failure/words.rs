//! What an error says of itself, and what that usually means.

use dovetail_core::plugin::FailureKind;
use serde::Deserialize;

/// What an error says of itself. What cannot be read is as good as not said.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorWords {
    #[serde(deserialize_with = "lenient")]
    pub(super) code: String,
    #[serde(rename = "type", deserialize_with = "lenient")]
    kind: String,
    pub(super) message: Option<String>,
    pub(super) plan_type: Option<String>,
    pub(super) resets_at: Option<u64>,
}

impl ErrorWords {
    pub(super) fn read(excerpt: &str) -> Self {
        #[derive(Default, Deserialize)]
        struct Body {
            error: Option<ErrorWords>,
        }
        let body: Body = serde_json::from_str(excerpt).unwrap_or_default();
        let mut words = body.error.unwrap_or_default();
        if words.code.is_empty() {
            words.code = std::mem::take(&mut words.kind);
        }
        words
    }
}

/// Codes are texts, but some gateways send numbers or null.
fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        _ => String::new(),
    })
}

/// What the code or the status usually means.
pub(super) fn usual_kind(status: u16, words: &ErrorWords) -> FailureKind {
    match (status, words.code.as_str()) {
        (0 | 400..=499, "context_length_exceeded") => FailureKind::ContextWindowExceeded,
        (0 | 400..=499, "usage_limit_reached") => FailureKind::UsageLimitReached,
        (0 | 400..=499, "insufficient_quota") => FailureKind::QuotaExceeded,
        (0 | 400..=499, "usage_not_included") => FailureKind::UsageNotIncluded,
        (0 | 400..=499, "invalid_prompt" | "cyber_policy") => FailureKind::InvalidRequest,
        (0, "server_is_overloaded") | (503, "server_is_overloaded" | "slow_down") => {
            FailureKind::Overloaded
        }
        (0, "rate_limit_exceeded" | "slow_down") | (429, _) => FailureKind::RateLimited,
        (400, _) => FailureKind::InvalidRequest,
        (401, _) => FailureKind::Unauthorized,
        (403, _) => FailureKind::Forbidden,
        (404, _) => FailureKind::NotFound,
        (413, _) => FailureKind::TooLarge,
        (500..=599, _) => FailureKind::ServerError,
        _ => FailureKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_kinds_help_out() {
        let kind = |status, body: &str| usual_kind(status, &ErrorWords::read(body));
        assert_eq!(
            kind(0, r#"{"error":{"code":"slow_down"}}"#),
            FailureKind::RateLimited
        );
        assert_eq!(
            kind(503, r#"{"error":{"code":"slow_down"}}"#),
            FailureKind::Overloaded
        );
        assert_eq!(
            kind(429, r#"{"error":{"code":7,"type":"usage_limit_reached"}}"#),
            FailureKind::UsageLimitReached
        );
        assert_eq!(kind(401, ""), FailureKind::Unauthorized);
        assert_eq!(kind(418, ""), FailureKind::Unknown);
    }
}
