//! How long calls take, and the bounded making of them.

use std::time::{Duration, Instant};

use dovetail_core::plugin::{PluginError, PluginFault};

/// The times of the calls of one function.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Times one call.
    pub(crate) async fn of<T>(&mut self, call: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let answer = call.await;
        self.0.push(started.elapsed());
        answer
    }

    /// Calls, median and the time of the slowest twentieth; none without calls.
    pub(crate) fn summary(&self) -> Option<(usize, Duration, Duration)> {
        let mut times = self.0.clone();
        times.sort();
        let last = times.len().checked_sub(1)?;
        Some((times.len(), times[last / 2], times[last * 95 / 100]))
    }
}

/// The fault in an error, if the guest broke; other errors are answers.
pub(crate) fn fault<T>(answer: &Result<T, PluginError>) -> Option<&PluginFault> {
    match answer {
        Err(PluginError::Fault(fault)) => Some(fault),
        Ok(_) | Err(_) => None,
    }
}
