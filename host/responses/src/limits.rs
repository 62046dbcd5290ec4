//! Rate limits, from headers and from `codex.rate_limits` events.
//!
//! A service may have several limits, each with a family of headers: `x-codex-…` for the usual one, `x-<id>-…` for the
//! others. The one that counts is that which the service calls active, else the usual one, else the first there is.

use dovetail_core::event::{Credits, RateLimitWindow, RateLimits};
use reqwest::header::HeaderMap;
use serde::Deserialize;

/// The id of the usual limit.
const USUAL: &str = "codex";
/// What the headers of a family end with that tell which families there are.
const TELLING: [&str; 2] = ["-primary-used-percent", "-secondary-used-percent"];
/// A notice is shown this far.
const LONGEST_NOTICE: usize = 500;

/// What the response's headers say; none where they say nothing.
pub(crate) fn from_headers(headers: &HeaderMap) -> Option<RateLimits> {
    let active = text(headers, "x-codex-active-limit").map(family_of);
    let families = active
        .into_iter()
        .chain([USUAL.to_owned()])
        .chain(families(headers));
    let mut limits = families
        .map(|family| of_family(headers, &family))
        .find(has_window)
        .unwrap_or_default();
    limits.credits = credits(headers);
    limits.reached = text(headers, "x-codex-rate-limit-reached-type").map(str::to_owned);
    let told = has_window(&limits) || limits.credits.is_some() || limits.reached.is_some();
    told.then_some(limits)
}

/// When the window that is used up starts again, in seconds since 1970; of two, the later one.
pub(crate) fn reached_until(limits: &RateLimits) -> Option<u64> {
    let windows = [limits.primary, limits.secondary].into_iter().flatten();
    windows
        .filter(|window| window.used_percent >= 100.0)
        .filter_map(|window| window.resets_at)
        .max()
}

/// What the service wants people to know about their limit.
pub(crate) fn notice(headers: &HeaderMap) -> Option<String> {
    let notice = text(headers, "x-codex-promo-message")?;
    let shown = notice.chars().filter(|c| !c.is_control());
    Some(shown.take(LONGEST_NOTICE).collect())
}

/// The value of a header, where it says something.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?.trim(); // Not ASCII: neither a number nor a word.
    (!value.is_empty()).then_some(value)
}

/// A limit's id as its headers have it.
fn family_of(id: &str) -> String {
    id.to_ascii_lowercase().replace('_', "-")
}

/// The families there are, in the order of their headers.
fn families(headers: &HeaderMap) -> impl Iterator<Item = String> {
    headers.keys().filter_map(|name| {
        let family = name.as_str().strip_prefix("x-")?;
        let family = TELLING.iter().find_map(|end| family.strip_suffix(end))?;
        Some(family.to_owned())
    })
}

fn of_family(headers: &HeaderMap, family: &str) -> RateLimits {
    let other = (family != USUAL).then(|| family.replace('-', "_"));
    RateLimits {
        limit_id: other,
        limit_name: text(headers, &format!("x-{family}-limit-name")).map(str::to_owned),
        primary: header_window(headers, family, "primary"),
        secondary: header_window(headers, family, "secondary"),
        ..RateLimits::default()
    }
}

fn header_window(headers: &HeaderMap, family: &str, name: &str) -> Option<RateLimitWindow> {
    let value = |what: &str| text(headers, &format!("x-{family}-{name}-{what}"));
    counted(RateLimitWindow {
        used_percent: value("used-percent")?.parse().ok()?, // Not a number: nothing is known.
        window_minutes: value("window-minutes").and_then(|text| text.parse().ok()),
        resets_at: value("reset-at").and_then(|text| text.parse().ok()),
    })
}

fn credits(headers: &HeaderMap) -> Option<Credits> {
    let flag = |name: &str| match text(headers, name)?.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    };
    Some(Credits {
        has_credits: flag("x-codex-credits-has-credits")?,
        unlimited: flag("x-codex-credits-unlimited")?,
        balance: text(headers, "x-codex-credits-balance").map(str::to_owned),
    })
}

#[derive(Deserialize)]
struct Event {
    rate_limits: Option<Windows>,
    plan_type: Option<String>,
    credits: Option<EventCredits>,
    #[serde(alias = "limit_id")]
    metered_limit_name: Option<String>,
    limit_name: Option<String>,
    rate_limit_reached_type: Option<String>,
}

#[derive(Deserialize)]
struct EventCredits {
    has_credits: bool,
    #[serde(default)]
    unlimited: bool,
    balance: Option<String>,
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
    let id = event.metered_limit_name.as_deref().map(family_of);
    let (primary, secondary) = event.rate_limits.map_or((None, None), |windows| {
        let Windows { primary, secondary } = windows;
        (
            primary.and_then(Window::read),
            secondary.and_then(Window::read),
        )
    });
    let limits = RateLimits {
        limit_id: id
            .filter(|family| family != USUAL)
            .map(|family| family.replace('-', "_")),
        limit_name: event.limit_name,
        primary,
        secondary,
        credits: event.credits.map(|credits| Credits {
            has_credits: credits.has_credits,
            unlimited: credits.unlimited,
            balance: credits.balance,
        }),
        plan_type: event.plan_type,
        reached: event.rate_limit_reached_type,
    };
    let told = has_window(&limits) || limits.credits.is_some();
    Ok(told.then_some(limits))
}

