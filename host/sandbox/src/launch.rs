//! What a command is started with.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// A command to start. It leads a session of its own, so the user's terminal is not its terminal.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// The program: a path, not a name to look up.
    pub program: &'a Path,
    /// The arguments, its own name first.
    pub arguments: &'a [String],
    /// All of its environment.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// Where it runs, absolute.
    pub directory: &'a Path,
    /// Its standard input.
    pub input: BorrowedFd<'a>,
    /// Its standard output and standard error.
    pub output: BorrowedFd<'a>,
    /// Whether its input is a terminal that becomes the controlling one of its session.
    pub terminal: bool,
}
