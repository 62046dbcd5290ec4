//! The task of one sink: takes batches from its queue to the sink, or to the outbox.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dovetail_core::plugin::{Ack, EventRecord, PluginError, PluginFault, Sink};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::outbox::{Kept, Outbox, Pending};
use crate::pump::Counts;
use crate::sink_queue::{BATCH, SinkQueue};

/// How long the host's end waits for a call that does not return. A sink that works answers in well under a
/// millisecond, or a few for a request; a person at a terminal does not notice a tenth of a second.
const STUCK: Duration = Duration::from_millis(100);

/// How often one batch is offered, and how long the sink can put it off each time.
const ROUNDS: u32 = 5;
const MOST_PAUSE: Duration = Duration::from_secs(5);
/// Where the sink does not say when to come back.
const PAUSE: Duration = Duration::from_secs(1);

/// A sink that did not take a batch is left alone this long; meanwhile its events go to the outbox, so that its
/// queue stays empty.
const AWAY: Duration = Duration::from_secs(30);

/// The end of the host, as its sinks see it.
#[derive(Default)]
pub(crate) struct Stop {
    begun: CancellationToken,
    deadline: OnceLock<Instant>,
}

impl Stop {
    /// Begins the end. Returns when it is over.
    pub(crate) fn within(&self, grace: Duration) -> Instant {
        let deadline = *self.deadline.get_or_init(|| Instant::now() + grace);
        self.begun.cancel();
        deadline
    }

    /// Ends when a call that was made then has had its time: never, as long as the host goes on.
    async fn too_late(&self, called: Instant) {
        self.begun.cancelled().await;
        let stuck = called + STUCK;
        tokio::time::sleep_until(self.deadline.get().map_or(stuck, |end| stuck.min(*end))).await;
    }
}

/// The task of one sink.
pub(crate) struct Worker {
    sink: Arc<dyn Sink>,
    queue: Arc<SinkQueue>,
    outbox: Outbox,
    counts: Arc<Counts>,
    stop: Arc<Stop>,
    opened: bool,
    away_until: Option<Instant>,
}

/// What came of offering a batch once.
enum Attempt {
    /// It is settled; these ids the sink will never take.
    Settled { rejected: Vec<String> },
    /// The sink can never take any of it.
    Never,
    /// Again after a while.
    Later(Duration),
    /// The sink broke.
    Broke,
    /// Not now: the sink, or the host, has no time.
    Away,
}

impl Worker {
    pub(crate) fn new(
        sink: Arc<dyn Sink>,
        queue: Arc<SinkQueue>,
        outbox: Outbox,
        counts: Arc<Counts>,
        stop: Arc<Stop>,
    ) -> Self {
        Self {
            sink,
            queue,
            outbox,
            counts,
            stop,
            opened: false,
            away_until: None,
        }
    }

    /// Works until the queue is closed and empty.
    pub(crate) async fn run(mut self) {
        self.redeliver().await;
        while let Some(batch) = self.queue.next_batch().await {
            let fresh = |record| Pending { record, breaks: 0 };
            self.carry(batch.into_iter().map(fresh).collect()).await;
        }
        if self.opened && !self.is_away() {
            let farewell = tokio::time::timeout(STUCK, self.sink.close()).await;
            if !matches!(farewell, Ok(Ok(()))) {
                tracing::debug!(plugin = %self.sink.plugin(), "it did not close: {farewell:?}");
            }
        }
    }

    /// Gives the sink what earlier runs kept for it.
    async fn redeliver(&mut self) {
        let outbox = self.outbox.clone();
        let claimed = blocking(move || outbox.claim()).await;
        let Some(claim) = claimed.unwrap_or_else(|error| {
            tracing::warn!(plugin = %self.sink.plugin(), "cannot read its outbox: {error}");
            None
        }) else {
            return;
        };
        for batch in claim.events.chunks(BATCH) {
            self.carry(batch.to_vec()).await;
        }
        // What the sink did not take is in the outbox anew.
        if let Err(error) = blocking(move || claim.settle()).await {
            tracing::warn!(plugin = %self.sink.plugin(), "cannot tidy its outbox: {error}");
        }
    }

