//! How long a server asks to wait, where the provider's plugin does not say.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;

/// What is longer than a clock can count. Nobody waits for it.
const FOR_EVER: Duration = Duration::MAX;

/// `Retry-After`: whole seconds, or a date; a past date means now.
pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("retry-after")?.to_str().ok()?.trim(); // Not ASCII: neither a number nor a date.
    if !value.is_empty() && value.bytes().all(|digit| digit.is_ascii_digit()) {
        return Some(value.parse().map_or(FOR_EVER, Duration::from_secs));
    }
    let until: SystemTime = jiff::fmt::rfc2822::parse(value).ok()?.timestamp().into(); // Neither: nothing is asked.
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

/// A delay in words, such as `Please try again in 1.5s.`
pub(crate) fn from_message(message: &str) -> Option<Duration> {
    const LEAD: &str = "try again in ";
    let message = message.to_ascii_lowercase();
    let rest = message.split_once(LEAD)?.1.trim_start();
    let digits = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let (number, unit) = rest.split_at(digits);
    let number: f64 = number.parse().ok()?; // No number, no delay.
    let unit = unit.trim_start();
    let letters = unit
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(unit.len());
    let seconds = match &unit[..letters] {
        "ms" => number / 1000.0,
        "s" | "second" | "seconds" => number,
        _ => return None,
    };
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(FOR_EVER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_message(message: &str, expected: Option<u64>) {
        assert_eq!(
            from_message(message),
            expected.map(Duration::from_millis),
            "{message}"
        );
    }

    #[test]
    fn delays_in_words() {
        check_message(
            "Rate limit reached. Please try again in 1.5s. Visit …",
            Some(1500),
        );
        check_message("Try Again In 20ms", Some(20));
        check_message("try again in 3 seconds", Some(3000));
        check_message("try again in 5 minutes", None);
        check_message("try again in a while", None);
        check_message("try later", None);
        let never = from_message("try again in 99999999999999999999999s");
        assert_eq!(never, Some(FOR_EVER));
    }

    #[test]
    fn delays_in_headers() {
        let asked = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", value.parse().expect("a value"));
            from_headers(&headers)
        };
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(
            asked("Fri, 31 Dec 2100 23:59:59 GMT")
                .is_some_and(|delay| delay > Duration::from_secs(1 << 26))
        );
        assert_eq!(asked("18446744073709551616"), Some(FOR_EVER));
        for other in ["soon", "", "-5", "1.5", "+1"] {
            assert_eq!(asked(other), None, "{other}");
        }
        assert_eq!(from_headers(&HeaderMap::new()), None);
    }
}
