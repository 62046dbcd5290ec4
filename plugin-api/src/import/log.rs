//! The host's log, under the plugin's id. Always linked.

use super::IN_HOST;
use crate::bindings::imports::dovetail::plugin::log;

/// How important a message is.
pub use crate::bindings::imports::dovetail::plugin::log::Level;

/// Writes a message. The host cuts long ones and drops them past its rate limit. Natively this does nothing.
pub fn write(level: Level, message: impl AsRef<str>) {
    if IN_HOST {
        log::write(level, message.as_ref());
    }
}

/// Writes something that is of use step by step, to the plugin's author.
pub fn trace(message: impl AsRef<str>) {
    write(Level::Trace, message);
}

/// Writes something for somebody who looks for a fault.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message);
}

/// Writes something worth knowing once.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message);
}

/// Writes that something is wrong while work goes on.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message);
}

/// Writes that something failed.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message);
}