    /// Takes a batch to the sink, or else to the outbox.
    async fn carry(&mut self, mut batch: Vec<Pending>) {
        let mut broke = false;
        let mut round = 0;
        while !self.is_away() {
            round += 1;
            match self.attempt(&batch).await {
                Attempt::Settled { rejected } => return self.settled(&batch, &rejected),
                Attempt::Never => return count(&self.counts.rejected, batch.len()),
                Attempt::Later(pause) if round < ROUNDS && self.pause(pause).await => {}
                // A new instance may fare better; if not, it is the batch.
                Attempt::Broke if !broke => broke = true,
                Attempt::Broke => {
                    batch.iter_mut().for_each(|event| event.breaks += 1);
                    self.away_until = Some(Instant::now() + AWAY);
                }
                Attempt::Later(_) | Attempt::Away => self.away_until = Some(Instant::now() + AWAY),
            }
        }
        self.keep(batch).await;
    }

    async fn attempt(&mut self, batch: &[Pending]) -> Attempt {
        let records: Vec<Arc<EventRecord>> = batch
            .iter()
            .map(|event| Arc::clone(&event.record))
            .collect();
        let opened = self.opened;
        let calling = async {
            if !opened {
                self.sink.open().await?;
            }
            self.sink.deliver(&records).await
        };
        let outcome = tokio::select! {
            biased;
            outcome = calling => outcome,
            () = self.stop.too_late(Instant::now()) => {
                tracing::warn!(plugin = %self.sink.plugin(), "it is stuck; its events are kept for the next run");
                return Attempt::Away;
            }
        };
        self.opened |= outcome.is_ok();
        self.judge(outcome)
    }

    fn judge(&self, outcome: Result<Ack, PluginError>) -> Attempt {
        let error = match outcome {
            Ok(Ack::Accepted) => {
                return Attempt::Settled {
                    rejected: Vec::new(),
                };
            }
            Ok(Ack::Reject(rejected)) => return Attempt::Settled { rejected },
            Ok(Ack::Retry(after)) => return Attempt::Later(after),
            Err(error) => error,
        };
        let attempt = match &error {
            PluginError::Retryable { after, .. } => Attempt::Later(after.unwrap_or(PAUSE)),
            PluginError::Invalid(_) => Attempt::Never,
            PluginError::Fault(
                PluginFault::Quarantined { .. }
                | PluginFault::Drifted { .. }
                | PluginFault::NotLoaded { .. },
            )
            | PluginError::Denied(_)
            | PluginError::Unavailable(_)
            | PluginError::Other(_) => Attempt::Away,
            PluginError::Fault(
                PluginFault::Trap { .. } | PluginFault::Deadline { .. } | PluginFault::Limit { .. },
            ) => Attempt::Broke,
        };
        tracing::warn!(plugin = %self.sink.plugin(), "it did not take a batch: {error}");
        attempt
    }

    fn settled(&self, batch: &[Pending], rejected: &[String]) {
        // A sink may name ids that it was never given.
        let refused = batch
            .iter()
            .filter(|event| rejected.contains(&event.record.id))
            .count();
        count(&self.counts.rejected, refused);
        count(&self.counts.delivered, batch.len() - refused);
    }

    /// Waits for the sink's next chance. False where the host ends first.
    async fn pause(&self, pause: Duration) -> bool {
        let waiting = tokio::time::sleep(pause.min(MOST_PAUSE));
        self.stop.begun.run_until_cancelled(waiting).await.is_some()
    }

    fn is_away(&self) -> bool {
        self.away_until.is_some_and(|until| Instant::now() < until)
    }

    async fn keep(&self, events: Vec<Pending>) {
        let (outbox, total) = (self.outbox.clone(), events.len());
        let classes = self.sink.subscription().classes.clone();
        match blocking(move || outbox.keep(&events, &classes)).await {
            Ok(Kept {
                spooled,
                overflowed,
                given_up,
            }) => {
                self.counts.spooled.fetch_add(spooled, Ordering::Relaxed);
                self.counts.lost.fetch_add(overflowed, Ordering::Relaxed);
                self.counts.rejected.fetch_add(given_up, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::warn!(plugin = %self.sink.plugin(), "cannot write its outbox: {error}");
                count(&self.counts.lost, total);
            }
        }
    }
}

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

/// Does file work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)?
}
