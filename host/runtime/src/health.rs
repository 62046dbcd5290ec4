//! How often a plugin broke lately, and whether it is still called.
//!
//! The count is kept across processes, see [`crate::ledger`]: runs of `exec` are short, and a plugin that breaks in each
//! of them breaks as often as one that does so within one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ledger::{Ledger, Subject};

/// Faults further back no longer count.
const WINDOW: Duration = Duration::from_secs(60);

/// This many faults within the window, and the plugin is not called any more. Two can be bad luck with one input;
/// each may cost the user a full deadline.
const MOST_FAULTS: usize = 3;

/// The second fault in a row delays the next instance this long, so that a plugin that breaks at once does not burn
/// its chances within a millisecond.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Of the sentence about a fault, in characters: it is kept for people to read.
const MOST_WORDS: usize = 600;

/// The faults of one plugin. Times are milliseconds since 1970; a clock that is set back makes faults count longer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FaultRecord {
    recent: Vec<u64>,
    last: String,
    quarantined: Option<u32>,
}

impl FaultRecord {
    /// How often it broke within the window, when it last did.
    pub(crate) fn recent(&self) -> u32 {
        u32::try_from(self.recent.len()).unwrap_or(u32::MAX)
    }

    /// When it last broke.
    pub(crate) fn last_time(&self) -> u64 {
        self.recent.last().copied().unwrap_or_default()
    }

    /// How it broke last.
    pub(crate) fn last_words(&self) -> &str {
        &self.last
    }

    /// The number of faults that led to quarantine, if the plugin is in it.
    pub(crate) fn quarantined(&self) -> Option<u32> {
        self.quarantined
    }

    /// Notes a fault.
    fn fault(&mut self, now: u64, why: &str) {
        self.forget(now);
        self.recent.push(now);
        self.last = why.chars().take(MOST_WORDS).collect();
        if self.recent.len() >= MOST_FAULTS && self.quarantined.is_none() {
            self.quarantined = Some(self.recent());
        }
    }

    fn forget(&mut self, now: u64) {
        self.recent.retain(|at| since(*at, now) <= WINDOW);
        // A file that somebody else wrote may hold any number.
        let excess = self.recent.len().saturating_sub(MOST_FAULTS);
        self.recent.drain(..excess);
    }

    fn back_off(&self, now: u64) -> Duration {
        let recent: Vec<Duration> = self.recent.iter().map(|at| since(*at, now)).collect();
        match recent.iter().filter(|ago| **ago <= WINDOW).count() {
            0 | 1 => Duration::ZERO,
            _ => BACK_OFF.saturating_sub(recent.last().copied().unwrap_or_default()),
        }
    }
}

fn since(at: u64, now: u64) -> Duration {
    Duration::from_millis(now.saturating_sub(at))
}

/// The health of one plugin.
pub(crate) struct Health {
    ledger: Ledger,
    subject: Subject,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    record: FaultRecord,
    /// Whether the record is on disk, where a person can have it removed.
    kept: bool,
}

/// Whether a plugin may be called.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may.
    Admitted,
    /// It may again: somebody had its faults forgotten.
    Released,
    /// It broke that often.
    Quarantined(u32),
}

