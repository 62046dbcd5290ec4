//! What plugins log: passed on under their id, cut to length, and at most so many messages a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dovetail_core::ids::PluginId;

/// A longer message is cut.
const MOST_CHARS: usize = 4096;

/// More than a person can follow; a guest that logs in a loop stays affordable.
const MOST_PER_SECOND: u32 = 200;

/// How important a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// The log of one plugin.
pub(crate) struct GuestLog {
    plugin: PluginId,
    rate: Mutex<Rate>,
}

struct Rate {
    since: Instant,
    written: u32,
    dropped: u32,
}

impl GuestLog {
    pub(crate) fn new(plugin: PluginId) -> Self {
        Self {
            plugin,
            rate: Mutex::new(Rate {
                since: Instant::now(),
                written: 0,
                dropped: 0,
            }),
        }
    }

    /// Writes one message, or counts it as dropped.
    pub(crate) fn write(&self, level: Level, message: &str) {
        // Nothing panics while holding the lock; the numbers would still be usable if it did.
        let dropped = self
            .rate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(Instant::now());
        let Some(dropped) = dropped else { return };
        if dropped > 0 {
            tracing::warn!(target: "plugin", plugin = %self.plugin, "{dropped} messages were dropped");
        }
        let message = match message.char_indices().nth(MOST_CHARS) {
            Some((end, _)) => &message[..end],
            None => message,
        };
        match level {
            Level::Trace => tracing::trace!(target: "plugin", plugin = %self.plugin, "{message}"),
            Level::Debug => tracing::debug!(target: "plugin", plugin = %self.plugin, "{message}"),
            Level::Info => tracing::info!(target: "plugin", plugin = %self.plugin, "{message}"),
            Level::Warn => tracing::warn!(target: "plugin", plugin = %self.plugin, "{message}"),
            Level::Error => tracing::error!(target: "plugin", plugin = %self.plugin, "{message}"),
        }
    }
}

impl Rate {
    /// None where the message is one too many; otherwise how many were dropped before it.
    fn admit(&mut self, now: Instant) -> Option<u32> {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            self.since = now;
            self.written = 0;
        }
        if self.written >= MOST_PER_SECOND {
            self.dropped = self.dropped.saturating_add(1);
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_dropped_and_counted() {
        let start = Instant::now();
        let mut rate = Rate {
            since: start,
            written: 0,
            dropped: 0,
        };
        let admitted = (0..1000).filter(|_| rate.admit(start).is_some()).count();
        assert_eq!(admitted, 200);
        assert_eq!(rate.admit(start + Duration::from_secs(1)), Some(800));
        assert_eq!(rate.admit(start + Duration::from_secs(1)), Some(0));
    }
}
