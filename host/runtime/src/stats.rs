//! What a plugin did: counted as it happens, cheap enough to stay on.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of durations: four to a doubling from 1 µs, so a median is exact to a fifth; the last holds all from 19 h.
const BUCKETS: usize = 4 * 36;

/// Counters of one plugin.
pub(crate) struct Counters {
    durations: [AtomicU32; BUCKETS],
    calls: AtomicU64,
    faults: AtomicU64,
    denied: AtomicU64,
}

/// A plugin's counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Calls of its functions that ended, well or not.
    pub calls: u64,
    /// The median time of a call, host imports included; none without calls.
    pub p50: Option<Duration>,
    /// Traps, deadlines and limits.
    pub faults: u64,
    /// Requests of the plugin that its grant did not allow.
    pub denied: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            durations: [const { AtomicU32::new(0) }; BUCKETS],
            calls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            denied: AtomicU64::new(0),
        }
    }
}

impl Counters {
    pub(crate) fn called(&self, took: Duration) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.durations[bucket(took)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn faulted(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn denied(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        Stats {
            calls: self.calls.load(Ordering::Relaxed),
            p50: self.median(),
            faults: self.faults.load(Ordering::Relaxed),
            denied: self.denied.load(Ordering::Relaxed),
        }
    }

    fn median(&self) -> Option<Duration> {
        let counts: Vec<u64> = self
            .durations
            .iter()
            .map(|count| u64::from(count.load(Ordering::Relaxed)))
            .collect();
        let total: u64 = counts.iter().sum();
        let mut seen = 0;
        for (at, count) in counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen * 2 >= total {
                return Some(middle(at));
            }
        }
        None
    }
}

/// The bucket of a duration: its logarithm to the base of the fourth root of two.
fn bucket(took: Duration) -> usize {
    let micros = took.as_secs_f64() * 1e6;
    let at = (micros.max(1.0).log2() * 4.0).floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative and at most 63 · 4"
    )]
    let at = at as usize;
    at.min(BUCKETS - 1)
}

/// The middle of a bucket on the same scale.
fn middle(bucket: usize) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let exponent = (bucket as f64 + 0.5) / 4.0;
    Duration::from_secs_f64(exponent.exp2() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_exact_to_a_fifth() {
        let counters = Counters::default();
        assert_eq!(counters.snapshot(), Stats::default());
        for micros in [5, 50, 52, 55, 9_000] {
            counters.called(Duration::from_micros(micros));
        }
        let p50 = counters.snapshot().p50.expect("there were calls");
        assert!((42..63).contains(&p50.as_micros()), "{p50:?}");
    }

    #[test]
    fn no_duration_falls_outside() {
        let counters = Counters::default();
        for took in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            counters.called(took);
        }
        assert_eq!(counters.snapshot().calls, 3);
    }
}
