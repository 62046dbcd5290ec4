//! Failures as the Responses API and its look-alikes word them.

use serde_json::Value;

use crate::import::clock;
use crate::import::http::find_header;
use crate::provider::{Failure, FailureKind};
use crate::{PlainHeader, date};

/// Words of a body without an error message that are worth showing.
const LONGEST_EXCERPT: usize = 2_000;

/// Explains a failed response, or with status 0 an error event of a stream. Services that speak Responses need no
/// other; see [`Provider::classify`](crate::Provider::classify).
///
/// ```
/// use dovetail_plugin_api::failure::classify;
/// use dovetail_plugin_api::provider::FailureKind;
///
/// let failure = classify(400, &[], r#"{"error":{"code":"context_length_exceeded","message":"too long"}}"#);
/// assert_eq!(failure.kind, FailureKind::ContextWindowExceeded);
/// assert_eq!(failure.message.as_deref(), Some("too long"));
/// ```
pub fn classify(status: u16, headers: &[PlainHeader], excerpt: &str) -> Failure {
    let words = Words::read(excerpt);
    let kind = if status == 0 {
        stream_kind(&words)
    } else {
        status_kind(status, &words)
    };
    let retry_after_ms = match status {
        0 if kind == FailureKind::RateLimited => {
            words.message.as_deref().and_then(delay_in_message)
        }
        0 => None,
        _ => retry_after(headers),
    };
    Failure {
        kind,
        message: words.message,
        retry_after_ms,
    }
}

/// What an error object says of itself.
#[derive(Default)]
struct Words {
    code: Option<String>,
    kind: Option<String>,
    message: Option<String>,
}

impl Words {
    fn read(excerpt: &str) -> Self {
        let Ok(body) = serde_json::from_str::<Value>(excerpt) else {
            return Self::plain(excerpt);
        };
        let error = error_object(&body);
        let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
        let words = Self {
            code: text("code"),
            kind: text("type"),
            message: text("message").or_else(|| error.as_str().map(str::to_owned)),
        };
        if words.message.is_some() {
            words
        } else {
            Self {
                message: Self::plain(excerpt).message,
                ..words
            }
        }
    }

    fn plain(excerpt: &str) -> Self {
        let excerpt = excerpt.trim();
        let message =
            (!excerpt.is_empty()).then(|| excerpt.chars().take(LONGEST_EXCERPT).collect());
        Self {
            message,
            ..Self::default()
        }
    }

    /// Whether the code, or where services put it instead the type, is one of these.
    fn is(&self, names: &[&str]) -> bool {
        [&self.code, &self.kind]
            .into_iter()
            .flatten()
            .any(|name| names.contains(&name.as_str()))
    }
}

/// Where the error is: `response.error` of a stream event, `error` of a body, `detail` of some gateways, or the
/// object itself.
fn error_object(body: &Value) -> &Value {
    let inner = body
        .get("response")
        .and_then(|response| response.get("error"));
    let known = inner
        .or_else(|| body.get("error"))
        .or_else(|| body.get("detail"));
    known.filter(|error| !error.is_null()).unwrap_or(body)
}

/// Kinds that the error's own name decides, whatever carried it.
fn named_kind(words: &Words) -> Option<FailureKind> {
    let kinds: [(&[&str], FailureKind); 5] = [
        (
            &["context_length_exceeded"],
            FailureKind::ContextWindowExceeded,
        ),
        (&["usage_limit_reached"], FailureKind::UsageLimitReached),
        (&["usage_not_included"], FailureKind::UsageNotIncluded),
        (&["insufficient_quota"], FailureKind::QuotaExceeded),
        (
            &["invalid_prompt", "cyber_policy"],
            FailureKind::InvalidRequest,
        ),
    ];
    kinds
        .into_iter()
        .find(|(names, _)| words.is(names))
        .map(|(_, kind)| kind)
}

