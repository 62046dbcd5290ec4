//! Ctrl-C: once to interrupt the turn, twice to leave.

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Watches for interrupts while it lives.
pub(crate) struct Interrupts {
    task: AbortOnDropHandle<()>,
}

/// The exit code of a program that SIGINT ended, as shells have it.
const INTERRUPTED: i32 = 130;

/// Cancels the token at the first interrupt; the second ends the process.
pub(crate) fn watch(cancel: CancellationToken) -> Interrupts {
    let task = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            // No handler could be installed; the signal's own effect is then as before.
            return;
        }
        crate::out::stderr("\ninterrupting; press Ctrl-C again to leave at once\n");
        cancel.cancel();
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(INTERRUPTED);
        }
    });
    Interrupts {
        task: AbortOnDropHandle::new(task),
    }
}

impl Interrupts {
    /// The turn is over: from here on an interrupt ends the process, as nothing is left to save.
    pub(crate) fn finished(self) {
        drop(self.task);
        drop(tokio::spawn(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(INTERRUPTED);
            }
        }));
    }
}
