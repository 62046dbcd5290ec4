//! Carries events to sinks, such that no sink can delay or change a turn.
//!
//! Each sink has a queue and a task of its own. Offering an event costs a lock and a push. What a sink does not take
//! (it hangs, breaks, is quarantined, asks to come back later too often) goes to its outbox on disk and is given
//! again in the next run, with the same ids.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{EventRecord, Sink};
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use crate::outbox::Outbox;
use crate::sink_queue::{self, SinkQueue};
use crate::sink_worker::{Stop, Worker};

/// Beyond a sink's own time at the end, what writing its outbox may take on a slow disk.
const SPOOL_TIME: Duration = Duration::from_secs(2);

/// Carries events to a set of sinks. Dropping it without [`SinkPump::shutdown`] loses what is under way.
pub struct SinkPump {
    lanes: Vec<Lane>,
    stop: Arc<Stop>,
}

/// One sink's way.
struct Lane {
    plugin: PluginId,
    wants: Vec<KindPattern>,
    queue: Arc<SinkQueue>,
    counts: Arc<Counts>,
    task: Mutex<Option<AbortOnDropHandle<()>>>,
}

/// What became of the events offered to a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkReport {
    /// The sink.
    pub plugin: PluginId,
    /// Taken by the sink, those of earlier runs included.
    pub delivered: u64,
    /// Refused for good, by the sink or because it broke over them too often.
    pub rejected: u64,
    /// Kept on disk for the next run.
    pub spooled: u64,
    /// Lost: neither the queue nor the outbox had room, or the outbox could not be written.
    pub lost: u64,
}

/// Counters behind a report.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) delivered: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) spooled: AtomicU64,
    pub(crate) lost: AtomicU64,
}

impl SinkPump {
    /// Starts a task for each sink, which first redelivers what earlier runs left in `outbox_dir`. Must be called
    /// within a tokio runtime.
    pub fn start(sinks: Vec<Arc<dyn Sink>>, outbox_dir: &Path) -> Self {
        let stop = Arc::<Stop>::default();
        let lanes = sinks
            .into_iter()
            .map(|sink| Lane::start(sink, outbox_dir, &stop))
            .collect();
        Self { lanes, stop }
    }

    /// Offers an event to every sink that wants its kind. Never waits: where a queue is full, that sink loses it.
    pub fn offer(&self, record: impl Into<Arc<EventRecord>>) {
        let record = record.into();
        let mut size = None;
        for lane in self.lanes.iter().filter(|lane| lane.wants(&record.kind)) {
            let size = *size.get_or_insert_with(|| sink_queue::size_of(&record));
            if !lane.queue.offer(Arc::clone(&record), size) {
                lane.counts.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Has what is queued sent now rather than with the next batch, as at the end of a turn. Does not wait.
    pub fn flush(&self) {
        self.lanes.iter().for_each(|lane| lane.queue.flush());
    }

    /// Delivers what is queued, closes the sinks and ends their tasks.
    ///
    /// A sink that keeps up is done within milliseconds. One that is stuck in a call gets a tenth of a second, one
    /// that is merely slow at most `grace`; what is left of their events goes to the outbox.
    pub async fn shutdown(&self, grace: Duration) -> Vec<SinkReport> {
        self.lanes.iter().for_each(|lane| lane.queue.close());
        let deadline = self.stop.within(grace);
        for lane in &self.lanes {
            let Some(mut task) = lane.task.lock().await.take() else {
                continue;
            };
            match tokio::time::timeout_at(deadline + SPOOL_TIME, &mut task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(plugin = %lane.plugin, "its task ended: {error}"),
                Err(_) => {
                    tracing::warn!(plugin = %lane.plugin, "its outbox is not written in time")
                }
            }
        }
        self.reports()
    }

    /// What became of the events so far.
    pub fn reports(&self) -> Vec<SinkReport> {
        self.lanes.iter().map(Lane::report).collect()
    }
}

impl Lane {
    fn start(sink: Arc<dyn Sink>, outbox_dir: &Path, stop: &Arc<Stop>) -> Self {
        let plugin = sink.plugin().clone();
        let wants = sink
            .subscription()
            .kinds
            .iter()
            .map(|kind| KindPattern::new(kind))
            .collect();
        let (queue, counts) = (Arc::<SinkQueue>::default(), Arc::<Counts>::default());
        let outbox = Outbox::new(outbox_dir, &plugin);
        let worker = Worker::new(
            sink,
            Arc::clone(&queue),
            outbox,
            Arc::clone(&counts),
            Arc::clone(stop),
        );
        let task = AbortOnDropHandle::new(tokio::spawn(worker.run()));
        Self {
            plugin,
            wants,
            queue,
            counts,
            task: Mutex::new(Some(task)),
        }
    }

    fn wants(&self, kind: &str) -> bool {
        self.wants.iter().any(|pattern| pattern.matches(kind))
    }

    fn report(&self) -> SinkReport {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SinkReport {
            plugin: self.plugin.clone(),
            delivered: count(&self.counts.delivered),
            rejected: count(&self.counts.rejected),
            spooled: count(&self.counts.spooled),
            lost: count(&self.counts.lost),
        }
    }
}

/// Which kinds of event a sink wants.
enum KindPattern {
    All,
    /// `tool.*`, kept with its dot.
    Family(String),
    One(String),
}

impl KindPattern {
    fn new(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some("") => Self::All,
            Some(family) if family.ends_with('.') => Self::Family(family.to_owned()),
            // A star elsewhere stands for itself, and so for nothing that exists.
            Some(_) | None => Self::One(text.to_owned()),
        }
    }

    fn matches(&self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Family(family) => kind.starts_with(family),
            Self::One(one) => kind == one,
        }
    }
}

#[cfg(test)]
#[path = "pump/tests.rs"]
mod tests;
