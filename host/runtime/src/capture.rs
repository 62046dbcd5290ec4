//! What a guest writes to its standard output and error: kept, within bounds, for the sentence about its end.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// The last bytes that are kept: room for a panic message with a long value in it.
const KEPT: usize = 8 * 1024;

/// A longer last word is cut: it becomes part of a sentence.
const LAST_WORDS: usize = 400;

/// The end of a guest's output. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Capture(Arc<Mutex<VecDeque<u8>>>);

impl Capture {
    fn bytes(&self) -> MutexGuard<'_, VecDeque<u8>> {
        // Nothing panics while holding the lock, and if it did the bytes are still only text.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, bytes: &[u8]) {
        let tail = &bytes[bytes.len().saturating_sub(KEPT)..];
        let mut kept = self.bytes();
        let excess = (kept.len() + tail.len()).saturating_sub(KEPT);
        kept.drain(..excess);
        kept.extend(tail);
    }

    /// Forgets what was said, so that last words belong to the call at hand.
    pub(crate) fn clear(&self) {
        self.bytes().clear();
    }

    /// What the guest said, as far as it is kept, line by line.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut bytes = self.bytes();
        // The lock is held for this, so that it need not be copied first.
        let text = String::from_utf8_lossy(bytes.make_contiguous());
        let printable = |line: &str| line.chars().filter(|c| !c.is_control()).collect();
        let lines = text.lines().map(str::trim_end);
        lines
            .filter(|line| !line.is_empty())
            .map(printable)
            .collect()
    }

    /// What the guest said last: the message of a Rust panic, or else the last line. None where it said nothing.
    pub(crate) fn last_words(&self) -> Option<String> {
        let bytes: Vec<u8> = self.bytes().iter().copied().collect();
        last_words(&String::from_utf8_lossy(&bytes))
    }
}

fn last_words(text: &str) -> Option<String> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let panic = lines.iter().rposition(|line| line.contains("panicked at "));
    let said = match panic {
        Some(at) => {
            let place = lines[at]
                .split_once("panicked at ")
                .map_or("", |(_, place)| place.trim_end_matches(':'));
            match lines.get(at + 1) {
                Some(message) => format!("{message} ({place})"),
                None => format!("panic at {place}"),
            }
        }
        None => (*lines.iter().rfind(|line| !line.starts_with("note: "))?).to_owned(),
    };
    let printable: String = said.chars().filter(|c| !c.is_control()).collect();
    Some(match printable.char_indices().nth(LAST_WORDS) {
        Some((cut, _)) => format!("{}…", &printable[..cut]),
        None => printable,
    })
}

impl IsTerminal for Capture {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Capture {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Capture {
    async fn ready(&mut self) {}
}

impl OutputStream for Capture {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        // Any amount is taken and all but the end forgotten; this only sizes single writes.
        Ok(64 * 1024)
    }
}

impl AsyncWrite for Capture {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_the_panic_or_the_last_line() {
        let panic = "hello\n\nthread '<unnamed>' (1) panicked at src/lib.rs:9:5:\nno such slot\n\
            note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        for (text, expected) in [
            ("", None),
            ("\n \n", None),
            ("one\ntwo\n", Some("two")),
            (panic, Some("no such slot (src/lib.rs:9:5)")),
            (
                "thread 'x' panicked at a.rs:1:2:",
                Some("panic at a.rs:1:2"),
            ),
            ("bell\u{7} and \u{1b}[31mred", Some("bell and [31mred")),
        ] {
            assert_eq!(last_words(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_flood_keeps_its_end() {
        let capture = Capture::default();
        for round in 0..10_000 {
            capture.push(format!("line {round}\n").as_bytes());
        }
        assert_eq!(capture.last_words().as_deref(), Some("line 9999"));
        assert!(capture.bytes().len() <= KEPT);
        capture.push(&vec![b'x'; 10 * KEPT]);
        assert_eq!(capture.bytes().len(), KEPT);
        assert_eq!(
            capture.last_words().map(|words| words.chars().count()),
            Some(LAST_WORDS + 1)
        );
    }
}
