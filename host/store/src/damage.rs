//! Parts of a thread's file that could not be used.

use std::fmt;
use std::path::PathBuf;

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

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It is the last one and was not written to its end: the process or the machine died.
    Torn,
    /// It is not what a line should be.
    Unreadable(&'static str),
    /// It is longer than any line can be.
    TooLong,
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
        }
    }
}
