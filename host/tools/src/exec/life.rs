//! A command's life, lived by the call that started it for as long as that waits.
//!
//! Most commands end within their call. A task of their own would have to be woken for every piece of output, and then
//! wake the call.

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::session::Session;

/// Reads a command's output and waits for its end. Dropped before that, it goes on as a task.
pub(super) struct Life {
    rest: Option<BoxFuture<'static, ()>>,
    tasks: TaskTracker,
}

impl Life {
    pub(super) fn new(whole: BoxFuture<'static, ()>, tasks: TaskTracker) -> Self {
        Self {
            rest: Some(whole),
            tasks,
        }
    }

    /// Lives on until the command has ended. Others may hold its output open even then.
    pub(super) async fn until_end_of(&mut self, session: &Session) {
        if let Some(rest) = &mut self.rest {
            tokio::select! {
                biased;
                () = rest => self.rest = None,
                () = session.ended() => {}
            }
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // Where the runtime is gone already, so is the process in a moment; the command is killed as its handle drops.
        if let (Some(rest), Ok(_)) = (self.rest.take(), Handle::try_current()) {
            self.tasks.spawn(rest);
        }
    }
}