fn stream_kind(words: &Words) -> FailureKind {
    if let Some(kind) = named_kind(words) {
        return kind;
    }
    if words.is(&["server_is_overloaded"]) {
        return FailureKind::Overloaded;
    }
    // In a stream `slow_down` asks for a pause; as the body of a 503 it means that the model is full.
    if words.is(&["rate_limit_exceeded", "slow_down"]) {
        return FailureKind::RateLimited;
    }
    if words.is(&["server_error"]) {
        FailureKind::ServerError
    } else {
        FailureKind::Unknown
    }
}

fn status_kind(status: u16, words: &Words) -> FailureKind {
    if let (400..=499, Some(kind)) = (status, named_kind(words)) {
        return kind;
    }
    match status {
        401 => FailureKind::Unauthorized,
        402 => FailureKind::QuotaExceeded,
        403 => FailureKind::Forbidden,
        404 => FailureKind::NotFound,
        413 => FailureKind::TooLarge,
        429 => FailureKind::RateLimited,
        // These say "not now" rather than "not like this".
        408 | 409 | 425 => FailureKind::Unknown,
        400..=499 => FailureKind::InvalidRequest,
        503 if words.is(&["server_is_overloaded", "slow_down"]) => FailureKind::Overloaded,
        500..=599 => FailureKind::ServerError,
        _ => FailureKind::Unknown,
    }
}

/// `Retry-After` in milliseconds: whole seconds, or a date, which in the past means now.
fn retry_after(headers: &[PlainHeader]) -> Option<u64> {
    let value = find_header(headers, "retry-after")?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(seconds.saturating_mul(1000));
    }
    let until = date::parse_http(value)?;
    // The server's own clock is the one its date was read from.
    let now = find_header(headers, "date")
        .and_then(date::parse_http)
        .unwrap_or_else(clock::now_unix_ms);
    Some(until.saturating_sub(now))
}

