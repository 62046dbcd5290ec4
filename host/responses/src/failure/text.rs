//! Texts that a kind of failure has whatever the server says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dovetail_core::plugin::FailureKind;
use reqwest::header::HeaderMap;

use super::words::ErrorWords;
use crate::limits;

/// Texts that depend on the kind alone.
pub(super) fn known_text(kind: FailureKind) -> Option<&'static str> {
    match kind {
        FailureKind::ContextWindowExceeded => Some(
            "Dovetail ran out of room in the model's context window. Start a new thread or shorten this one, then try again.",
        ),
        FailureKind::QuotaExceeded => Some("Quota exceeded. Check your plan and billing details."),
        FailureKind::UsageNotIncluded => Some(
            "Your plan does not include this model. Upgrade the plan or use an API key to go on.",
        ),
        FailureKind::Overloaded => {
            Some("Selected model is at capacity. Please try a different model.")
        }
        FailureKind::UsageLimitReached
        | FailureKind::InvalidRequest
        | FailureKind::RateLimited
        | FailureKind::Unauthorized
        | FailureKind::Forbidden
        | FailureKind::NotFound
        | FailureKind::TooLarge
        | FailureKind::ServerError
        | FailureKind::Unknown => None,
    }
}

/// What is known of a usage limit that was reached.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    plan: Option<String>,
    /// Which limit it is, where there are several.
    name: Option<String>,
    /// In seconds since 1970.
    resets_at: Option<u64>,
    /// What the service wants people to know.
    notice: Option<String>,
}

impl Reached {
    /// What body and headers tell.
    pub(super) fn of(words: &ErrorWords, headers: Option<&HeaderMap>) -> Self {
        let limits = headers.and_then(limits::from_headers);
        let in_headers = limits.as_ref().and_then(limits::reached_until);
        Self {
            plan: words.plan_type.clone(),
            name: limits.and_then(|limits| limits.limit_name),
            resets_at: words.resets_at.or(in_headers),
            notice: headers.and_then(limits::notice),
        }
    }
}

pub(super) fn usage_limit_text(reached: &Reached) -> String {
    let of = match (&reached.name, &reached.plan) {
        (Some(name), Some(plan)) => format!(" `{name}` of your `{plan}` plan"),
        (Some(name), None) => format!(" `{name}`"),
        (None, Some(plan)) => format!(" of your `{plan}` plan"),
        (None, None) => String::new(),
    };
    let left = reached
        .resets_at
        .and_then(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at)));
    let left = left.and_then(|at| at.duration_since(SystemTime::now()).ok()); // Already over: nothing to say.
    let when = left.map_or_else(
        || "later".to_owned(),
        |left| format!("in {}", rounded(left)),
    );
    let notice = reached
        .notice
        .as_ref()
        .map_or_else(String::new, |notice| format!(" {notice}"));
    format!("You have reached the usage limit{of}. Try again {when}.{notice}")
}

/// A duration as people say it, rounded up.
fn rounded(duration: Duration) -> String {
    let minutes = duration.as_secs().div_ceil(60);
    match (minutes / (24 * 60), minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_limit_says_when_it_ends() {
        let soon = SystemTime::now() + Duration::from_secs(2 * 3600 + 300);
        let at = soon
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_secs();
        let body = format!(
            r#"{{"error":{{"type":"usage_limit_reached","plan_type":"plus","resets_at":{at}}}}}"#
        );
        let said = |body: &str, headers| {
            usage_limit_text(&Reached::of(&ErrorWords::read(body), Some(headers)))
        };
        let none = HeaderMap::new();
        assert_eq!(
            said(&body, &none),
            "You have reached the usage limit of your `plus` plan. Try again in 2 h 5 min."
        );
        assert_eq!(
            said("<html>", &none),
            "You have reached the usage limit. Try again later."
        );
        let huge = r#"{"error":{"resets_at":18446744073709551615}}"#;
        assert_eq!(
            said(huge, &none),
            "You have reached the usage limit. Try again later."
        );
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-codex-active-limit", "gpt_mini"),
            ("x-gpt-mini-limit-name", "GPT mini"),
            ("x-gpt-mini-primary-used-percent", "100"),
            ("x-gpt-mini-primary-reset-at", &at.to_string()),
            ("x-codex-promo-message", "Credits can be bought."),
        ] {
            let name: reqwest::header::HeaderName = name.parse().expect("a name");
            headers.insert(name, value.parse().expect("a value"));
        }
        assert_eq!(
            said("{}", &headers),
            "You have reached the usage limit `GPT mini`. Try again in 2 h 5 min. Credits can be bought."
        );
    }

    #[test]
    fn durations_are_rounded_up() {
        let said = |seconds| rounded(Duration::from_secs(seconds));
        assert_eq!(
            (said(1), said(3600), said(90_000)),
            ("1 min".into(), "1 h 0 min".into(), "1 d 1 h".into())
        );
    }
}
