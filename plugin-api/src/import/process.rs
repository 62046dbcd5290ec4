//! Programs started by the host. Linked where the grant lists `process`.

use std::fmt;
use std::time::Duration;

use super::{in_host, limit_millis};
use crate::Error;
use crate::bindings::imports::dovetail::plugin::process;

/// A program to run. There is no shell in between.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    argv: Vec<String>,
    cwd: Option<String>,
    stdin: Vec<u8>,
    timeout: Option<Duration>,
}

impl Command {
    /// Starts a command. A program without a path separator is looked up in `PATH`.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            argv: vec![program.into()],
            cwd: None,
            stdin: Vec::new(),
            timeout: None,
        }
    }

    /// Adds arguments.
    pub fn args<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.argv.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets the working directory; without it, it is the host's.
    pub fn cwd(mut self, directory: impl Into<String>) -> Self {
        self.cwd = Some(directory.into());
        self
    }

    /// Sets what the program reads; its standard input is closed after that.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Limits the run; the host has a cap of its own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Runs the program to its end. Its environment is the host's, less the host's credentials.
    ///
    /// # Errors
    /// [`Error::Denied`] for an argv outside the grant, [`Error::Unavailable`] where it cannot be started and
    /// outside the host, [`Error::Retryable`] where the time ran out. An exit code other than zero is no error.
    pub fn run(self) -> Result<Output, Error> {
        in_host("process")?;
        let output = process::run(&process::Command {
            argv: self.argv,
            cwd: self.cwd,
            stdin: self.stdin,
            timeout_ms: self.timeout.map(limit_millis),
        })?;
        Ok(Output {
            exit_code: output.exit_code,
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
}

/// Shows no input: it may hold a credential.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} in {:?}, {} bytes of input",
            self.argv,
            self.cwd,
            self.stdin.len()
        )
    }
}

/// How a program ended.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code; none where a signal ended it.
    pub exit_code: Option<i32>,
    /// Standard output, cut at the plugin's output limit.
    pub stdout: Vec<u8>,
    /// Standard error, cut likewise.
    pub stderr: Vec<u8>,
}

/// Shows no output: it may hold a credential.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (out, err) = (self.stdout.len(), self.stderr.len());
        write!(
            f,
            "exit code {:?}, {out} + {err} bytes of output",
            self.exit_code
        )
    }
}