/// The delay of a message such as `Please try again in 1.5s.`, in milliseconds.
fn delay_in_message(message: &str) -> Option<u64> {
    const LEAD: &str = "try again in ";
    let message = message.to_ascii_lowercase();
    let rest = message[message.find(LEAD)? + LEAD.len()..].trim_start();
    let digits = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let (number, unit) = rest.split_at(digits);
    let number: f64 = number.trim_end_matches('.').parse().ok()?; // No number, no delay.
    let unit = unit.trim_start();
    let unit = &unit[..unit
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(unit.len())];
    match unit {
        "ms" => Some(number.ceil() as u64),
        "s" | "second" | "seconds" => Some((number * 1000.0).ceil() as u64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, kind: FailureKind) {
        assert_eq!(classify(status, &[], body).kind, kind, "{status} {body}");
    }

    #[test]
    fn statuses_without_words() {
        check(400, "", FailureKind::InvalidRequest);
        check(401, "", FailureKind::Unauthorized);
        check(402, "", FailureKind::QuotaExceeded);
        check(403, "", FailureKind::Forbidden);
        check(404, "", FailureKind::NotFound);
        check(408, "", FailureKind::Unknown);
        check(413, "", FailureKind::TooLarge);
        check(422, "", FailureKind::InvalidRequest);
        check(429, "", FailureKind::RateLimited);
        check(500, "", FailureKind::ServerError);
        check(502, "<html>bad gateway</html>", FailureKind::ServerError);
        check(600, "", FailureKind::Unknown);
    }

    #[test]
    fn the_errors_own_name_decides() {
        check(
            400,
            r#"{"error":{"code":"context_length_exceeded"}}"#,
            FailureKind::ContextWindowExceeded,
        );
        check(
            429,
            r#"{"error":{"type":"usage_limit_reached"}}"#,
            FailureKind::UsageLimitReached,
        );
        check(
            429,
            r#"{"error":{"type":"usage_not_included"}}"#,
            FailureKind::UsageNotIncluded,
        );
        check(
            429,
            r#"{"error":{"code":"insufficient_quota"}}"#,
            FailureKind::QuotaExceeded,
        );
        check(
            503,
            r#"{"error":{"code":"server_is_overloaded"}}"#,
            FailureKind::Overloaded,
        );
        check(
            503,
            r#"{"error":{"code":"slow_down"}}"#,
            FailureKind::Overloaded,
        );
        check(
            500,
            r#"{"error":{"code":"context_length_exceeded"}}"#,
            FailureKind::ServerError,
        );
    }

    #[test]
    fn error_events_of_a_stream() {
        let failed = |code: &str| {
            format!(
                r#"{{"type":"response.failed","response":{{"error":{{"code":"{code}","message":"m"}}}}}}"#
            )
        };
        check(
            0,
            &failed("context_length_exceeded"),
            FailureKind::ContextWindowExceeded,
        );
        check(0, &failed("insufficient_quota"), FailureKind::QuotaExceeded);
        check(
            0,
            &failed("usage_not_included"),
            FailureKind::UsageNotIncluded,
        );
        check(0, &failed("invalid_prompt"), FailureKind::InvalidRequest);
        check(0, &failed("cyber_policy"), FailureKind::InvalidRequest);
        check(0, &failed("server_is_overloaded"), FailureKind::Overloaded);
        check(0, &failed("rate_limit_exceeded"), FailureKind::RateLimited);
        check(0, &failed("slow_down"), FailureKind::RateLimited);
        check(0, &failed("server_error"), FailureKind::ServerError);
        check(0, &failed("new_in_2030"), FailureKind::Unknown);
        check(
            0,
            r#"{"code":"invalid_prompt","message":"m"}"#,
            FailureKind::InvalidRequest,
        );
        check(
            0,
            r#"{"type":"error","error":{"code":"slow_down"}}"#,
            FailureKind::RateLimited,
        );
        check(0, r#"{"response":{"error":null}}"#, FailureKind::Unknown);
    }

    #[test]
    fn the_servers_words_are_found_where_they_are() {
        let message = |body: &str| classify(400, &[], body).message;
        assert_eq!(
            message(r#"{"error":{"message":"bad key"}}"#).as_deref(),
            Some("bad key")
        );
        assert_eq!(
            message(r#"{"error":"bad key"}"#).as_deref(),
            Some("bad key")
        );
        assert_eq!(
            message(r#"{"detail":"bad key"}"#).as_deref(),
            Some("bad key")
        );
        assert_eq!(
            message(r#"{"message":"bad key"}"#).as_deref(),
            Some("bad key")
        );
        assert_eq!(message(" bad key\n").as_deref(), Some("bad key"));
        assert_eq!(
            message(r#"{"ok":false}"#).as_deref(),
            Some(r#"{"ok":false}"#)
        );
        assert_eq!(message(""), None);
        assert_eq!(
            message(&"ä".repeat(9_000)).map(|text| text.chars().count()),
            Some(LONGEST_EXCERPT)
        );
    }

    #[test]
    fn delays_come_from_the_header_or_the_message() {
        let header = |name: &str, value: &str| PlainHeader {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let after = |headers: &[PlainHeader]| classify(429, headers, "").retry_after_ms;
        assert_eq!(after(&[header("retry-after", "20")]), Some(20_000));
        let date = header("date", "Sun, 06 Nov 1994 08:49:30 GMT");
        let later = header("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(after(&[date.clone(), later]), Some(7_000));
        let earlier = header("Retry-After", "Sun, 06 Nov 1994 08:49:00 GMT");
        assert_eq!(after(&[date, earlier]), Some(0));
        assert_eq!(after(&[header("retry-after", "soon")]), None);

        let limited = |message: &str| {
            let body = format!(r#"{{"code":"rate_limit_exceeded","message":"{message}"}}"#);
            classify(0, &[], &body).retry_after_ms
        };
        assert_eq!(limited("Please try again in 11.054s."), Some(11_054));
        assert_eq!(limited("Try Again In 28ms. Visit the dashboard."), Some(28));
        assert_eq!(limited("try again in 35 seconds"), Some(35_000));
        assert_eq!(limited("try again in 1 second"), Some(1_000));
        assert_eq!(limited("try again in a minute"), None);
        assert_eq!(limited("try again in 2 minutes"), None);
        assert_eq!(limited("try again in "), None);
    }
}
