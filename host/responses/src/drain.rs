//! Lets connections live on. A response is done for us at `response.completed`, but its connection can carry the next
//! request only once the last bytes of the body were read.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use reqwest::Response;
use tokio::task::JoinSet;

/// A server that keeps the stream open longer costs more than a new connection.
const LONGEST: Duration = Duration::from_millis(500);
/// What may follow: the end of the chunked body, at most a comment.
const MOST: usize = 16 * 1024;

/// Bodies that are read to their end in the background. Dropping this ends them all.
#[derive(Debug, Default)]
pub(crate) struct Drains(Mutex<JoinSet<()>>);

impl Drains {
    /// Reads what is left of a body, if it is little.
    pub(crate) fn finish(&self, mut response: Response) {
        if let Some(Ok(None)) = response.chunk().now_or_never() {
            return;
        }
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            // Whatever happens, the connection is closed or free again.
            drop(tokio::time::timeout(LONGEST, read_rest(response)).await);
        });
    }
}

async fn read_rest(mut response: Response) {
    let mut left = MOST;
    while let Ok(Some(bytes)) = response.chunk().await {
        let Some(still) = left.checked_sub(bytes.len()) else {
            return;
        };
        left = still;
    }
}