/// A window of nothing but zeros is how services say that there is none.
fn counted(window: RateLimitWindow) -> Option<RateLimitWindow> {
    let empty = window.used_percent == 0.0
        && window.window_minutes.unwrap_or(0) == 0
        && window.resets_at.unwrap_or(0) == 0;
    (window.used_percent.is_finite() && !empty).then_some(window)
}

fn has_window(limits: &RateLimits) -> bool {
    limits.primary.is_some() || limits.secondary.is_some()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderName;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, value.parse().expect("a value"))
        });
        pairs.collect()
    }

    fn window(used_percent: f64) -> RateLimitWindow {
        RateLimitWindow {
            used_percent,
            window_minutes: None,
            resets_at: None,
        }
    }

    #[test]
    fn headers_and_events_say_the_same() {
        assert_eq!(from_headers(&HeaderMap::new()), None);
        let told = headers(&[
            ("x-codex-primary-used-percent", "42.5"),
            ("x-codex-primary-window-minutes", "300"),
            ("x-codex-primary-reset-at", "1800000000"),
            ("x-codex-secondary-used-percent", "0"),
            ("x-codex-secondary-window-minutes", "0"),
            ("x-codex-credits-has-credits", "True"),
            ("x-codex-credits-unlimited", "false"),
            ("x-codex-credits-balance", "12.50"),
        ]);
        let mut expected = RateLimits {
            primary: Some(RateLimitWindow {
                used_percent: 42.5,
                window_minutes: Some(300),
                resets_at: Some(1_800_000_000),
            }),
            credits: Some(Credits {
                has_credits: true,
                unlimited: false,
                balance: Some("12.50".to_owned()),
            }),
            ..RateLimits::default()
        };
        assert_eq!(from_headers(&told), Some(expected.clone()));
        let event = br#"{"type":"codex.rate_limits","plan_type":"plus","rate_limits":{"allowed":true,
            "primary":{"used_percent":42.5,"window_minutes":300,"reset_at":1800000000},"secondary":null},
            "credits":{"has_credits":true,"unlimited":false,"balance":"12.50"},"promo":null}"#;
        expected.plan_type = Some("plus".to_owned());
        assert_eq!(from_event(event).expect("valid"), Some(expected));
        assert_eq!(from_event(br#"{"rate_limits":null}"#).expect("valid"), None);
    }

    #[test]
    fn the_active_limit_counts_then_the_usual_then_any() {
        let other = ("x-gpt-mini-primary-used-percent", "7");
        let usual = ("x-codex-primary-used-percent", "8");
        let name = ("x-gpt-mini-limit-name", "GPT mini");
        let active = ("x-codex-active-limit", "gpt_mini");
        let mini = RateLimits {
            limit_id: Some("gpt_mini".to_owned()),
            limit_name: Some("GPT mini".to_owned()),
            primary: Some(window(7.0)),
            ..RateLimits::default()
        };
        assert_eq!(
            from_headers(&headers(&[usual, other, name, active])),
            Some(mini.clone())
        );
        assert_eq!(from_headers(&headers(&[other, name])), Some(mini.clone()));
        let codex = RateLimits {
            primary: Some(window(8.0)),
            ..RateLimits::default()
        };
        assert_eq!(from_headers(&headers(&[other, usual])), Some(codex.clone()));
        // An active limit that has no headers says nothing.
        assert_eq!(from_headers(&headers(&[usual, active])), Some(codex));
        let event = br#"{"metered_limit_name":"gpt-mini","limit_name":"GPT mini",
            "rate_limits":{"primary":{"used_percent":7}}}"#;
        assert_eq!(from_event(event).expect("valid"), Some(mini));
    }

    #[test]
    fn nonsense_is_no_limit() {
        for value in ["", "NaN", "inf", "much", "0"] {
            let told = headers(&[("x-codex-primary-used-percent", value)]);
            assert_eq!(from_headers(&told), None, "{value}");
        }
    }

    #[test]
    fn the_window_that_is_used_up_says_when_it_starts_again() {
        let at = |used_percent, resets_at| {
            Some(RateLimitWindow {
                used_percent,
                window_minutes: None,
                resets_at: Some(resets_at),
            })
        };
        let until = |primary, secondary| {
            reached_until(&RateLimits {
                primary,
                secondary,
                ..RateLimits::default()
            })
        };
        assert_eq!(until(at(100.0, 5), at(99.0, 9)), Some(5));
        assert_eq!(until(at(100.0, 5), at(101.0, 9)), Some(9));
        assert_eq!(until(at(1.0, 5), None), None);
    }
}
