//! Text from models, tools and servers, made fit for a terminal: it may not move the cursor, change colours or hide.

use std::time::Duration;

/// Makes every character visible that a terminal would act on. Line ends and tabs stay.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            '\0'..='\u{1f}' | '\u{7f}' => {
                shown.push_str(&format!("\\x{:02x}", u32::from(character)))
            }
            '\u{80}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => {
                shown.push_str(&format!("\\u{{{:x}}}", u32::from(character)));
            }
            other => shown.push(other),
        }
    }
    shown
}

/// The same on one line of at most so many characters; what is cut is marked.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let mut lines = text.trim().lines();
    let mut line = visible(lines.next().unwrap_or("").trim_end()).replace('\t', " ");
    let more = lines.next().is_some();
    if more || line.chars().count() > limit {
        line = line
            .chars()
            .take(limit.saturating_sub(1))
            .collect::<String>()
            .trim_end()
            .to_owned();
        line.push('…');
    }
    line
}

/// A duration with the digits that matter.
pub(crate) fn short_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 0.01 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 60.0 => format!("{s:.1} s"),
        _ => format!(
            "{} min {} s",
            duration.as_secs() / 60,
            duration.as_secs() % 60
        ),
    }
}

/// A number with commas between its thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_drives_the_terminal() {
        for (text, shown) in [
            ("plain ü 漢\n\tx", "plain ü 漢\n\tx"),
            ("\u{1b}[2J\u{7}\r", "\\x1b[2J\\x07\\x0d"),
            ("\u{9b}1m \u{202e}evil", "\\u{9b}1m \\u{202e}evil"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn lines_are_cut_to_fit() {
        for (text, limit, shown) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("a\nb", 9, "a…"),
            ("  a  ", 9, "a"),
            ("", 3, ""),
            ("a\tb", 9, "a b"),
        ] {
            assert_eq!(one_line(text, limit), shown);
        }
    }

    #[test]
    fn durations_and_numbers_are_short() {
        for (micros, shown) in [
            (52, "52 µs"),
            (1_300, "1.3 ms"),
            (12_000, "12 ms"),
            (1_240_000, "1.2 s"),
            (125_000_000, "2 min 5 s"),
        ] {
            assert_eq!(short_duration(Duration::from_micros(micros)), shown);
        }
        for (number, shown) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), shown);
        }
    }
}