impl Health {
    /// Takes up what is known from before.
    pub(crate) fn open(ledger: Ledger, subject: Subject) -> Self {
        let record = ledger.fault_record(&subject);
        let known = Known {
            kept: record.is_some(),
            record: record.unwrap_or_default(),
        };
        Self {
            ledger,
            subject,
            known: Mutex::new(known),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while holding the lock; the record would still be usable if it did.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record as it is known here.
    pub(crate) fn record(&self) -> FaultRecord {
        self.known().record.clone()
    }

    /// Whether the plugin may be called.
    pub(crate) fn admit(&self) -> Admission {
        let mut known = self.known();
        let Some(faults) = known.record.quarantined else {
            return Admission::Admitted;
        };
        if known.kept && !self.ledger.has_faults(&self.subject) {
            *known = Known::default();
            return Admission::Released;
        }
        Admission::Quarantined(faults)
    }

    /// Notes a fault. Returns the number of faults where it led to quarantine.
    pub(crate) fn fault(&self, now: u64, why: &str) -> Option<u32> {
        let mut known = self.known();
        let before = known.record.quarantined;
        match self
            .ledger
            .note_faults(&self.subject, |record| record.fault(now, why))
        {
            Ok(record) => *known = Known { record, kept: true },
            Err(error) => {
                tracing::debug!("a fault is not kept beyond this process: {error}");
                known.record.fault(now, why);
            }
        }
        known.record.quarantined.filter(|_| before.is_none())
    }

    /// How long to wait before the next instance is made.
    pub(crate) fn back_off(&self, now: u64) -> Duration {
        self.known().record.back_off(now)
    }

    /// Lets the plugin run again, with a clean record.
    pub(crate) fn release(&self) {
        *self.known() = Known::default();
        if let Err(error) = self.ledger.forgive(&self.subject) {
            tracing::warn!("the record of its faults cannot be removed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::digest::Sha256;
    use crate::lock::Scope;
    use crate::manifest::Manifest;

    fn open(dir: &std::path::Path, component: &str) -> Health {
        let text = "id = \"x\"\nversion = \"1.0.0\"\napi = \"^0.1\"\nkinds = [\"tools\"]\n";
        let manifest = Manifest::parse(text, "plugin.toml".as_ref()).expect("a manifest");
        let component = Sha256::of(component.as_bytes());
        let subject = Subject::new(&Scope::User, &manifest, component, &Value::Null);
        Health::open(Ledger::new(dir), subject)
    }

    const SECOND: u64 = 1_000;

    #[test]
    fn three_faults_in_a_minute_end_in_quarantine_and_spread_ones_do_not() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let health = open(dir.path(), "a");
        for at in [0, 50, 100, 150] {
            assert_eq!(health.fault(at * SECOND, "why"), None, "at {at} s");
        }
        assert_eq!(health.fault(151 * SECOND, "last"), Some(3));
        assert_eq!(health.admit(), Admission::Quarantined(3));
        assert_eq!(health.record().last_words(), "last");
        assert_eq!(health.fault(152 * SECOND, "why"), None, "only once");
        health.release();
        assert_eq!(health.admit(), Admission::Admitted);
    }

    #[test]
    fn faults_of_other_processes_count_and_another_file_starts_anew() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (at, led_to) in [(0, None), (1, None), (2, Some(3))] {
            assert_eq!(open(dir.path(), "a").fault(at * SECOND, "why"), led_to);
        }
        let next = open(dir.path(), "a");
        assert_eq!(next.admit(), Admission::Quarantined(3));
        assert_eq!(next.record().last_words(), "why");
        assert_eq!(open(dir.path(), "b").admit(), Admission::Admitted);
    }

    #[test]
    fn forgiving_it_elsewhere_releases_it_here() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let health = open(dir.path(), "a");
        for at in 0..3 {
            health.fault(at, "why");
        }
        assert_eq!(health.admit(), Admission::Quarantined(3));
        open(dir.path(), "a").release();
        assert_eq!(health.admit(), Admission::Released);
        assert_eq!(health.admit(), Admission::Admitted);
    }

    #[test]
    fn where_nothing_can_be_written_a_process_counts_for_itself() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("state"), "in the way").expect("written");
        let health = open(dir.path(), "a");
        for at in 0..3 {
            health.fault(at, "why");
        }
        assert_eq!(health.admit(), Admission::Quarantined(3));
    }

    #[test]
    fn the_first_fault_costs_no_wait() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let health = open(dir.path(), "a");
        assert_eq!(health.back_off(0), Duration::ZERO);
        health.fault(0, "why");
        assert_eq!(health.back_off(0), Duration::ZERO);
        health.fault(0, "why");
        assert_eq!(health.back_off(0), BACK_OFF);
        assert_eq!(health.back_off(100), Duration::ZERO);
    }
}
