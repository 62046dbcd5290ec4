//! Output kept within bounds: its beginning and its end.

use std::collections::VecDeque;

/// Bytes kept at each end. A model is shown far less; the rest is room for those who ask for more.
const KEEP: usize = 512 * 1024;

/// The longest part of a character that can be missing at the end of a piece.
const LONGEST_PARTIAL: usize = 3;

/// Output so far.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
    line_ends: u64,
}

/// Output taken out of a transcript.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// The beginning; all of it, if nothing was left out.
    pub(super) head: Vec<u8>,
    /// The end, after what was left out.
    pub(super) tail: Vec<u8>,
    /// How many bytes there were in all.
    pub(super) total: u64,
    /// How many lines those were.
    pub(super) lines: u64,
}

impl Transcript {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        self.line_ends += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        let room = KEEP - self.head.len();
        let (first, rest) = bytes.split_at(bytes.len().min(room));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(KEEP);
        self.tail.drain(..excess);
    }

    /// Everything so far, as text.
    pub(super) fn text(&self) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        let left_out = self.total - (self.head.len() + tail.len()) as u64;
        if left_out == 0 {
            let whole = [self.head.as_slice(), &tail].concat();
            return String::from_utf8_lossy(&whole).into_owned();
        }
        let head = &self.head[..floor_boundary(&self.head, self.head.len())];
        let tail = &tail[ceil_boundary(&tail, 0)..];
        let (head, tail) = (String::from_utf8_lossy(head), String::from_utf8_lossy(tail));
        format!("{head}\n…{left_out} bytes left out…\n{tail}")
    }

    /// Takes out everything so far. While more may come, the beginning of an unfinished character stays in.
    pub(super) fn take(&mut self, more_may_come: bool) -> Piece {
        let Self {
            head,
            tail,
            total,
            line_ends,
        } = std::mem::take(self);
        let tail: Vec<u8> = tail.into();
        let complete = (head.len() + tail.len()) as u64 == total;
        let mut piece = if complete {
            Piece {
                head: [head, tail].concat(),
                tail: Vec::new(),
                total,
                lines: 0,
            }
        } else {
            Piece {
                head,
                tail,
                total,
                lines: 0,
            }
        };
        if more_may_come {
            let end = if piece.tail.is_empty() {
                &mut piece.head
            } else {
                &mut piece.tail
            };
            let partial = end.split_off(end.len() - unfinished(end));
            piece.total -= partial.len() as u64;
            self.push(&partial);
        }
        let last = piece.tail.last().or(piece.head.last());
        piece.lines = line_ends + u64::from(last.is_some_and(|byte| *byte != b'\n'));
        piece
    }
}

/// How many bytes at the end begin a character without ending it.
fn unfinished(bytes: &[u8]) -> usize {
    let start = bytes.len().saturating_sub(LONGEST_PARTIAL);
    let lead = bytes[start..]
        .iter()
        .rposition(|byte| !is_continuation(*byte));
    let Some(lead) = lead.map(|at| start + at) else {
        return 0;
    };
    match std::str::from_utf8(&bytes[lead..]) {
        Err(error) if error.error_len().is_none() => bytes.len() - lead,
        Ok(_) | Err(_) => 0,
    }
}

/// The last place at or before `at` that does not split a character.
pub(super) fn floor_boundary(bytes: &[u8], at: usize) -> usize {
    let at = at.min(bytes.len());
    if at == bytes.len() {
        return at - unfinished(bytes);
    }
    let lowest = at.saturating_sub(LONGEST_PARTIAL);
    (lowest..=at)
        .rev()
        .find(|place| !is_continuation(bytes[*place]))
        .unwrap_or(at)
}

/// The first place at or after `at` that does not split a character.
pub(super) fn ceil_boundary(bytes: &[u8], at: usize) -> usize {
    let highest = (at + LONGEST_PARTIAL).min(bytes.len());
    (at..highest)
        .find(|place| !is_continuation(bytes[*place]))
        .unwrap_or(highest)
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_kept() {
        let mut transcript = Transcript::default();
        for number in 0..200_000 {
            transcript.push(format!("line {number}\n").as_bytes());
        }
        let total = transcript.total;
        assert!(
            transcript
                .text()
                .contains(&format!("…{} bytes left out…", total - 2 * KEEP as u64))
        );
        let piece = transcript.take(false);
        assert_eq!((piece.head.len(), piece.tail.len()), (KEEP, KEEP));
        assert!(piece.head.starts_with(b"line 0\n") && piece.tail.ends_with(b"line 199999\n"));
        assert_eq!((piece.total, piece.lines), (total, 200_000));
        assert_eq!(transcript.take(false), Piece::default());
    }

    #[test]
    fn a_character_is_never_cut_in_two() {
        let mut transcript = Transcript::default();
        let text = "a€b".as_bytes();
        transcript.push(&text[..2]);
        assert_eq!(transcript.take(true).head, b"a");
        transcript.push(&text[2..3]);
        assert_eq!(transcript.take(true).head, b"");
        transcript.push(&text[3..]);
        let piece = transcript.take(true);
        assert_eq!((piece.head.as_slice(), piece.total), ("€b".as_bytes(), 4));
        // What can never become a character is not held back, nor is anything at the end.
        transcript.push(b"\xff\x80");
        assert_eq!(transcript.take(true).head, b"\xff\x80");
        transcript.push(&text[..2]);
        assert_eq!(transcript.take(false).head, &text[..2]);
    }

    #[test]
    fn boundaries_lie_between_characters() {
        let bytes = "aé€x".as_bytes();
        let floors: Vec<usize> = (0..=bytes.len())
            .map(|at| floor_boundary(bytes, at))
            .collect();
        assert_eq!(floors, [0, 1, 1, 3, 3, 3, 6, 7]);
        let ceilings: Vec<usize> = (0..=bytes.len())
            .map(|at| ceil_boundary(bytes, at))
            .collect();
        assert_eq!(ceilings, [0, 1, 3, 3, 6, 6, 6, 7]);
    }
}
