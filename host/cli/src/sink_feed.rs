//! Feeds sinks from the turn's events. Offering a record never waits.

use std::sync::Arc;

use dovetail_core::event::{Observer, TurnEvent};
use dovetail_core::ids::ThreadId;
use dovetail_core::records::EventRecords;
use dovetail_runtime::pump::SinkPump;

/// An observer that turns events into records and offers them.
pub(crate) struct SinkFeed {
    records: EventRecords,
    pump: Arc<SinkPump>,
}

impl SinkFeed {
    /// Announces the thread and takes its events from then on.
    pub(crate) fn start(mut records: EventRecords, pump: Arc<SinkPump>, resumed: bool) -> Self {
        let started = records.thread_started(resumed);
        pump.offer(started);
        Self { records, pump }
    }
}

impl Observer for SinkFeed {
    fn observe(&mut self, thread_id: ThreadId, event: &TurnEvent) {
        // A thread that works for this one has a feed of its own.
        if thread_id != self.records.thread_id() {
            return;
        }
        if let Some(record) = self.records.convert(event) {
            self.pump.offer(record);
        }
    }
}
