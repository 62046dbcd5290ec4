//! Rate limits, from headers and from `codex.rate_limits` events.

use dovetail_core::event::{RateLimitWindow, RateLimits};
use reqwest::header::HeaderMap;
use serde::Deserialize;

/// What the response's headers say; none where they say nothing.
pub(crate) fn from_headers(headers: &HeaderMap) -> Option<RateLimits> {
    some(RateLimits {
        primary: header_window(headers, "primary"),
        secondary: header_window(headers, "secondary"),
    })
}

fn header_window(headers: &HeaderMap, name: &str) -> Option<RateLimitWindow> {
    let value = |what: &str| headers.get(format!("x-codex-{name}-{what}"))?.to_str().ok(); // Not ASCII: not a number.
    counted(RateLimitWindow {
        used_percent: value("used-percent")?.trim().parse().ok()?, // Not a number: nothing is known.
        window_minutes: value("window-minutes").and_then(|text| text.trim().parse().ok()),
        resets_at: value("reset-at").and_then(|text| text.trim().parse().ok()),
    })
}

#[derive(Deserialize)]
struct Event {
    rate_limits: Option<Windows>,
}

#[derive(Deserialize)]
struct Windows {
    primary: Option<Window>,
    secondary: Option<Window>,
}

#[derive(Deserialize)]
struct Window {
    #[serde(default)]
    used_percent: f64,
    window_minutes: Option<u64>,
    #[serde(alias = "resets_at")]
    reset_at: Option<u64>,
}

impl Window {
    fn read(self) -> Option<RateLimitWindow> {
        let Self {
            used_percent,
            window_minutes,
            reset_at,
        } = self;
        counted(RateLimitWindow {
            used_percent,
            window_minutes,
            resets_at: reset_at,
        })
    }
}

/// What an event says; none where it says nothing.
pub(crate) fn from_event(data: &[u8]) -> Result<Option<RateLimits>, serde_json::Error> {
    let event: Event = serde_json::from_slice(data)?;
    Ok(event.rate_limits.and_then(|windows| {
        some(RateLimits {
            primary: windows.primary.and_then(Window::read),
            secondary: windows.secondary.and_then(Window::read),
        })
    }))
}

/// A window of nothing but zeros is how services say that there is none.
fn counted(window: RateLimitWindow) -> Option<RateLimitWindow> {
    let empty = window.used_percent == 0.0
        && window.window_minutes.unwrap_or(0) == 0
        && window.resets_at.unwrap_or(0) == 0;
    (window.used_percent.is_finite() && !empty).then_some(window)
}

fn some(limits: RateLimits) -> Option<RateLimits> {
    (limits.primary.is_some() || limits.secondary.is_some()).then_some(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_events_say_the_same() {
        let mut headers = HeaderMap::new();
        assert_eq!(from_headers(&headers), None);
        for (name, value) in [
            ("x-codex-primary-used-percent", "42.5"),
            ("x-codex-primary-window-minutes", "300"),
            ("x-codex-primary-reset-at", "1800000000"),
            ("x-codex-secondary-used-percent", "0"),
            ("x-codex-secondary-window-minutes", "0"),
        ] {
            headers.insert(name, value.parse().expect("a value"));
        }
        let expected = RateLimits {
            primary: Some(RateLimitWindow {
                used_percent: 42.5,
                window_minutes: Some(300),
                resets_at: Some(1_800_000_000),
            }),
            secondary: None,
        };
        assert_eq!(from_headers(&headers), Some(expected.clone()));
        let event = br#"{"type":"codex.rate_limits","plan_type":"plus","rate_limits":{"allowed":true,
            "primary":{"used_percent":42.5,"window_minutes":300,"reset_at":1800000000},"secondary":null}}"#;
        assert_eq!(from_event(event).expect("valid"), Some(expected));
        assert_eq!(from_event(br#"{"rate_limits":null}"#).expect("valid"), None);
    }
}
