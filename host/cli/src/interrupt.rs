//! Ctrl-C: once to interrupt the turn, twice to leave. A polite request to end (SIGTERM), as service managers and CI
//! send, counts the same: commands that run must not outlive the turn.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Watches for interrupts while it lives.
pub(crate) struct Interrupts {
    task: AbortOnDropHandle<()>,
}

/// The signals that mean an interrupt.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// What shells add to a signal's number for the exit code of a program that it ended.
const ENDED_BY_SIGNAL: i32 = 128;

impl Signals {
    /// None where no handler can be installed; the signals' own effect is then as before.
    fn new() -> Option<Self> {
        Some(Self {
            interrupt: signal(SignalKind::interrupt()).ok()?,
            terminate: signal(SignalKind::terminate()).ok()?,
        })
    }

    /// Waits for the next one.
    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        }
    }

    /// Ends the process at the next one.
    async fn leave(&mut self) {
        let signal = self.next().await;
        dovetail_runtime::process::end_all();
        std::process::exit(ENDED_BY_SIGNAL + signal.as_raw_value());
    }
}

/// Cancels the token at the first interrupt; the second ends the process.
pub(crate) fn watch(cancel: CancellationToken) -> Interrupts {
    // Here rather than in the task, so that there is no moment in which a signal would still end the process.
    let signals = Signals::new();
    let task = tokio::spawn(async move {
        let Some(mut signals) = signals else { return };
        signals.next().await;
        crate::out::stderr("\ninterrupting; press Ctrl-C again to leave at once\n");
        cancel.cancel();
        signals.leave().await;
    });
    Interrupts {
        task: AbortOnDropHandle::new(task),
    }
}

impl Interrupts {
    /// The turn is over: from here on an interrupt ends the process, as nothing is left to save.
    pub(crate) fn finished(self) {
        // Before the old ones go, so that none falls in between.
        let signals = Signals::new();
        drop(self.task);
        drop(tokio::spawn(async move {
            if let Some(mut signals) = signals {
                signals.leave().await;
            }
        }));
    }
}
