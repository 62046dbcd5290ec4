//! Programs that plugins have run: matched against the grant, without a shell, bounded in time and output.

use std::collections::BTreeSet;
use std::path::{Component, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::PluginError;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin};

use crate::argv::display_argv;
use crate::grant::{CommandAuthor, Grant};
use crate::host_env::HostEnv;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// A login command may wait for a person.
const MOST_TIMEOUT: Duration = Duration::from_secs(600);
/// How long output may still come after the program's end, from what it left running in the background.
const AFTERMATH: Duration = Duration::from_millis(500);

/// What to run.
#[derive(Debug)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The working directory; the host's where there is none. One that a plugin chose is below the host's.
    pub cwd: Option<PathBuf>,
    /// Bytes for standard input, which is then closed.
    pub stdin: Vec<u8>,
    /// Time until it is killed; capped at ten minutes, half a minute where it is not set.
    pub timeout: Option<Duration>,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    /// The exit code; none where a signal ended it.
    pub exit_code: Option<i32>,
    /// The start of its standard output.
    pub stdout: Vec<u8>,
    /// The start of its standard error.
    pub stderr: Vec<u8>,
}

/// Runs a command for a plugin, keeping at most `output_limit` bytes of each output.
///
/// The program leads a process group of its own. When the time is up, or this future is dropped, the whole group is
/// killed.
///
/// # Errors
/// `Denied` for an argv outside the grant, `Unavailable` where it cannot be started, `Retryable` where time ran out.
pub async fn run(
    plugin: &PluginId,
    grant: &Grant,
    env: &HostEnv,
    command: Command,
    output_limit: usize,
) -> Result<Output, PluginError> {
    check(plugin, grant, &command)?;
    run_granted(grant, env, command, output_limit).await
}

/// Whether a plugin may have a command run.
///
/// # Errors
/// `Denied` names the command that would grant it.
pub(crate) fn check(
    plugin: &PluginId,
    grant: &Grant,
    command: &Command,
) -> Result<(), PluginError> {
    if !grant.allows_argv(&command.argv) {
        return Err(PluginError::Denied(format!(
            "plugin `{plugin}` may not run `{argv}`; to allow it: dovetail plugin grant {plugin} process {argv}",
            argv = display_argv(&command.argv)
        )));
    }
    check_cwd(plugin, grant, command)
}

/// A granted `make` is a grant for the project's makefile, not for one that the plugin finds elsewhere.
fn check_cwd(plugin: &PluginId, grant: &Grant, command: &Command) -> Result<(), PluginError> {
    let Some(cwd) = &command.cwd else {
        return Ok(());
    };
    let below = cwd
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    match grant.commands_by() {
        CommandAuthor::Plugin if !below => Err(PluginError::Denied(format!(
            "plugin `{plugin}` may not run programs in `{}`, only in the working directory and below",
            cwd.display()
        ))),
        CommandAuthor::Plugin | CommandAuthor::User => Ok(()),
    }
}

/// Runs a command that has been checked, or that the user wrote.
pub(crate) async fn run_granted(
    grant: &Grant,
    env: &HostEnv,
    command: Command,
    output_limit: usize,
) -> Result<Output, PluginError> {
    let timeout = command.timeout.unwrap_or(DEFAULT_TIMEOUT).min(MOST_TIMEOUT);
    let Some(program) = command.argv.first() else {
        return Err(PluginError::Invalid("a command needs a program".to_owned()));
    };
    let started = Group::start(|| spawn(grant, env, &command));
    let (mut child, mut group) = started.map_err(|error| {
        PluginError::Unavailable(format!(
            "cannot start `{}`: {}",
            display_argv(&[program]),
            why_not_started(&command, &error)
        ))
    })?;
    let running = finish(&mut child, &mut group, command.stdin, output_limit);
    match tokio::time::timeout(timeout, running).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => Err(PluginError::Other(format!(
            "lost `{}` while it ran: {error}",
            display_argv(&[program])
        ))),
        Err(_) => Err(PluginError::Retryable {
            reason: format!(
                "`{}` did not end within {} ms",
                display_argv(&[program]),
                timeout.as_millis()
            ),
            after: None,
        }),
    }
}

