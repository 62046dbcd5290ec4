//! What is known of a plugin beyond this process: what it did, and whether it is in quarantine.

use dovetail_runtime::catalogue::Entry;
use dovetail_runtime::ledger::{Activity, Faults, Ledger, Subject};
use dovetail_runtime::state::State;
use serde_json::{Value, json};

use super::PluginContext;

/// What is known of one plugin.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Over all sessions, since its component last changed; none where it was never called.
    pub(super) activity: Option<Activity>,
    /// How it broke lately; none where it did not since its file or configuration last changed.
    pub(super) faults: Option<Faults>,
}

impl Known {
    /// Whether it may run as far as trust goes, and is not called because it broke too often.
    pub(super) fn is_quarantined(&self, entry: &Entry) -> bool {
        let broke = self
            .faults
            .as_ref()
            .is_some_and(|faults| faults.quarantined);
        broke && matches!(entry.state, State::Ready(_))
    }

    /// The word for its state.
    pub(super) fn state(&self, entry: &Entry) -> &'static str {
        if self.is_quarantined(entry) {
            "quarantined"
        } else {
            entry.state.name()
        }
    }

    /// Why it is in quarantine and what to do, in lines.
    pub(super) fn complaint(&self, entry: &Entry) -> Option<(String, String)> {
        let faults = self
            .faults
            .as_ref()
            .filter(|_| self.is_quarantined(entry))?;
        let id = &entry.found.manifest.id;
        Some((
            format!(
                "plugin `{id}` broke {} times within a minute and is quarantined, the last time: {}",
                faults.recent, faults.last
            ),
            format!("dovetail plugin enable {id}    once it is mended, or to try again"),
        ))
    }

    /// Keys that are added to an entry's JSON.
    pub(super) fn add_to(&self, value: &mut Value, entry: &Entry) {
        value["state"] = json!(self.state(entry));
        let record = entry.record.as_ref();
        let signer = record.and_then(|record| record.signer.as_ref());
        let from = record.and_then(|record| record.source.as_ref());
        value["signer"] = json!(signer.map(ToString::to_string));
        value["installed_from"] = json!(from.map(ToString::to_string));
        value["generation"] = json!(self.activity.as_ref().map(|known| known.generation));
        value["last_called"] = json!(self.activity.as_ref().map(|known| time(known.last_unix_ms)));
        let stats = self
            .activity
            .as_ref()
            .map(|known| known.stats)
            .unwrap_or_default();
        value["calls"] = json!(stats.calls);
        value["p50_us"] = json!(stats.p50.map(|time| time.as_micros() as u64));
        value["p95_us"] = json!(stats.p95.map(|time| time.as_micros() as u64));
        value["faults"] = json!(stats.faults);
        value["denied"] = json!(stats.denied);
        value["most_memory_bytes"] = json!(stats.most_memory);
        value["recent_faults"] = json!(self.faults.as_ref().map(|faults| json!({
            "count": faults.recent,
            "quarantined": faults.quarantined,
            "last": faults.last,
            "last_time": time(faults.last_unix_ms),
        })));
    }
}

impl PluginContext {
    /// The records of all plugins.
    pub(super) fn ledger(&self) -> Ledger {
        Ledger::new(&self.places.own_dir)
    }

    /// The name under which a plugin's records are kept.
    pub(super) fn subject(&self, entry: &Entry) -> Subject {
        let config = self.configs.get(&entry.found.manifest.id);
        Subject::of(&entry.found, config.unwrap_or(&Value::Null))
    }

    /// What is known of a plugin.
    pub(super) fn known(&self, entry: &Entry) -> Known {
        let (ledger, subject) = (self.ledger(), self.subject(entry));
        Known {
            activity: ledger.activity(&subject),
            faults: ledger.faults(&subject),
        }
    }
}

/// Who signed its package, as far as that was checked.
pub(super) fn signer(entry: &Entry) -> String {
    let signer = entry
        .record
        .as_ref()
        .and_then(|record| record.signer.as_ref());
    signer.map_or("not signed".to_owned(), |key| format!("signed with {key}"))
}

/// A time in RFC 3339, to the second.
pub(super) fn time(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX);
    // A number that no clock has reached is shown as the beginning.
    jiff::Timestamp::from_second(seconds)
        .unwrap_or_default()
        .to_string()
}
