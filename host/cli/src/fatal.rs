//! What ends a command: the words, the way out, and the exit code. The one place where errors become codes.

use std::fmt;
use std::process::ExitCode;

/// The command worked.
pub(crate) const OK: u8 = 0;
/// It did not: a failed turn, bad configuration, a missing file.
pub(crate) const FAILED: u8 = 1;
/// Something that has to be trusted first is not (2 is a wrong command line, as clap has it).
pub(crate) const UNTRUSTED: u8 = 3;

/// An error with a hint and a code of its own.
#[derive(Debug)]
pub(crate) struct Fatal {
    code: u8,
    message: String,
    hints: Vec<String>,
}

impl Fatal {
    /// An error that means exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            code: FAILED,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// An error about trust.
    pub(crate) fn untrusted(message: impl Into<String>) -> Self {
        Self {
            code: UNTRUSTED,
            ..Self::new(message)
        }
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fatal {}

/// Prints an error as `error: … / caused by: … / hint: …` and gives its code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    crate::out::stderr(&text(error));
    ExitCode::from(
        error
            .chain()
            .find_map(|cause| cause.downcast_ref::<Fatal>())
            .map_or(FAILED, |fatal| fatal.code),
    )
}

/// What [`report`] prints.
pub(crate) fn text(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}\n");
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        // Wrappers that repeat their cause's words would say everything twice.
        let words = cause.to_string();
        if !last.contains(&words) {
            text.push_str(&format!("  caused by: {words}\n"));
        }
        last = words;
    }
    for hint in hints(error) {
        text.push_str(&format!("hint: {hint}\n"));
    }
    text
}

/// An error and its causes in one line.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(&format!(": {words}"));
        }
    }
    text
}

/// What to do about an error.
pub(crate) fn hints(error: &anyhow::Error) -> Vec<String> {
    let mut hints = Vec::new();
    for cause in error.chain() {
        if let Some(fatal) = cause.downcast_ref::<Fatal>() {
            hints.extend(fatal.hints.iter().cloned());
        } else if let Some(error) = cause.downcast_ref::<dovetail_config::ConfigError>() {
            hints.extend(error.hint());
        } else if let Some(error) = cause.downcast_ref::<dovetail_store::StoreError>() {
            hints.extend(error.hint());
        }
    }
    hints
}
