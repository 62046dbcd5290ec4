//! The two date formats that plugins meet: RFC 3339 for records, and the one of HTTP headers.

const DAY_MS: u64 = 86_400_000;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Milliseconds since 1970 as `2026-11-21T01:27:20.250Z`.
pub fn rfc3339(unix_ms: u64) -> String {
    let (year, month, day) = civil(unix_ms / DAY_MS);
    let (seconds, ms) = (unix_ms % DAY_MS / 1000, unix_ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// An RFC 3339 time in UTC such as `2026-11-21T01:27:20.25Z`, in milliseconds since 1970. Times of other zones, and dates
/// before 1970, are none.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text
        .trim()
        .strip_suffix(['Z', 'z'])?
        .split_once(['T', 't'])?;
    let [year, month, day] = date.split('-').collect::<Vec<_>>()[..] else {
        return None;
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = time.split(':').collect::<Vec<_>>()[..] else {
        return None;
    };
    let (hour, minute, second) = (number(hour, 23)?, number(minute, 59)?, number(second, 60)?);
    let (year, month, day) = (number(year, 9999)?, number(month, 12)?, number(day, 31)?);
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if year < 1970 || month == 0 || day == 0 || !is_fraction {
        return None;
    }
    let ms = fraction
        .bytes()
        .chain(*b"000")
        .take(3)
        .fold(0, |ms, digit| ms * 10 + u64::from(digit - b'0'));
    let seconds = (hour * 60 + minute) * 60 + second;
    Some(days_since_1970(year, month, day) * DAY_MS + seconds * 1000 + ms)
}

/// An HTTP date such as `Sat, 21 Nov 2026 01:27:20 GMT`, in milliseconds since 1970. The two obsolete forms, which no
/// server has sent in decades, and dates before 1970 are none.
pub(crate) fn parse_http(text: &str) -> Option<u64> {
    let (_weekday, rest) = text.trim().split_once(", ")?;
    let [day, month, year, time, "GMT"] = rest.split(' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let month = 1 + MONTHS.iter().position(|name| *name == month)? as u64;
    let [hour, minute, second] = time.split(':').collect::<Vec<_>>()[..] else {
        return None;
    };
    let (hour, minute, second) = (number(hour, 23)?, number(minute, 59)?, number(second, 60)?);
    let (day, year) = (number(day, 31)?, number(year, 9999)?);
    if year < 1970 || day == 0 {
        return None;
    }
    Some(days_since_1970(year, month, day) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000)
}

fn number(text: &str, most: u64) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return None;
    }
    text.parse().ok().filter(|number| *number <= most)
}

/// Counts from 1 March of year 0, so that the leap day ends a year and every month's start is a simple sum.
const DAYS_TO_1970: u64 = 719_468;

fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - DAYS_TO_1970
}

fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month >= 10 {
        (1, month - 9)
    } else {
        (0, month + 3)
    };
    (year + year_of_era + era * 400, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_795_224_440_250), "2026-11-21T01:27:20.250Z");
        for ms in [0, 951_782_400_000, 1_795_224_440_250] {
            assert_eq!(parse_rfc3339(&rfc3339(ms)), Some(ms));
        }
        assert_eq!(
            parse_rfc3339("2026-11-21T01:27:20.2500001Z"),
            Some(1_795_224_440_250)
        );
        assert_eq!(
            parse_rfc3339("2026-11-21T01:27:20Z"),
            Some(1_795_224_440_000)
        );
        assert_eq!(
            parse_http("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777_000)
        );
        assert_eq!(
            parse_http("Sat, 21 Nov 2026 01:27:20 GMT"),
            Some(1_795_224_440_000)
        );
    }

    #[test]
    fn every_day_survives_the_trip() {
        for day in 0..60_000 {
            let (y, m, d) = civil(day);
            assert_eq!(days_since_1970(y, m, d), day, "{y}-{m}-{d}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        let texts = [
            "",
            "120",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
        ];
        for text in texts {
            assert_eq!(parse_http(text), None, "{text:?}");
        }
        let texts = [
            "",
            "2026-11-21",
            "2026-11-21T01:27:20",
            "2026-11-21T01:27:20+01:00",
            "2026-13-21T01:27:20Z",
            "1969-11-21T01:27:20Z",
            "2026-11-21T01:27:20.xZ",
        ];
        for text in texts {
            assert_eq!(parse_rfc3339(text), None, "{text:?}");
        }
    }
}
