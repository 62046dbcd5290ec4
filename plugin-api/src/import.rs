//! What the host offers to plugins, one module per import interface.
//!
//! Each works inside the host and where the grant lists it. In native builds, such as unit tests, calls that can
//! fail return [`Error::Unavailable`]; logging does nothing, clocks tick, and the configuration is empty. So keep
//! decisions in functions that take values, and test those.

use std::time::Duration;

use crate::Error;

pub mod client;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod http;
pub mod kv;
pub mod log;
pub mod process;
pub mod progress;
pub mod secrets;

/// Whether this code runs inside the host.
const IN_HOST: bool = cfg!(target_family = "wasm");

/// Guards a call to the host, which outside of it would hit a stub that cannot return.
fn in_host(interface: &str) -> Result<(), Error> {
    if IN_HOST {
        return Ok(());
    }
    Err(Error::Unavailable(format!(
        "`{interface}` works only inside the host"
    )))
}

/// Whole milliseconds, at most what fits.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whole milliseconds for a time limit, at most what fits: 49 days, far above the host's caps.
fn limit_millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
