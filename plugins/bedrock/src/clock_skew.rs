//! How far this machine's clock is from AWS's. A signature holds for minutes only; what is off is learnt from a refusal.

use std::cell::Cell;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use dovetail_plugin_api::PlainHeader;

use crate::failure::Refused;

/// A clock that is off by more than a day cannot talk to anybody; whoever says so is not to be believed.
const MOST_MS: u64 = 86_400_000;
/// Less is no reason for a refusal.
const LEAST_MS: u64 = 30_000;

/// The difference, as learnt last.
#[derive(Debug, Default)]
pub(crate) struct ClockSkew {
    offset_ms: Cell<i64>,
    /// Whether it was learnt since somebody asked.
    is_new: Cell<bool>,
}

impl ClockSkew {
    /// The time of AWS.
    pub(crate) fn corrected(&self, now_unix_ms: u64) -> u64 {
        now_unix_ms.saturating_add_signed(self.offset_ms.get())
    }

    /// Learns from a refusal on account of the time.
    pub(crate) fn learn(
        &self,
        status: u16,
        headers: &[PlainHeader],
        excerpt: &str,
        now_unix_ms: u64,
    ) {
        if Refused::of(status, headers, excerpt) != Some(Refused::Time) {
            return;
        }
        let date = headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("date"))
            .and_then(|header| DateTime::from_str(&header.value, Format::HttpDate).ok())
            .and_then(|date| u64::try_from(date.to_millis().ok()?).ok());
        let Some(date) = date else { return };
        let is_news = date.abs_diff(self.corrected(now_unix_ms)) >= LEAST_MS;
        if is_news && date.abs_diff(now_unix_ms) <= MOST_MS {
            // Both fit: they are at most a day apart.
            self.offset_ms
                .set(date.wrapping_sub(now_unix_ms).cast_signed());
            self.is_new.set(true);
        }
    }

    /// Whether something was learnt since the last time that this was asked.
    pub(crate) fn take_news(&self) -> bool {
        self.is_new.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Sat, 21 Nov 2026 01:27:20 GMT`.
    const THEN: u64 = 1_795_224_440_000;
    const EXPIRED: &str = r#"{"message":"Signature expired: now earlier"}"#;

    fn learnt(date: &str, excerpt: &str, now: u64) -> (u64, bool) {
        let skew = ClockSkew::default();
        let headers = [PlainHeader {
            name: "date".to_owned(),
            value: date.to_owned(),
        }];
        skew.learn(403, &headers, excerpt, now);
        (skew.corrected(now), skew.take_news())
    }

    #[test]
    fn the_services_time_is_taken_over() {
        let date = "Sat, 21 Nov 2026 01:27:20 GMT";
        for now in [THEN - 600_000, THEN + 600_000] {
            assert_eq!(learnt(date, EXPIRED, now), (THEN, true));
        }
    }

    #[test]
    fn nothing_is_learnt_from_anything_else() {
        let now = THEN - 600_000;
        assert_eq!(learnt("soon", EXPIRED, now), (now, false));
        assert_eq!(
            learnt("Sat, 21 Nov 2026 01:27:20 GMT", "{}", now),
            (now, false)
        );
        assert_eq!(
            learnt("Sat, 21 Nov 2026 01:17:30 GMT", EXPIRED, now),
            (now, false)
        );
        assert_eq!(
            learnt("Sat, 21 Nov 2020 01:27:20 GMT", EXPIRED, now),
            (now, false)
        );
    }

    #[test]
    fn news_are_told_once() {
        let skew = ClockSkew::default();
        let headers = [PlainHeader {
            name: "date".to_owned(),
            value: "Sat, 21 Nov 2026 01:27:20 GMT".to_owned(),
        }];
        for expected in [true, false] {
            skew.learn(403, &headers, EXPIRED, THEN + 600_000);
            assert_eq!(skew.take_news(), expected);
        }
    }
}
