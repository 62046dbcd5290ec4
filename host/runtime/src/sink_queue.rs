//! The queue between the turn and one sink: bounded, and never in the way of whoever puts something in.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dovetail_core::plugin::{EventRecord, FieldValue};
use serde_json::Value;
use tokio::sync::Notify;

/// A sink never gets more at once; the contract says so.
pub(crate) const BATCH: usize = 100;

/// How long the first event of a batch waits for company.
const COMPANY: Duration = Duration::from_millis(250);

/// What may wait for one sink. A turn makes a few events for each tool call, so this is hours of work or one sink
/// that hangs for its full deadline during a very busy minute.
const MOST_EVENTS: usize = 4096;
const MOST_BYTES: usize = 8 << 20;

/// Events that wait for one sink.
#[derive(Default)]
pub(crate) struct SinkQueue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    events: VecDeque<(Arc<EventRecord>, usize)>,
    bytes: usize,
    flush: bool,
    closed: bool,
}

impl SinkQueue {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding the lock; a queue of events is usable in any state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an event in, unless there is no room: then returns false. Never waits.
    pub(crate) fn offer(&self, record: Arc<EventRecord>, size: usize) -> bool {
        let mut state = self.state();
        if state.closed || state.events.len() >= MOST_EVENTS || state.bytes + size > MOST_BYTES {
            return false;
        }
        state.events.push_back((record, size));
        state.bytes += size;
        // Waking the other side costs more than all the rest here, so it is woken only where it has something to do.
        let wake = matches!(state.events.len(), 1 | BATCH);
        drop(state);
        if wake {
            self.changed.notify_one();
        }
        true
    }

    /// Sends what is there without waiting for more.
    pub(crate) fn flush(&self) {
        let mut state = self.state();
        state.flush = !state.events.is_empty();
        drop(state);
        self.changed.notify_one();
    }

    /// Takes nothing more; what is there is still handed out.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// The next batch, in order; none once the queue is closed and empty.
    pub(crate) async fn next_batch(&self) -> Option<Vec<Arc<EventRecord>>> {
        loop {
            match self.readiness() {
                Readiness::Over => return None,
                Readiness::Full => return Some(self.take()),
                Readiness::Empty => self.changed.notified().await,
                Readiness::Some => {
                    let company = async {
                        while let Readiness::Some = self.readiness() {
                            self.changed.notified().await;
                        }
                    };
                    // Either way there is at least one event: nobody else takes any.
                    drop(tokio::time::timeout(COMPANY, company).await);
                    return Some(self.take());
                }
            }
        }
    }

    fn readiness(&self) -> Readiness {
        let state = self.state();
        match state.events.len() {
            0 if state.closed => Readiness::Over,
            0 => Readiness::Empty,
            BATCH.. => Readiness::Full,
            _ if state.flush || state.closed => Readiness::Full,
            _ => Readiness::Some,
        }
    }

    fn take(&self) -> Vec<Arc<EventRecord>> {
        let mut state = self.state();
        let count = state.events.len().min(BATCH);
        let taken: Vec<_> = state.events.drain(..count).collect();
        state.bytes -= taken.iter().map(|(_, size)| size).sum::<usize>();
        state.flush &= !state.events.is_empty();
        taken.into_iter().map(|(record, _)| record).collect()
    }
}

enum Readiness {
    Empty,
    Some,
    Full,
    Over,
}

/// What a record takes in memory, about.
pub(crate) fn size_of(record: &EventRecord) -> usize {
    const RECORD: usize = 256;
    const FIELD: usize = 64;
    let value = |value: &FieldValue| match value {
        FieldValue::Text(text) => text.len(),
        FieldValue::Json(value) => size_of_json(value),
        FieldValue::Int(_) | FieldValue::Float(_) | FieldValue::Bool(_) => 0,
    };
    RECORD
        + record
            .fields
            .iter()
            .map(|field| FIELD + value(&field.value))
            .sum::<usize>()
}

fn size_of_json(value: &Value) -> usize {
    const NODE: usize = 32;
    NODE + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size_of_json).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| name.len() + size_of_json(value))
            .sum(),
    }
}
