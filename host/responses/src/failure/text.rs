//! Texts that a kind of failure has whatever the server says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dovetail_core::plugin::FailureKind;

use super::words::ErrorWords;

/// Texts that depend on the kind alone.
pub(super) fn known_text(kind: FailureKind, excerpt: &str) -> Option<String> {
    let text = match kind {
        FailureKind::ContextWindowExceeded => {
            "Codex ran out of room in the model's context window. Start a new thread or shorten this one, then try again."
        }
        FailureKind::QuotaExceeded => "Quota exceeded. Check your plan and billing details.",
        FailureKind::UsageNotIncluded => {
            "Your plan does not include this model. Upgrade the plan or use an API key to go on."
        }
        FailureKind::Overloaded => "Selected model is at capacity. Please try a different model.",
        FailureKind::UsageLimitReached => {
            return Some(usage_limit_text(&ErrorWords::read(excerpt)));
        }
        FailureKind::InvalidRequest
        | FailureKind::RateLimited
        | FailureKind::Unauthorized
        | FailureKind::Forbidden
        | FailureKind::NotFound
        | FailureKind::TooLarge
        | FailureKind::ServerError
        | FailureKind::Unknown => return None,
    };
    Some(text.to_owned())
}

fn usage_limit_text(words: &ErrorWords) -> String {
    let plan = words
        .plan_type
        .as_deref()
        .map(|plan| format!(" of your `{plan}` plan"))
        .unwrap_or_default();
    let left = words
        .resets_at
        .map(|at| UNIX_EPOCH + Duration::from_secs(at));
    let left = left.and_then(|at| at.duration_since(SystemTime::now()).ok()); // Already over: nothing to say.
    let when = left.map_or_else(
        || "later".to_owned(),
        |left| format!("in {}", rounded(left)),
    );
    format!("You have reached the usage limit{plan}. Try again {when}.")
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
        assert_eq!(
            usage_limit_text(&ErrorWords::read(&body)),
            "You have reached the usage limit of your `plus` plan. Try again in 2 h 5 min."
        );
        assert_eq!(
            usage_limit_text(&ErrorWords::read("<html>")),
            "You have reached the usage limit. Try again later."
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
