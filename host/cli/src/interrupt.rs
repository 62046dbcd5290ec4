//! Ctrl-C: once to interrupt the turn, twice to leave. A polite request to end (SIGTERM), as service managers and CI
//! send, counts the same, and so do Ctrl-\ and a terminal that is closed: commands that run must not outlive the turn.

use std::sync::{Arc, OnceLock};

use dovetail_core::ids::ThreadId;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Watches for interrupts while it lives.
pub(crate) struct Interrupts {
    task: AbortOnDropHandle<()>,
    thread: Commands,
}

/// Whose commands are to be ended with the process, once that is known.
type Commands = Arc<OnceLock<ThreadId>>;

/// The signals that mean an interrupt.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    /// None where hangups do not count.
    hangup: Option<Signal>,
}

/// What shells add to a signal's number for the exit code of a program that it ended.
const ENDED_BY_SIGNAL: i32 = 128;

impl Signals {
    /// None where no handler can be installed; the signals' own effect is then as before.
    fn new() -> Option<Self> {
        let hangup = if ignores_hangups() {
            None
        } else {
            Some(signal(SignalKind::hangup()).ok()?)
        };
        Some(Self {
            interrupt: signal(SignalKind::interrupt()).ok()?,
            terminate: signal(SignalKind::terminate()).ok()?,
            quit: signal(SignalKind::quit()).ok()?,
            hangup,
        })
    }

    /// Waits for the next one.
    async fn next(&mut self) -> SignalKind {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.quit.recv() => SignalKind::quit(),
            _ = hangup => SignalKind::hangup(),
        }
    }

    /// Ends the process at the next one, and everything that the thread's commands and the plugins have started.
    async fn leave(&mut self, thread: &Commands) {
        let signal = self.next().await;
        dovetail_runtime::process::end_all();
        if let Some(thread) = thread.get() {
            dovetail_sandbox::kill_by_environment(&[("CODEX_THREAD_ID", &thread.to_string())]);
        }
        std::process::exit(ENDED_BY_SIGNAL + signal.as_raw_value());
    }
}

/// Whether the process was started to outlive its terminal, as with `nohup`.
fn ignores_hangups() -> bool {
    // Where the system does not tell, a hangup counts.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let hangup = 1 << (SignalKind::hangup().as_raw_value() - 1);
    mask.is_some_and(|mask| mask & hangup != 0)
}

/// Cancels the token at the first interrupt; the second ends the process.
pub(crate) fn watch(cancel: CancellationToken) -> Interrupts {
    // Here rather than in the task, so that there is no moment in which a signal would still end the process.
    let signals = Signals::new();
    let thread = Commands::default();
    let whose = Arc::clone(&thread);
    let task = tokio::spawn(async move {
        let Some(mut signals) = signals else { return };
        signals.next().await;
        crate::out::stderr("\ninterrupting; press Ctrl-C again to leave at once\n");
        cancel.cancel();
        signals.leave(&whose).await;
    });
    Interrupts {
        task: AbortOnDropHandle::new(task),
        thread,
    }
}

impl Interrupts {
    /// From here on commands may run for this thread.
    pub(crate) fn begin(&self, thread: ThreadId) {
        // Said once; the first holds.
        self.thread.get_or_init(|| thread);
    }

    /// The turn is over: from here on an interrupt ends the process, as nothing is left to save.
    pub(crate) fn finished(self) {
        // Before the old ones go, so that none falls in between.
        let signals = Signals::new();
        drop(self.task);
        drop(tokio::spawn(async move {
            if let Some(mut signals) = signals {
                signals.leave(&self.thread).await;
            }
        }));
    }
}
