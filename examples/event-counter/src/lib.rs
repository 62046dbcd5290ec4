//! A sink that counts events by kind and writes the sum to the host's log.

use std::collections::BTreeMap;

use dovetail_plugin_api::sink::{Ack, Event, FieldClasses, Subscription};
use dovetail_plugin_api::{Error, Sink, export_sink, log};

/// How often each kind of event came.
#[derive(Default)]
struct EventCounter {
    counts: BTreeMap<String, u64>,
}

impl Sink for EventCounter {
    fn subscriptions(&self) -> Subscription {
        Subscription::to(["*"], FieldClasses::BASIC)
    }

    fn deliver(&mut self, batch: Vec<Event>) -> Result<Ack, Error> {
        for event in batch {
            *self.counts.entry(event.kind).or_default() += 1;
        }
        log::debug(self.summary());
        Ok(Ack::Accepted)
    }

    fn close(&mut self) -> Result<(), Error> {
        log::info(self.summary());
        Ok(())
    }
}

impl EventCounter {
    fn summary(&self) -> String {
        let counts: Vec<String> = self
            .counts
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        format!(
            "{} events: {}",
            self.counts.values().sum::<u64>(),
            counts.join(", ")
        )
    }
}

export_sink!(EventCounter);

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str) -> Event {
        Event {
            id: kind.to_owned(),
            sequence: 1,
            kind: kind.to_owned(),
            version: 1,
            time_unix_ms: 0,
            thread_id: String::new(),
            turn_id: None,
            fields: vec![],
        }
    }

    #[test]
    fn events_are_counted_by_kind() {
        let mut sink = EventCounter::default();
        for kinds in [
            ["turn.started", "tool.finished"],
            ["tool.finished", "turn.finished"],
        ] {
            assert_eq!(sink.deliver(kinds.map(event).to_vec()), Ok(Ack::Accepted));
        }
        assert_eq!(
            sink.summary(),
            "4 events: tool.finished 2, turn.finished 1, turn.started 1"
        );
    }
}
