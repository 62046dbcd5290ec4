//! Time, as the host tells it, so that replays can set it. Always linked.

use std::time::Duration;

use super::IN_HOST;
use crate::bindings::imports::dovetail::plugin::clock;

/// Milliseconds since 1970-01-01T00:00:00Z. May jump. Natively it is the system's clock.
pub fn now_unix_ms() -> u64 {
    if IN_HOST {
        return clock::now_unix_ms();
    }
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // A system clock before 1970 is as good as none.
    since_1970.map_or(0, super::millis)
}

/// Time from an arbitrary start. Never goes back. Natively it stands still.
pub fn monotonic() -> Duration {
    if IN_HOST {
        Duration::from_nanos(clock::monotonic_ns())
    } else {
        Duration::ZERO
    }
}
