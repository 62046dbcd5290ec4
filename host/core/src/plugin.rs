//! The ports that plugins fill: provider, hooks, tools and sink, in the host's own vocabulary.
//!
//! `host/runtime` implements them with components and native libraries; nothing here knows which.

mod account;
mod app;
mod event;
mod hook;
mod provider;
mod sink;
mod tools;
mod wire;

use std::time::Duration;

pub use self::account::*;
pub use self::app::*;
pub use self::event::*;
pub use self::hook::*;
pub use self::provider::*;
pub use self::sink::*;
pub use self::tools::*;
pub use self::wire::*;
use crate::ids::PluginId;

/// A plugin's typed refusal: the guest is well, the answer is no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// The grant does not list what was asked for.
    #[error("denied: {0}")]
    Denied(String),
    /// The same call may succeed later.
    #[error("{reason}")]
    Retryable {
        /// One sentence for the user.
        reason: String,
        /// How long to wait, where the plugin knows.
        after: Option<Duration>,
    },
    /// The input was wrong; repeating it will not help.
    #[error("{0}")]
    Invalid(String),
    /// Something this depends on is missing.
    #[error("{0}")]
    Unavailable(String),
    /// None of these.
    #[error("{0}")]
    Other(String),
    /// The guest broke: its instance is gone and the next call gets a new one.
    #[error(transparent)]
    Fault(#[from] PluginFault),
}

/// How a guest broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginFault {
    /// It trapped: a panic, an unreachable, an access out of bounds.
    #[error("plugin `{plugin}` trapped in `{call}`: {detail}")]
    Trap {
        /// Which plugin.
        plugin: PluginId,
        /// The exported function.
        call: &'static str,
        /// The last words on its standard error, or the kind of trap.
        detail: String,
    },
    /// It did not answer in time.
    #[error("plugin `{plugin}` did not answer `{call}` within {} ms", limit.as_millis())]
    Deadline {
        /// Which plugin.
        plugin: PluginId,
        /// The exported function.
        call: &'static str,
        /// The limit it passed.
        limit: Duration,
    },
    /// It asked for more memory, or gave more output, than its limits allow.
    #[error("plugin `{plugin}` passed its limit of {limit} in `{call}`")]
    Limit {
        /// Which plugin.
        plugin: PluginId,
        /// The exported function.
        call: &'static str,
        /// The limit in words, such as `64 MiB of memory`.
        limit: String,
    },
    /// Too many faults in a short time: it is not called any more.
    #[error("plugin `{plugin}` is quarantined after {faults} fault{}", if *faults == 1 { "" } else { "s" })]
    Quarantined {
        /// Which plugin.
        plugin: PluginId,
        /// How many faults led to it.
        faults: u32,
    },
    /// It is not what was accepted any more: it is not called in this session.
    #[error("plugin `{plugin}` was stopped: {why}; to look at it: dovetail trust review {plugin}")]
    Drifted {
        /// Which plugin.
        plugin: PluginId,
        /// What changed, in one sentence.
        why: String,
    },
    /// It could not be loaded at all, and says so each time it is needed.
    #[error("plugin `{plugin}` is not running: {why}")]
    NotLoaded {
        /// Which plugin.
        plugin: PluginId,
        /// The load failure in one sentence.
        why: String,
    },
}
