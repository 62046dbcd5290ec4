//! Feeds sinks from the turn's events. Offering a record never waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dovetail_core::event::{Observer, TurnEvent};
use dovetail_core::ids::ThreadId;
use dovetail_core::plugin::EventRecord;
use dovetail_core::records::EventRecords;
use dovetail_runtime::pump::SinkPump;
use dovetail_runtime::services::Services;

/// An observer that turns events into records and offers them.
#[derive(Clone)]
pub(crate) struct SinkFeed {
    records: Arc<Mutex<EventRecords>>,
    pump: Arc<SinkPump>,
    /// Where the news of plugins come from, for the one feed that tells them.
    services: Option<Arc<Services>>,
}

impl SinkFeed {
    /// Announces the thread and takes its events from then on.
    pub(crate) fn start(records: EventRecords, pump: Arc<SinkPump>, resumed: bool) -> Self {
        let feed = Self {
            records: Arc::new(Mutex::new(records)),
            pump,
            services: None,
        };
        feed.offer(|records| Some(records.thread_started(resumed)));
        feed
    }

    /// Also tells what happens to plugins. One thread of a session does, so that it is told once.
    pub(crate) fn with_news(mut self, services: &Arc<Services>) -> Self {
        self.services = Some(Arc::clone(services));
        self.tell_news();
        self
    }

    /// Tells what happened to plugins since the last time.
    fn tell_news(&self) {
        let news = self
            .services
            .as_ref()
            .map(|services| services.news().take());
        for news in news.into_iter().flatten() {
            self.offer(|records| Some(records.plugin(&news)));
        }
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
        self.tell_news();
        self.offer(|records| {
            // A thread that works for this one has a feed of its own.
            (thread_id == records.thread_id())
                .then(|| records.convert(event))
                .flatten()
        });
    }
}

impl Drop for SinkFeed {
    fn drop(&mut self) {
        // What happened since the last event of the thread.
        self.tell_news();
    }
}
