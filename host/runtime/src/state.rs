//! Whether a plugin may run, and the sentence that says why not.

use dovetail_core::ids::PluginId;

use crate::capability::Capabilities;
use crate::digest::Sha256;
use crate::discovery::Found;
use crate::grant::Grant;
use crate::lock::{LockEntry, PluginsLock, ProjectPins, Record, Scope};

/// What the trust records say about a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It may run with this grant.
    Ready(Grant),
    /// Nobody granted it anything.
    NotGranted {
        /// What it asks for.
        asks: Box<Capabilities>,
    },
    /// Its component is not the one that was granted.
    Changed {
        /// What was granted.
        old: Sha256,
        /// What is there.
        new: Sha256,
    },
    /// It asks for more than when it was granted.
    Wider {
        /// What is new.
        what: Box<Capabilities>,
    },
    /// The user turned it off.
    Disabled,
    /// Its record was not written by this user's dovetail.
    Forged,
    /// The project's own lock does not know it as it is.
    Unpinned {
        /// Whether the lock has it at all.
        listed: bool,
    },
}

/// Why a plugin does not run, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Who and what, without a full stop.
    pub sentence: String,
    /// The command that changes it.
    pub hint: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\nhint: {}", self.sentence, self.hint)
    }
}

impl State {
    /// Judges an installed plugin by the user's lock, and by the project's where it is the project's.
    pub fn of(found: &Found, lock: &PluginsLock, pins: Option<&ProjectPins>) -> Self {
        let id = &found.manifest.id;
        let entry = match lock.get(&found.scope, id) {
            Record::Absent => {
                return Self::NotGranted {
                    asks: Box::new(found.manifest.request.clone()),
                };
            }
            Record::Forged => return Self::Forged,
            Record::Authentic(entry) => entry,
        };
        if !entry.enabled {
            return Self::Disabled;
        }
        if let Some(refused) = Self::compare(found, entry) {
            return refused;
        }
        let grant = Grant::intersect(&found.manifest.request, &entry.granted);
        match (&found.scope, pins) {
            (Scope::Project(_), Some(pins)) => Self::pinned(found, &grant, pins),
            _ => Self::Ready(grant),
        }
    }

    /// Judges a plugin that is part of the host: it runs with what the caller gives it unless the user turned it off.
    pub fn of_builtin(id: &PluginId, given: Capabilities, lock: &PluginsLock) -> Self {
        match lock.get(&Scope::Builtin, id) {
            Record::Authentic(entry) if !entry.enabled => Self::Disabled,
            // A record that is not the user's must not turn off a guard either.
            Record::Authentic(_) | Record::Absent | Record::Forged => {
                Self::Ready(Grant::builtin(given))
            }
        }
    }

    fn compare(found: &Found, entry: &LockEntry) -> Option<Self> {
        if entry.wasm != found.wasm.sha256 {
            return Some(Self::Changed {
                old: entry.wasm,
                new: found.wasm.sha256,
            });
        }
        if entry.request == found.manifest.request_digest() {
            return None;
        }
        let what = found.manifest.request.beyond(&entry.granted);
        (!what.is_empty()).then(|| Self::Wider {
            what: Box::new(what),
        })
    }

    /// What a project's lock leaves of a grant.
    fn pinned(found: &Found, grant: &Grant, pins: &ProjectPins) -> Self {
        match pins.get(&found.manifest.id) {
            Some(pin)
                if pin.wasm == found.wasm.sha256
                    && pin.request == found.manifest.request_digest() =>
            {
                Self::Ready(Grant::intersect(grant.capabilities(), &pin.granted))
            }
            pin => Self::Unpinned {
                listed: pin.is_some(),
            },
        }
    }

    /// A word for lists.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ready(_) => "ready",
            Self::NotGranted { .. } => "not granted",
            Self::Changed { .. } => "changed",
            Self::Wider { .. } => "wants more",
            Self::Disabled => "disabled",
            Self::Forged => "not authentic",
            Self::Unpinned { .. } => "not pinned",
        }
    }

    /// Why the plugin does not run; none where it may.
    pub fn refusal(&self, id: &PluginId) -> Option<Refusal> {
        let grant = format!("dovetail plugin grant {id}    shows what it asks for, and asks");
        let (sentence, hint) = match self {
            Self::Ready(_) => return None,
            Self::NotGranted { asks } if asks.is_empty() => (
                format!(
                    "plugin `{id}` is installed but nobody has granted it; it asks for nothing"
                ),
                grant,
            ),
            Self::NotGranted { asks } => (
                format!("plugin `{id}` is installed but nobody has granted it; it asks for {asks}"),
                grant,
            ),
            Self::Changed { old, new } => (
                format!(
                    "plugin `{id}` changed since it was granted (sha256 {} → {})",
                    old.short(),
                    new.short()
                ),
                grant,
            ),
            Self::Wider { what } => (
                format!("plugin `{id}` now asks for more than was granted: {what}"),
                grant,
            ),
            Self::Disabled => (
                format!("plugin `{id}` is disabled"),
                format!("dovetail plugin enable {id}"),
            ),
            Self::Forged => (
                format!(
                    "plugin `{id}` has a record in plugins.lock that was not written by your dovetail"
                ),
                grant,
            ),
            Self::Unpinned { listed } => {
                let why = if *listed {
                    "is not as reviewed in"
                } else {
                    "is not listed in"
                };
                (
                    format!("plugin `{id}` {why} .codex/dovetail/plugins.lock of this project"),
                    format!(
                        "dovetail plugin grant {id} --project    reviews it and rewrites that file"
                    ),
                )
            }
        };
        Some(Refusal { sentence, hint })
    }
}

#[cfg(test)]
mod tests;
