//! What happens to plugins, for sinks and for people.

use std::time::SystemTime;

use crate::ids::PluginId;

/// Something that happened to a plugin, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginNews {
    /// When.
    pub time: SystemTime,
    /// The plugin's id, or the name of a folder that holds no usable plugin.
    pub plugin: String,
    /// What.
    pub event: PluginEvent,
}

/// What can happen to a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginEvent {
    /// It was loaded and may be called.
    Loaded {
        /// Its own version.
        version: String,
        /// Whose it is: `built-in`, `system`, `user`, `project`.
        source: &'static str,
        /// The digest of its component, in hex.
        sha256: String,
    },
    /// It may not run, or could not be loaded.
    Refused {
        /// One sentence, as the user saw it.
        why: String,
    },
    /// It asked for something that its grant does not list. Each different refusal is told once a session.
    Denied {
        /// One sentence, as the plugin saw it.
        what: String,
    },
    /// It broke in a call.
    Broke {
        /// One sentence, as the user saw it.
        why: String,
    },
    /// It broke too often and is not called any more.
    Quarantined {
        /// How often it broke within the window.
        faults: u32,
        /// How it broke last.
        why: String,
    },
    /// It is called again after quarantine.
    Released,
    /// Another file took its place while the session went on.
    Reloaded {
        /// The new file's version.
        version: String,
        /// The digest of its component, in hex.
        sha256: String,
        /// The how-manieth component of that id this is in the session.
        generation: u64,
    },
    /// Another file could not take its place; what ran before goes on.
    ReloadFailed {
        /// One sentence.
        why: String,
    },
    /// A call found that it is not what was accepted any more: it gets nothing from then on.
    Changed {
        /// One sentence, as the caller saw it.
        why: String,
    },
    /// It was running and may not run any more.
    Stopped {
        /// One sentence.
        why: String,
    },
}

impl PluginNews {
    /// News of this moment.
    pub fn now(plugin: &PluginId, event: PluginEvent) -> Self {
        Self {
            time: SystemTime::now(),
            plugin: plugin.to_string(),
            event,
        }
    }
}
