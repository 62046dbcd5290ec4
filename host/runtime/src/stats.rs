//! What a plugin did: counted as it happens, cheap enough to stay on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of durations: four to a doubling from 1 µs, so a share is exact to a fifth; the last holds all from 19 h.
const BUCKETS: usize = 4 * 36;

/// Counters of one plugin.
pub(crate) struct Counters {
    durations: [AtomicU32; BUCKETS],
    calls: AtomicU64,
    faults: AtomicU64,
    denied: AtomicU64,
    most_memory: AtomicU64,
}

/// A plugin's counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Calls of its functions that ended, well or not.
    pub calls: u64,
    /// The median time of a call, host imports included; none without calls.
    pub p50: Option<Duration>,
    /// The time that one call in twenty takes at least; none without calls.
    pub p95: Option<Duration>,
    /// Traps, deadlines and limits.
    pub faults: u64,
    /// Requests of the plugin that its grant did not allow.
    pub denied: u64,
    /// The most linear memory, in bytes, that an instance had at the end of a call.
    pub most_memory: u64,
}

/// Counters as plain numbers, which can be added up and kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) faults: u64,
    pub(crate) denied: u64,
    pub(crate) most_memory: u64,
    /// Calls by bucket of duration; empty buckets are left out.
    pub(crate) durations: BTreeMap<usize, u64>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            durations: [const { AtomicU32::new(0) }; BUCKETS],
            calls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            most_memory: AtomicU64::new(0),
        }
    }
}

impl Counters {
    pub(crate) fn called(&self, took: Duration, memory: u64) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.durations[bucket(took)].fetch_add(1, Ordering::Relaxed);
        self.most_memory.fetch_max(memory, Ordering::Relaxed);
    }

    pub(crate) fn faulted(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn denied(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        self.tally().stats()
    }

    pub(crate) fn tally(&self) -> Tally {
        let durations = self.durations.iter().enumerate();
        Tally {
            calls: self.calls.load(Ordering::Relaxed),
            faults: self.faults.load(Ordering::Relaxed),
            denied: self.denied.load(Ordering::Relaxed),
            most_memory: self.most_memory.load(Ordering::Relaxed),
            durations: durations
                .map(|(at, count)| (at, u64::from(count.load(Ordering::Relaxed))))
                .filter(|(_, count)| *count > 0)
                .collect(),
        }
    }
}

impl Tally {
    /// The numbers as people get them.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            calls: self.calls,
            p50: self.share(50),
            p95: self.share(95),
            faults: self.faults,
            denied: self.denied,
            most_memory: self.most_memory,
        }
    }

    /// What has come to pass since an earlier tally of the same counters.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let grown = |(at, count): (&usize, &u64)| {
            let before = earlier.durations.get(at).copied().unwrap_or_default();
            (*at, count.saturating_sub(before))
        };
        Self {
            calls: self.calls.saturating_sub(earlier.calls),
            faults: self.faults.saturating_sub(earlier.faults),
            denied: self.denied.saturating_sub(earlier.denied),
            most_memory: self.most_memory,
            durations: self
                .durations
                .iter()
                .map(grown)
                .filter(|(_, count)| *count > 0)
                .collect(),
        }
    }

    /// Adds what came to pass elsewhere.
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.faults = self.faults.saturating_add(other.faults);
        self.denied = self.denied.saturating_add(other.denied);
        self.most_memory = self.most_memory.max(other.most_memory);
        for (at, count) in &other.durations {
            let sum = self.durations.entry(*at).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// Whether nothing happened.
    pub(crate) fn is_empty(&self) -> bool {
        (self.calls, self.faults, self.denied) == (0, 0, 0)
    }

    /// The time within which `percent` of the calls ended.
    fn share(&self, percent: u64) -> Option<Duration> {
        let total: u64 = self.durations.values().sum();
        let mut seen = 0;
        for (at, count) in &self.durations {
            seen += count;
            if seen * 100 >= total * percent {
                return Some(middle(*at));
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

/// A duration in the middle of a bucket.
fn middle(bucket: usize) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let exponent = (bucket.min(BUCKETS) as f64 + 0.5) / 4.0;
    Duration::from_secs_f64(exponent.exp2() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_to_a_fifth() {
        let counters = Counters::default();
        assert_eq!(counters.snapshot(), Stats::default());
        for micros in [5, 50, 52, 55, 9_000] {
            counters.called(Duration::from_micros(micros), micros);
        }
        let stats = counters.snapshot();
        let p50 = stats.p50.expect("there were calls").as_micros();
        let p95 = stats.p95.expect("there were calls").as_micros();
        assert!((42..63).contains(&p50), "{p50}");
        assert!((7_500..11_000).contains(&p95), "{p95}");
        assert_eq!(stats.most_memory, 9_000);
    }

    #[test]
    fn no_duration_falls_outside() {
        let counters = Counters::default();
        for took in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            counters.called(took, 0);
        }
        assert_eq!(counters.snapshot().calls, 3);
    }

    #[test]
    fn what_is_told_in_pieces_adds_up_to_the_whole() {
        let counters = Counters::default();
        let (mut told, mut sum) = (Tally::default(), Tally::default());
        for micros in [5, 500, 5, 70] {
            counters.called(Duration::from_micros(micros), micros);
            counters.denied();
            let now = counters.tally();
            sum.add(&now.since(&told));
            told = now;
        }
        assert!(counters.tally().since(&told).is_empty());
        assert_eq!(sum, counters.tally());
    }
}
