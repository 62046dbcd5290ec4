//! Writing to the terminal. A reader that went away (`| head`) is no error of ours; a disk that is full is one.

use std::io::{ErrorKind, Write};
use std::sync::OnceLock;

/// Why standard output could not be written, the first time.
static FAILURE: OnceLock<String> = OnceLock::new();

/// Standard output, which remembers that it could not be written: whoever waits for an answer in a file has to learn
/// that there is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::io::stdout().write(bytes).inspect_err(remember)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stdout().flush().inspect_err(remember)
    }
}

fn remember(error: &std::io::Error) {
    if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) {
        FAILURE.get_or_init(|| error.to_string());
    }
}

/// Why standard output could not be written; none where it could, or where nobody reads it any more.
pub(crate) fn failure() -> Option<&'static str> {
    FAILURE.get().map(String::as_str)
}

/// Writes to standard output and flushes.
pub(crate) fn stdout(text: &str) {
    // What matters of a failure is remembered.
    drop(
        Stdout
            .write_all(text.as_bytes())
            .and_then(|()| Stdout.flush()),
    );
}

/// Writes to standard error.
pub(crate) fn stderr(text: &str) {
    // There is nowhere else to say it.
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}
