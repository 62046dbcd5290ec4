//! What the model reads of a command.

use std::time::Duration;

use super::transcript::{Piece, ceil_boundary, floor_boundary};

/// A rough measure, the same that the model's service is planned with.
const BYTES_PER_TOKEN: u64 = 4;

/// How a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It ended with this code.
    Exited(i32),
    /// It goes on, under this number.
    Running(u32),
}

/// Writes the report of one call.
pub(super) fn report(waited: Duration, state: State, output: &Piece, max_tokens: u64) -> String {
    let state = match state {
        State::Exited(code) => format!("Process exited with code {code}"),
        State::Running(session) => format!("Process running with session ID {session}"),
    };
    format!(
        "Chunk ID: {}\nWall time: {:.4} seconds\n{state}\nOriginal token count: {}\nOutput:\n{}",
        chunk_id(),
        waited.as_secs_f64(),
        tokens(output.total),
        shown(output, max_tokens),
    )
}

/// What the model reads of a call that a person stopped.
pub(crate) fn aborted(waited: Duration) -> String {
    format!(
        "Wall time: {:.1} seconds\naborted by user",
        waited.as_secs_f64()
    )
}

/// Six hexadecimal digits that tell pieces of output apart.
fn chunk_id() -> String {
    let random = uuid::Uuid::new_v4();
    let [a, b, c, ..] = random.as_bytes();
    format!("{a:02x}{b:02x}{c:02x}")
}

fn tokens(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

/// The output, or its two ends where it is longer than it may be.
fn shown(output: &Piece, max_tokens: u64) -> String {
    let budget = max_tokens.saturating_mul(BYTES_PER_TOKEN);
    if output.tail.is_empty() && output.total <= budget {
        return String::from_utf8_lossy(&output.head).into_owned();
    }
    // What was never left out is one piece; its end is then the end of the head.
    let tail = if output.tail.is_empty() {
        &output.head
    } else {
        &output.tail
    };
    let half = usize::try_from(budget / 2).unwrap_or(usize::MAX);
    let head_end = floor_boundary(&output.head, half);
    let lowest = if output.tail.is_empty() { head_end } else { 0 };
    let tail_start = ceil_boundary(tail, tail.len().saturating_sub(half).max(lowest));
    let (head, tail) = (&output.head[..head_end], &tail[tail_start..]);
    let left_out = tokens(
        output
            .total
            .saturating_sub((head.len() + tail.len()) as u64),
    );
    format!(
        "Warning: truncated output (original token count: {})\nTotal output lines: {}\n\n{}…{left_out} tokens truncated…{}",
        tokens(output.total),
        output.lines,
        String::from_utf8_lossy(head),
        String::from_utf8_lossy(tail),
    )
}

#[cfg(test)]
mod tests {
    use dovetail_core::shorten::DEFAULT_OUTPUT_TOKENS;

    use super::super::transcript::Transcript;
    use super::*;

    fn piece(text: &str) -> Piece {
        let mut transcript = Transcript::default();
        transcript.push(text.as_bytes());
        transcript.take(false)
    }

    #[test]
    fn a_report_has_the_lines_of_existing_clients() {
        let text = report(
            Duration::from_micros(1_154_100),
            State::Exited(3),
            &piece("B\n"),
            10,
        );
        let (id, rest) = text.split_at("Chunk ID: bdc179".len());
        assert!(
            id["Chunk ID: ".len()..]
                .chars()
                .all(|c| c.is_ascii_hexdigit()),
            "{id}"
        );
        let expected = "\nWall time: 1.1541 seconds\nProcess exited with code 3\nOriginal token count: 1\nOutput:\nB\n";
        assert_eq!(rest, expected);
        let text = report(
            Duration::from_secs(1),
            State::Running(26052),
            &piece(""),
            10,
        );
        assert!(text.ends_with(
            "\nProcess running with session ID 26052\nOriginal token count: 0\nOutput:\n"
        ));
    }

    #[test]
    fn long_output_has_the_size_of_existing_clients() {
        let text: String = (1..=20_000)
            .map(|number| format!("line {number}\n"))
            .collect();
        let text = report(
            Duration::ZERO,
            State::Exited(0),
            &piece(&text),
            DEFAULT_OUTPUT_TOKENS,
        );
        let start = "Output:\nWarning: truncated output (original token count: 52224)\nTotal output lines: 20000\n\nline 1\n";
        assert!(text.contains(start), "{text:.300}");
        assert!(text.contains("…42224 tokens truncated…"));
        assert!(text.ends_with("line 20000\n"));
        assert_eq!(text.chars().count(), 40_213);
    }

    #[track_caller]
    fn check(text: &str, max_tokens: u64, expected: &str) {
        let shown = shown(&piece(text), max_tokens);
        assert_eq!(
            shown
                .split_once("\n\n")
                .map_or(shown.as_str(), |(_, rest)| rest),
            expected
        );
    }

    #[test]
    fn both_ends_are_shown_and_characters_stay_whole() {
        check("12345678", 2, "12345678");
        check("123456789", 2, "1234…1 tokens truncated…6789");
        check("ééééé", 1, "é…2 tokens truncated…é");
        check("€€€€", 2, "€…2 tokens truncated…€");
        check("123456789", 0, "…3 tokens truncated…");
    }

    #[test]
    fn what_the_transcript_left_out_counts() {
        let mut transcript = Transcript::default();
        transcript.push(&vec![b'x'; 4 << 20]);
        let shown = shown(&transcript.take(false), u64::MAX);
        assert!(
            shown.contains(&format!("…{} tokens truncated…", 3 << 18)),
            "{shown:.200}"
        );
    }
}
