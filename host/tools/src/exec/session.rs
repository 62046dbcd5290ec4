//! One command from start to end: its output is read and its end awaited; calls look at what it left.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dovetail_core::event::{ActivityStatus, ToolActivity};
use dovetail_core::ids::CallId;
use dovetail_core::tool::CallContext;
use dovetail_sandbox::kill_by_environment;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::process_group::ProcessGroup;
use super::spawn::{Child, Output};
use super::terminal::Terminal;
use super::transcript::{Piece, Transcript};

/// How long output is awaited after the command itself has ended, while others hold its pipe open.
const DRAIN: Duration = Duration::from_millis(50);

/// How much is read at once.
const READ_SIZE: usize = 16 * 1024;

/// A shell adds this to the number of the signal that ended a command.
const SIGNAL_BASE: i32 = 128;

/// A command, running or ended.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: u32,
    argv: Vec<String>,
    directory: PathBuf,
    started: Instant,
    group: ProcessGroup,
    /// The thread and the call: all that the command starts has them in its environment.
    marks: [String; 2],
    terminal: Option<Arc<Terminal>>,
    state: Mutex<State>,
    ended: CancellationToken,
    /// Told of the end too: it makes room for another command.
    freed: Arc<Notify>,
}

/// What a session is told of its command.
pub(super) struct Command {
    pub(super) argv: Vec<String>,
    pub(super) directory: PathBuf,
    /// The process that leads its group.
    pub(super) leader: u32,
    /// The thread and the call.
    pub(super) marks: [String; 2],
}

#[derive(Debug, Default)]
struct State {
    /// Output that no call has reported yet.
    unread: Transcript,
    /// All output.
    all: Transcript,
    exit: Option<i32>,
}

impl Session {
    pub(super) fn new(id: u32, command: Command, output: &Output, freed: Arc<Notify>) -> Self {
        Self {
            id,
            argv: command.argv,
            directory: command.directory,
            started: Instant::now(),
            group: ProcessGroup::new(command.leader),
            marks: command.marks,
            terminal: output.terminal(),
            state: Mutex::default(),
            ended: CancellationToken::new(),
            freed,
        }
    }

    /// Reads and waits until the command has ended and its output too, or `stop` is called.
    pub(super) async fn run(
        self: Arc<Self>,
        mut child: Child,
        mut output: Output,
        stop: CancellationToken,
        reporter: (CallContext, CallId),
    ) {
        let mut buffer = vec![0; READ_SIZE];
        let mut open = true;
        let status = loop {
            tokio::select! {
                biased;
                read = output.read(&mut buffer), if open => open = self.take_in(read, &buffer),
                status = child.wait() => break status,
                () = stop.cancelled() => {
                    self.kill().await;
                    break child.wait().await;
                }
            }
        };
        self.group.set_reaped();
        let deadline = tokio::time::Instant::now() + DRAIN;
        // The clock is asked each time: what never stops writing is always ready to be read.
        while open && tokio::time::Instant::now() < deadline {
            let read = tokio::time::timeout_at(deadline, output.read(&mut buffer));
            let Ok(read) = read.await else { break };
            open = self.take_in(read, &buffer);
        }
        self.end(status.map_or(-1, exit_code), reporter);
        // Whoever still writes must not find the pipe full or closed; what comes is nobody's any more.
        while open {
            tokio::select! {
                read = output.read(&mut buffer) => open = read.is_ok_and(|count| count > 0),
                () = stop.cancelled() => {
                    self.group.kill();
                    open = false;
                }
            }
        }
    }

    /// Keeps what was read; whether there may be more.
    fn take_in(&self, read: std::io::Result<usize>, buffer: &[u8]) -> bool {
        match read {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                let mut state = self.state();
                state.unread.push(&buffer[..count]);
                state.all.push(&buffer[..count]);
                true
            }
        }
    }

    fn end(&self, code: i32, (context, call_id): (CallContext, CallId)) {
        self.state().exit = Some(code);
        // Shown before any call is told, so that the item ends before the call's output enters the history.
        context.finished(&call_id, self.activity(), self.started.elapsed());
        self.ended.cancel();
        self.freed.notify_one();
    }

    /// The command as people see it.
    pub(super) fn activity(&self) -> ToolActivity {
        let state = self.state();
        let status = match state.exit {
            None => ActivityStatus::InProgress,
            Some(0) => ActivityStatus::Completed,
            Some(_) => ActivityStatus::Failed,
        };
        ToolActivity::Command {
            command: self.argv.clone(),
            cwd: self.directory.clone(),
            process_id: state.exit.is_none().then(|| self.group.leader()),
            output: state.all.text(),
            exit_code: state.exit,
            status,
        }
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// The output since the last call, and the exit code if the command has ended.
    pub(super) fn take_output(&self) -> (Piece, Option<i32>) {
        let ended = self.has_ended();
        let mut state = self.state();
        let exit = state.exit.filter(|_| ended);
        (state.unread.take(exit.is_none()), exit)
    }

    pub(super) fn terminal(&self) -> Option<&Terminal> {
        self.terminal.as_deref()
    }

    pub(super) fn interrupt(&self) {
        self.group.interrupt();
    }

    /// Kills the command and everything it started, wherever that is by now.
    pub(super) async fn kill(&self) {
        self.group.kill_with_descendants();
        let [thread, call] = self.marks.clone();
        let orphans = tokio::task::spawn_blocking(move || {
            kill_by_environment(&[("CODEX_THREAD_ID", &thread), ("CODEX_TOOL_CALL_ID", &call)]);
        });
        if orphans.await.is_err() {
            tracing::warn!("looking for what a command left running failed");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| Some(SIGNAL_BASE + status.signal()?))
        .unwrap_or(-1)
}
