//! A connection between two requests.

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use super::connection::Connection;

/// A connection that somebody listens to. Dropping it closes the connection.
pub(super) struct Idle {
    /// Ends the listening.
    wanted: DropGuard,
    /// None once the server has hung up.
    listening: AbortOnDropHandle<Option<Connection>>,
}

impl Idle {
    /// Answers pings and notices when the server hangs up.
    pub(super) fn listen(mut connection: Connection) -> Self {
        let wanted = CancellationToken::new();
        let until = wanted.clone();
        let listening = tokio::spawn(async move {
            tokio::select! {
                biased;
                // First: what has come by then is read before the connection is said to be good.
                () = connection.wire.listen() => return None,
                () = until.cancelled() => {}
            }
            Some(connection)
        });
        Self {
            wanted: wanted.drop_guard(),
            listening: AbortOnDropHandle::new(listening),
        }
    }

    /// The connection, if it is still there.
    pub(super) async fn take(self) -> Option<Connection> {
        drop(self.wanted);
        self.listening.await.unwrap_or(None) // It panicked, which has been reported.
    }
}
