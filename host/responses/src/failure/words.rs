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
    #[serde(deserialize_with = "lenient_text")]
    pub(super) message: Option<String>,
    #[serde(deserialize_with = "lenient_text")]
    pub(super) plan_type: Option<String>,
    #[serde(deserialize_with = "lenient_number")]
    pub(super) resets_at: Option<u64>,
}

/// Codes of images that cannot be used, as services have named them so far.
const IMAGE_CODES: [&str; 11] = [
    "invalid_image",
    "invalid_image_format",
    "invalid_image_mode",
    "invalid_image_url",
    "invalid_base64_image",
    "image_parse_error",
    "image_too_large",
    "image_too_small",
    "image_file_too_large",
    "image_content_policy_violation",
    "unsupported_image_media_type",
];
/// What the message of older ones contains.
const IMAGE_WORDS: &str = "image data you provided does not represent a valid image";

impl ErrorWords {
    /// Whether the error is that an image cannot be used.
    pub(super) fn is_about_an_image(&self) -> bool {
        let says = |message: &String| message.contains(IMAGE_WORDS);
        IMAGE_CODES.contains(&self.code.as_str()) || self.message.as_ref().is_some_and(says)
    }

    pub(super) fn read(excerpt: &str) -> Self {
        #[derive(Default, Deserialize)]
        struct Body {
            error: Option<Said>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Said {
            Words(ErrorWords),
            Text(String),
        }
        let body: Body = serde_json::from_str(excerpt).unwrap_or_default();
        let mut words = match body.error {
            Some(Said::Words(words)) => words,
            Some(Said::Text(text)) => ErrorWords {
                message: Some(text),
                ..Self::default()
            },
            None => Self::default(),
        };
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

/// A word that is no text is as good as none.
fn lenient_text<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let text = lenient(deserializer)?;
    Ok((!text.is_empty()).then_some(text))
}

/// A time that is not a whole number of seconds is as good as none.
fn lenient_number<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)?.as_u64())
}

/// What the code or the status usually means.
pub(super) fn usual_kind(status: u16, words: &ErrorWords) -> FailureKind {
    match (status, words.code.as_str()) {
        (0 | 400..=499, "context_length_exceeded") => FailureKind::ContextWindowExceeded,
        (0 | 400..=499, "usage_limit_reached") => FailureKind::UsageLimitReached,
        (0 | 400..=499, "insufficient_quota") => FailureKind::QuotaExceeded,
        (0 | 400..=499, "usage_not_included") => FailureKind::UsageNotIncluded,
        (0 | 400..=499, "invalid_prompt" | "cyber_policy") => FailureKind::InvalidRequest,
        (0, code) if IMAGE_CODES.contains(&code) => FailureKind::InvalidRequest,
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

    #[test]
    fn an_error_may_be_its_message_alone() {
        let words = ErrorWords::read(r#"{"error":"out of memory"}"#);
        assert_eq!(words.message.as_deref(), Some("out of memory"));
        assert_eq!(ErrorWords::read(r#"{"error":7}"#).message, None);
    }

    #[test]
    fn odd_fields_do_not_hide_the_others() {
        let words = ErrorWords::read(
            r#"{"error":{"code":null,"type":"a","resets_at":"soon","message":{},"plan_type":7}}"#,
        );
        assert_eq!(
            (
                words.code.as_str(),
                words.resets_at,
                words.message,
                words.plan_type
            ),
            ("a", None, None, None)
        );
    }
}
