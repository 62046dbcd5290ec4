//! Parts of a thread's file that could not be used.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::lines::Line;

/// A line that was skipped. Printed without its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file: the thread's own, or that of one it continues.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

impl Damage {
    /// A line that was skipped.
    pub(crate) fn of(path: &Path, line: Line, problem: Problem) -> Self {
        Self {
            path: path.to_owned(),
            line: line.number,
            bytes: line.bytes,
            problem,
        }
    }

    /// A compressed file that is not what was packed from some point on.
    pub(crate) fn unpackable(path: &Path, line: u64) -> Self {
        Self {
            path: path.to_owned(),
            line,
            bytes: 0,
            problem: Problem::Unpackable,
        }
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It is the last one and was not written to its end: the process or the machine died.
    Torn,
    /// It is not what a line should be.
    Unreadable(&'static str),
    /// It is longer than any line can be.
    TooLong,
    /// From there on the compressed file cannot be unpacked.
    Unpackable,
    /// No line says which thread the file is of; its name does.
    NoMeta,
    /// The line says that the file is of another thread than its name does.
    OtherThread {
        /// The id on the line, which may be anything.
        said: String,
    },
    /// The file ends before the place where another thread begins in it.
    EndsEarly {
        /// How many lines are not there.
        missing: u64,
    },
}

impl Damage {
    /// What is wrong, in a few words without the line.
    pub fn what(&self) -> String {
        let bytes = self.bytes;
        match &self.problem {
            Problem::Torn => format!("not written to its end ({bytes} bytes)"),
            Problem::Unreadable(why) => format!("cannot be read ({why}, {bytes} bytes)"),
            Problem::TooLong => format!("too long ({bytes} bytes)"),
            Problem::Unpackable => "cannot be unpacked from here on".to_owned(),
            Problem::NoMeta => "no line says which thread it is".to_owned(),
            Problem::OtherThread { said } => {
                format!("says that it is thread {}", quoted(said))
            }
            Problem::EndsEarly { missing } => format!("{missing} lines are missing"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            bytes,
            problem,
            ..
        } = self;
        match problem {
            Problem::Torn => write!(
                f,
                "line {line} was not written to its end ({bytes} bytes); it is left out"
            ),
            Problem::Unreadable(why) => {
                write!(f, "line {line} cannot be read ({why}); it is left out")
            }
            Problem::TooLong => {
                write!(f, "line {line} is too long ({bytes} bytes); it is left out")
            }
            Problem::Unpackable => write!(
                f,
                "line {line} and what follows cannot be unpacked; it is left out"
            ),
            Problem::NoMeta => write!(
                f,
                "no line says which thread it is; its name counts, and the rest of what was known is lost"
            ),
            Problem::OtherThread { said } => write!(
                f,
                "line {line} says that it is thread {}; the file's name counts",
                quoted(said)
            ),
            Problem::EndsEarly { missing } => write!(
                f,
                "{missing} lines from line {line} on are missing, and the thread went on from there"
            ),
        }
    }
}

/// The beginning of a text that may be anything, for a message.
fn quoted(text: &str) -> String {
    let end = text.floor_char_boundary(40);
    format!("`{}`", text[..end].escape_debug())
}
