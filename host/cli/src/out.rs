//! Writing to the terminal. A reader that went away (`| head`) is no error of ours.

use std::io::Write as _;

/// Writes to standard output and flushes.
pub(crate) fn stdout(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nothing sensible can be done where the reader is gone; the work itself is recorded elsewhere.
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Writes to standard error.
pub(crate) fn stderr(text: &str) {
    // As above.
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}
