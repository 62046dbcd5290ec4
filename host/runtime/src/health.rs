//! How often a plugin broke lately, and whether it is still called.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Faults further back no longer count.
const WINDOW: Duration = Duration::from_secs(60);

/// This many faults within the window, and the plugin is not called any more. Two can be bad luck with one input;
/// each may cost the user a full deadline.
const MOST_FAULTS: usize = 3;

/// The second fault in a row delays the next instance this long, so that a plugin that breaks at once does not burn
/// its chances within a millisecond.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The faults of one plugin.
#[derive(Default)]
pub(crate) struct Health(Mutex<Record>);

#[derive(Default)]
struct Record {
    recent: VecDeque<Instant>,
    quarantined: Option<u32>,
}

impl Health {
    fn record(&self) -> MutexGuard<'_, Record> {
        // Nothing panics while holding the lock; the record would still be usable if it did.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of faults that led to quarantine, if the plugin is in it.
    pub(crate) fn quarantined(&self) -> Option<u32> {
        self.record().quarantined
    }

    /// Notes a fault. Returns whether it led to quarantine.
    pub(crate) fn fault(&self, now: Instant) -> bool {
        let mut record = self.record();
        record.recent.push_back(now);
        record.forget(now);
        let ended = record.recent.len() >= MOST_FAULTS && record.quarantined.is_none();
        if ended {
            record.quarantined = Some(u32::try_from(record.recent.len()).unwrap_or(u32::MAX));
        }
        ended
    }

    /// How long to wait before the next instance is made.
    pub(crate) fn back_off(&self, now: Instant) -> Duration {
        let mut record = self.record();
        record.forget(now);
        match record.recent.back() {
            Some(last) if record.recent.len() > 1 => {
                BACK_OFF.saturating_sub(now.duration_since(*last))
            }
            _ => Duration::ZERO,
        }
    }

    /// Lets the plugin run again, with a clean record.
    pub(crate) fn release(&self) {
        *self.record() = Record::default();
    }
}

impl Record {
    fn forget(&mut self, now: Instant) {
        while self
            .recent
            .front()
            .is_some_and(|first| now.duration_since(*first) > WINDOW)
        {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_faults_in_a_minute_end_in_quarantine_and_spread_ones_do_not() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let health = Health::default();
        for at in [0, 50, 100, 150] {
            assert!(!health.fault(after(at)), "at {at} s");
        }
        assert!(health.fault(after(151)));
        assert_eq!(health.quarantined(), Some(3));
        assert!(!health.fault(after(152)), "only once");
        health.release();
        assert_eq!(health.quarantined(), None);
    }

    #[test]
    fn the_first_fault_costs_no_wait() {
        let now = Instant::now();
        let health = Health::default();
        assert_eq!(health.back_off(now), Duration::ZERO);
        health.fault(now);
        assert_eq!(health.back_off(now), Duration::ZERO);
        health.fault(now);
        assert_eq!(health.back_off(now), BACK_OFF);
        assert_eq!(health.back_off(now + BACK_OFF), Duration::ZERO);
    }
}
