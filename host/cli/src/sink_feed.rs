//! Feeds sinks from the turn's events. Offering a record never waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dovetail_core::event::{Observer, TurnEvent};
use dovetail_core::ids::ThreadId;
use dovetail_core::plugin::EventRecord;
use dovetail_core::records::EventRecords;
use dovetail_runtime::notices::Notices;
use dovetail_runtime::pump::SinkPump;

/// An observer that turns events into records and offers them.
#[derive(Clone)]
pub(crate) struct SinkFeed {
    records: Arc<Mutex<EventRecords>>,
    pump: Arc<SinkPump>,
}

impl SinkFeed {
    /// Announces the thread and takes its events from then on.
    pub(crate) fn start(records: EventRecords, pump: Arc<SinkPump>, resumed: bool) -> Self {
        let feed = Self {
            records: Arc::new(Mutex::new(records)),
            pump,
        };
        feed.offer(|records| Some(records.thread_started(resumed)));
        feed
    }

    /// Also tells what happens to plugins. One thread of a session does, so that it is told once.
    pub(crate) fn with_notices(self, notices: &Notices) -> Self {
        let feed = self.clone();
        notices.listen(move |notice| {
            let (kind, sentence) = (notice.kind.name(), &notice.sentence);
            feed.offer(|records| Some(records.plugin_changed(&notice.plugin, kind, sentence)));
        });
        self
    }

    /// Makes a record and offers it in one step, so that they arrive in the order of their numbers.
    fn offer(&self, make: impl FnOnce(&mut EventRecords) -> Option<EventRecord>) {
        let mut records: MutexGuard<'_, EventRecords> =
            self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = make(&mut records) {
            self.pump.offer(record);
        }
    }
}

impl Observer for SinkFeed {
    fn observe(&mut self, thread_id: ThreadId, event: &TurnEvent) {
        self.offer(|records| {
            // A thread that works for this one has a feed of its own.
            (thread_id == records.thread_id())
                .then(|| records.convert(event))
                .flatten()
        });
    }
}