/// The system says the same of a program and of a directory that are not there.
fn why_not_started(command: &Command, error: &std::io::Error) -> String {
    match &command.cwd {
        Some(cwd) if !cwd.is_dir() => {
            format!("its directory `{}` is not there, or is none", cwd.display())
        }
        Some(_) | None => error.to_string(),
    }
}

fn spawn(grant: &Grant, env: &HostEnv, command: &Command) -> std::io::Result<Child> {
    let (program, args) = command
        .argv
        .split_first()
        .ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut spawning = tokio::process::Command::new(program);
    spawning
        .args(args)
        .env_clear()
        .envs(env.for_program(grant))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(cwd) = &command.cwd {
        spawning.current_dir(cwd);
    }
    spawning.spawn()
}

async fn finish(
    child: &mut Child,
    group: &mut Group,
    stdin: Vec<u8>,
    limit: usize,
) -> std::io::Result<Output> {
    let mut stdout = Capture::new(limit);
    let mut stderr = Capture::new(limit);
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let status = {
        let exchange = async {
            tokio::join!(
                feed(pipes.0, &stdin),
                stdout.fill(pipes.1),
                stderr.fill(pipes.2)
            );
        };
        tokio::pin!(exchange);
        tokio::select! {
            status = child.wait() => {
                group.release();
                // What the program left in the background may hold the pipes open for ever; its output is not ours.
                let _ = tokio::time::timeout(AFTERMATH, exchange).await;
                status?
            }
            () = &mut exchange => {
                let status = child.wait().await;
                group.release();
                status?
            }
        }
    };
    Ok(Output {
        exit_code: status.code(),
        stdout: stdout.kept,
        stderr: stderr.kept,
    })
}

/// A program that does not read its input has its reasons.
async fn feed(pipe: Option<ChildStdin>, bytes: &[u8]) {
    if let Some(mut pipe) = pipe
        && let Err(error) = pipe.write_all(bytes).await
    {
        tracing::debug!(%error, "the program did not read all of its input");
    }
}

/// Keeps the start of a stream and lets the rest go by, so that the program is not held up.
struct Capture {
    kept: Vec<u8>,
    limit: usize,
}

impl Capture {
    fn new(limit: usize) -> Self {
        Self {
            kept: Vec::new(),
            limit,
        }
    }

    async fn fill(&mut self, pipe: Option<impl AsyncRead + Unpin>) {
        let Some(mut pipe) = pipe else { return };
        let mut buffer = [0; 8192];
        // An error ends the stream like its end does: the exit status tells what became of the program.
        while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
            let room = self.limit - self.kept.len();
            self.kept.extend_from_slice(&buffer[..count.min(room)]);
        }
    }
}

/// The groups of all programs that run now. A process that ends does not wait until every future is dropped.
static RUNNING: Mutex<BTreeSet<libc::pid_t>> = Mutex::new(BTreeSet::new());

fn running() -> MutexGuard<'static, BTreeSet<libc::pid_t>> {
    // A set of numbers is whole whatever happened to whoever held it.
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills every program that a plugin runs now. For the end of the process: calls that were given up may still be on
/// their way out, and what they started must not stay behind.
pub fn end_all() {
    for group in running().iter() {
        kill(*group);
    }
}

fn kill(group: libc::pid_t) {
    // SAFETY: `killpg` takes two numbers and touches no memory. The leader has not been waited for, so the number is
    // still the group's.
    unsafe { libc::killpg(group, libc::SIGKILL) };
}

/// A program and what it started; killed when dropped.
struct Group(Option<libc::pid_t>);

impl Group {
    /// Starts a program. Whoever ends all programs waits meanwhile, so that none runs that is not known.
    fn start(spawn: impl FnOnce() -> std::io::Result<Child>) -> std::io::Result<(Child, Self)> {
        let mut running = running();
        let child = spawn()?;
        let group = child.id().and_then(|id| libc::pid_t::try_from(id).ok());
        running.extend(group);
        Ok((child, Self(group)))
    }

    /// The program has ended by itself: what it left in the background is the user's, and the number may be given
    /// to another group.
    fn release(&mut self) {
        if let Some(group) = self.0.take() {
            running().remove(&group);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            kill(group);
            self.release();
        }
    }
}

#[cfg(test)]
mod tests;
