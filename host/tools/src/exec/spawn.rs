//! Starting a command: its pipes or its terminal, its session, its sandbox.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use dovetail_sandbox::{Sandbox, StartError, Unavailable};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::Child;

use super::terminal::{self, Terminal};

/// What to start.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) argv: Vec<String>,
    pub(super) directory: PathBuf,
    pub(super) environment: BTreeMap<OsString, OsString>,
    pub(super) terminal: bool,
}

/// Why a command was not started.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpawnError {
    #[error("the sandbox cannot be enforced here")]
    Unavailable(#[from] Unavailable),
    #[error("cannot open a pipe or terminal for it")]
    Channel(#[source] io::Error),
    #[error("cannot use `{}` as its working directory", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot start `{program}`")]
    Start { program: String, source: StartError },
}

/// Where a command's output comes from, standard error included.
#[derive(Debug)]
pub(super) enum Output {
    Pipe(pipe::Receiver),
    Terminal(Arc<Terminal>),
}

impl Output {
    /// Reads some of it; zero at the end.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Pipe(pipe) => pipe.read(buffer).await,
            Self::Terminal(terminal) => terminal.read(buffer).await,
        }
    }

    /// Where to type, if the command reads from a terminal.
    pub(super) fn terminal(&self) -> Option<Arc<Terminal>> {
        match self {
            Self::Pipe(_) => None,
            Self::Terminal(terminal) => Some(Arc::clone(terminal)),
        }
    }
}

/// Starts a command in a session of its own.
pub(super) fn spawn(start: &Start, sandbox: &Sandbox) -> Result<(Child, Output), SpawnError> {
    let directory = |source| SpawnError::Directory {
        path: start.directory.clone(),
        source,
    };
    if !std::fs::metadata(&start.directory)
        .map_err(directory)?
        .is_dir()
    {
        return Err(directory(io::ErrorKind::NotADirectory.into()));
    }
    let program = start.argv.first().cloned().unwrap_or_default();
    let mut command = Command::new(&program);
    command
        .args(start.argv.iter().skip(1))
        .current_dir(&start.directory);
    command.env_clear().envs(&start.environment);
    let output = connect(&mut command, start.terminal).map_err(SpawnError::Channel)?;
    let has_terminal = start.terminal;
    // SAFETY: only system calls are made.
    unsafe { command.pre_exec(move || lead_session(has_terminal)) };
    let attached = sandbox.prepare()?.attach(&mut command);
    let child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| SpawnError::Start {
            program,
            source: attached.explain(error),
        })?;
    Ok((child, output))
}

/// Gives the command one channel for all its output. Without a terminal its input is empty: a program that reads ends
/// instead of waiting for somebody to type.
fn connect(command: &mut Command, has_terminal: bool) -> io::Result<Output> {
    if has_terminal {
        let (terminal, side) = Terminal::open()?;
        command
            .stdin(side.try_clone()?)
            .stdout(side.try_clone()?)
            .stderr(side);
        Ok(Output::Terminal(Arc::new(terminal)))
    } else {
        let (sender, receiver) = pipe::pipe()?;
        let side = sender.into_blocking_fd()?;
        command
            .stdin(Stdio::null())
            .stdout(side.try_clone()?)
            .stderr(side);
        Ok(Output::Pipe(receiver))
    }
}

/// Leaves the host's session, and with it the user's terminal. Runs in the child.
fn lead_session(has_terminal: bool) -> io::Result<()> {
    // SAFETY: takes nothing.
    terminal::check(unsafe { libc::setsid() })?;
    if has_terminal {
        terminal::take_control()
    } else {
        Ok(())
    }
}
