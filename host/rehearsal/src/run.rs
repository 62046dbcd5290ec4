//! `dovetail rehearse`: serves a script until it is played, or records one.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::parse::ScriptError;
use crate::record::Recorder;
use crate::report::Report;
use crate::script::{Action, Script};
use crate::server::RehearsalServer;

/// What to do.
#[derive(Debug, Clone)]
pub enum RehearseMode {
    /// Play a script.
    Play {
        /// The script.
        script: PathBuf,
    },
    /// Forward to a service and write down what it answers.
    Record {
        /// The script to write; must not exist.
        out: PathBuf,
        /// The service's base URL, such as `https://api.openai.com/v1`.
        upstream: String,
    },
}

/// Options of [`run`].
#[derive(Debug, Clone)]
pub struct RehearseOptions {
    /// What to do.
    pub mode: RehearseMode,
    /// The loopback port; 0 takes a free one.
    pub port: u16,
    /// A file to write the base URL to once the server is ready.
    pub ready_file: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RehearseOutcome {
    /// The script was played as it is written.
    Played(Report),
    /// So many answers were written down.
    Recorded {
        /// How many.
        answers: usize,
        /// Where.
        out: PathBuf,
    },
}

impl fmt::Display for RehearseOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Played(report) => report.fmt(f),
            Self::Recorded { answers, out } => {
                let plural = if *answers == 1 { "" } else { "s" };
                write!(
                    f,
                    "{answers} answer{plural} recorded in `{}`",
                    out.display()
                )
            }
        }
    }
}

/// Why a rehearsal could not be held, or went differently from its script.
#[derive(Debug, thiserror::Error)]
pub enum RehearseError {
    /// The script cannot be used.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The script waits for somebody who cannot be there.
    #[error("line {line}: `gate` works in tests only, since nothing else can open it")]
    Gate {
        /// The line of the step.
        line: usize,
    },
    /// The port cannot be opened.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The port.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Standard output is gone.
    #[error("cannot say where the server listens")]
    Output(#[source] std::io::Error),
    /// It was played, but not as it is written.
    #[error("{0}")]
    Different(Report),
}

/// How long a server stays after its last step, so that a client that asks once too often is found out.
const LINGER: Duration = Duration::from_millis(300);

/// Serves until the script is played, or until `stop` (Ctrl-C): then steps that are still to come count as missing.
///
/// Prints `listening on http://127.0.0.1:<port>/v1` to standard output.
///
/// # Errors
/// See [`RehearseError`]; a rehearsal that went differently from its script is an error too.
pub async fn run(
    options: RehearseOptions,
    stop: CancellationToken,
) -> Result<RehearseOutcome, RehearseError> {
    match &options.mode {
        RehearseMode::Play { script } => play(Script::load(script)?, &options, stop).await,
        RehearseMode::Record { out, upstream } => record(upstream, out, &options, stop).await,
    }
}

async fn play(
    script: Script,
    options: &RehearseOptions,
    stop: CancellationToken,
) -> Result<RehearseOutcome, RehearseError> {
    if let Some(step) = script
        .steps
        .iter()
        .find(|step| step.actions.contains(&Action::Gate))
    {
        return Err(RehearseError::Gate { line: step.line });
    }
    let listen = |source| RehearseError::Listen {
        port: options.port,
        source,
    };
    let server = RehearsalServer::start_on(script, options.port)
        .await
        .map_err(listen)?;
    announce(&server.base_url(), options.ready_file.as_deref())?;
    tokio::select! {
        _ = server.wait_until(|progress| progress.exhausted && progress.answered == progress.requests) => {
            tokio::select! {
                () = tokio::time::sleep(LINGER) => {}
                () = stop.cancelled() => {}
            }
        }
        () = stop.cancelled() => {}
    }
    let report = server.stop().await;
    if report.is_success() {
        Ok(RehearseOutcome::Played(report))
    } else {
        Err(RehearseError::Different(report))
    }
}

async fn record(
    upstream: &str,
    out: &Path,
    options: &RehearseOptions,
    stop: CancellationToken,
) -> Result<RehearseOutcome, RehearseError> {
    let recorder = Recorder::new(upstream, out).map_err(|source| RehearseError::Write {
        path: out.to_owned(),
        source,
    })?;
    let listen = |source| RehearseError::Listen {
        port: options.port,
        source,
    };
    let listener = Recorder::listen(options.port).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    announce(
        &format!("http://{address}/v1"),
        options.ready_file.as_deref(),
    )?;
    let answers = Arc::new(recorder).serve(listener, stop).await;
    Ok(RehearseOutcome::Recorded {
        answers,
        out: out.to_owned(),
    })
}

fn announce(base_url: &str, ready_file: Option<&Path>) -> Result<(), RehearseError> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on {base_url}")
        .and_then(|()| stdout.flush())
        .map_err(RehearseError::Output)?;
    if let Some(path) = ready_file {
        std::fs::write(path, format!("{base_url}\n")).map_err(|source| RehearseError::Write {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(())
}
