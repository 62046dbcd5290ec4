//! Starting a command: its pipe or its terminal, its session, its sandbox.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;

use dovetail_sandbox::{Launch, Process, Sandbox, StartError, Unavailable};
use tokio::io::AsyncReadExt;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;

use super::terminal::Terminal;

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
    #[error("`{0}` is not among the directories of `PATH`")]
    NotFound(String),
}

/// A command that was started.
#[derive(Debug)]
pub(super) struct Child(AsyncFd<Process>);

impl Child {
    fn new(process: Process) -> io::Result<Self> {
        // SAFETY: the process keeps its descriptor open and unchanged, and stays where it is until the whole is dropped.
        let registered = unsafe { AsyncFd::register_with_interest(process, Interest::READABLE)? };
        Ok(Self(registered))
    }

    pub(super) fn id(&self) -> u32 {
        self.0.get_ref().id()
    }

    /// Waits for the end.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            let mut ready = self.0.readable_mut().await?;
            if let Some(status) = ready.get_inner_mut().try_wait()? {
                return Ok(status);
            }
            ready.clear_ready();
        }
    }
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
    check_directory(&start.directory)?;
    let program = program(start)?;
    let (output, ends) = connect(start.terminal).map_err(SpawnError::Channel)?;
    let launch = Launch {
        program: &program,
        arguments: &start.argv,
        environment: &start.environment,
        directory: &start.directory,
        input: ends.input(),
        output: ends.output.as_fd(),
        terminal: start.terminal,
    };
    let failed = |source| SpawnError::Start {
        program: program.display().to_string(),
        source,
    };
    let process = sandbox.prepare()?.spawn(&launch).map_err(failed)?;
    let child = Child::new(process).map_err(SpawnError::Channel)?;
    Ok((child, output))
}

fn check_directory(path: &Path) -> Result<(), SpawnError> {
    let failed = |source| SpawnError::Directory {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(failed)?.is_dir() {
        Ok(())
    } else {
        Err(failed(io::ErrorKind::NotADirectory.into()))
    }
}

/// The program's path. A bare name is looked up in the command's own `PATH`.
fn program(start: &Start) -> Result<PathBuf, SpawnError> {
    let name = start.argv.first().map_or("", String::as_str);
    if name.contains('/') {
        return Ok(start.directory.join(name));
    }
    let path = start.environment.get(std::ffi::OsStr::new("PATH"));
    let mut places = path.into_iter().flat_map(std::env::split_paths);
    places
        .find_map(|place| {
            let candidate = start.directory.join(place).join(name);
            rustix::fs::access(&candidate, rustix::fs::Access::EXEC_OK)
                .is_ok_and(|()| candidate.is_file())
                .then_some(candidate)
        })
        .ok_or_else(|| SpawnError::NotFound(name.to_owned()))
}

/// The command's ends of its channels.
struct Ends {
    /// None where the input is the terminal that is the output too.
    input: Option<File>,
    output: OwnedFd,
}

impl Ends {
    fn input(&self) -> std::os::fd::BorrowedFd<'_> {
        self.input.as_ref().map_or(self.output.as_fd(), File::as_fd)
    }
}

/// Gives the command one channel for all its output. Without a terminal its input is empty: a program that reads ends
/// instead of waiting for somebody to type.
fn connect(has_terminal: bool) -> io::Result<(Output, Ends)> {
    if has_terminal {
        let (terminal, output) = Terminal::open()?;
        let ends = Ends {
            input: None,
            output,
        };
        Ok((Output::Terminal(Arc::new(terminal)), ends))
    } else {
        let (sender, receiver) = pipe::pipe()?;
        let ends = Ends {
            input: Some(File::open("/dev/null")?),
            output: sender.into_blocking_fd()?,
        };
        Ok((Output::Pipe(receiver), ends))
    }
}
