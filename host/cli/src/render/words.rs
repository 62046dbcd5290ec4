//! Words for a line: what fits, side by side.

use serde_json::Value;

use crate::terminal_text::{one_line, visible};

/// Everything fits a terminal of 80 columns, of which label and gaps take 8.
pub(super) const WIDTH: usize = 80 - 8;
/// Where details begin, unless they need more room.
pub(super) const SUBJECT: usize = 34;
pub(super) const DETAIL: usize = WIDTH - SUBJECT - 2;

/// Subject and detail side by side. A long detail moves to the left as far as the subject lets it.
pub(super) fn columns(subject: &str, detail: &str) -> (String, String) {
    if detail.is_empty() {
        return (one_line(subject, WIDTH), String::new());
    }
    let subject = one_line(subject, SUBJECT);
    let room = WIDTH - 3 - subject.chars().count();
    let long = visible(detail).chars().count() > DETAIL;
    let detail = one_line(detail, room.max(DETAIL));
    let subject = if long {
        format!("{subject}   ")
    } else {
        format!("{subject:<SUBJECT$}  ")
    };
    (subject, detail)
}

/// A text after a mark; further lines stand under its first letter.
pub(super) fn paragraph(mark: &str, text: &str) -> String {
    let mut lines = text.trim_end().lines().map(visible);
    let first = format!("{mark} {}", lines.next().unwrap_or_default());
    lines.fold(first, |text, line| {
        format!("{text}\n  {line}").trim_end().to_owned()
    })
}

/// What a shell is told to run; for anything else its words.
pub(crate) fn script(command: &[String]) -> &str {
    match command {
        [_, flag, script] if matches!(flag.as_str(), "-c" | "-lc") => script,
        [program, ..] => program,
        [] => "",
    }
}

/// A call's arguments in a few characters: a lone value stands for the object around it.
pub(super) fn short_arguments(arguments: &Value) -> String {
    match arguments {
        Value::Object(fields) if fields.is_empty() => String::new(),
        Value::Object(fields) if fields.len() == 1 => {
            fields.values().map(Value::to_string).collect()
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The lines that a unified diff adds and removes.
pub(super) fn changed_lines(diff: &str) -> (usize, usize) {
    let body = diff.find("@@").map_or(diff, |at| &diff[at..]);
    let count = |sign| body.lines().filter(|line| line.starts_with(sign)).count();
    (count('+'), count('-'))
}
