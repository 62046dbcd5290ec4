//! Whether a plugin may run, and the sentence that says why not.

use dovetail_core::ids::PluginId;

use crate::capability::Capabilities;
use crate::digest::Sha256;
use crate::discovery::Found;
use crate::grant::Grant;
use crate::lock::{LockEntry, PluginsLock, Record, Scope};
use crate::native;
use crate::native::mark::Ending;
use crate::pins::Pins;

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
        /// Which of its limits are further than before, in words.
        limits: Option<String>,
    },
    /// It would be told something else than when it was granted.
    Reconfigured {
        /// The digest of what it was told.
        old: Sha256,
        /// The digest of what it would be told now.
        new: Sha256,
    },
    /// An administrator's list of plugins does not have it.
    NotAllowed {
        /// Where the list is.
        place: String,
    },
    /// It is native code, and the user allows none.
    NativeOff,
    /// It is native code, and took the host with it.
    Crashed(Box<Ending>),
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

/// What a plugin is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The user's lock.
    pub lock: &'a PluginsLock,
    /// The lock beside the plugin, where its scope has one: the project's or the machine's.
    pub pins: Option<&'a Pins>,
    /// The digest of what the plugin would be told.
    pub config: Sha256,
    /// Whether a project's lock is as good as a grant.
    pub lock_is_trust: bool,
}

impl State {
    /// Judges an installed plugin.
    pub fn of(found: &Found, evidence: &Evidence<'_>) -> Self {
        let entry = match evidence.lock.get(&found.scope, &found.manifest.id) {
            Record::Absent => return Self::without_record(found, evidence),
            Record::Forged => return Self::Forged,
            Record::Authentic(entry) => entry,
        };
        if !entry.enabled {
            return Self::Disabled;
        }
        if let Some(refused) = Self::compare(found, entry, evidence.config) {
            return refused;
        }
        let grant = Grant::intersect(&found.manifest.request, &entry.granted);
        match (&found.scope, evidence.pins) {
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

    /// Judges a plugin that this user never decided about: somebody who may decide for them can have done so.
    fn without_record(found: &Found, evidence: &Evidence<'_>) -> Self {
        let speaks = match found.scope {
            Scope::System => evidence.pins.is_some(),
            Scope::Project(_) => evidence.lock_is_trust,
            Scope::Builtin | Scope::User => false,
        };
        let not_granted = || Self::NotGranted {
            asks: Box::new(found.manifest.request.clone()),
        };
        if !speaks {
            return not_granted();
        }
        let pin = evidence.pins.and_then(|pins| pins.get(&found.manifest.id));
        match (pin, &found.scope) {
            (Some(pin), _) => Self::compare(found, pin, evidence.config).unwrap_or_else(|| {
                Self::Ready(Grant::intersect(&found.manifest.request, &pin.granted))
            }),
            (None, Scope::Project(_)) => Self::Unpinned { listed: false },
            (None, _) => not_granted(),
        }
    }

    fn compare(found: &Found, entry: &LockEntry, config: Sha256) -> Option<Self> {
        if entry.wasm != found.wasm.sha256 {
            return Some(Self::Changed {
                old: entry.wasm,
                new: found.wasm.sha256,
            });
        }
        let limits = entry
            .limits
            .and_then(|limits| found.manifest.limits.beyond(&limits));
        let what = match entry.request == found.manifest.request_digest() {
            true => Capabilities::default(),
            false => found.manifest.request.beyond(&entry.granted),
        };
        if limits.is_some() || !what.is_empty() {
            let what = Box::new(what);
            return Some(Self::Wider { what, limits });
        }
        match entry.config {
            Some(old) if old != config => Some(Self::Reconfigured { old, new: config }),
            Some(_) | None => None,
        }
    }

    /// What a project's lock leaves of a grant.
    fn pinned(found: &Found, grant: &Grant, pins: &Pins) -> Self {
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
            Self::Reconfigured { .. } => "reconfigured",
            Self::NotAllowed { .. } => "not allowed",
            Self::NativeOff => "not allowed",
            Self::Crashed(_) => "crashed",
            Self::Disabled => "disabled",
            Self::Forged => "not authentic",
            Self::Unpinned { .. } => "not pinned",
        }
    }

    /// Why the plugin does not run; none where it may.
    pub fn refusal(&self, id: &PluginId) -> Option<Refusal> {
        let grant = format!("dovetail plugin grant {id}    shows what it asks for, and asks");
        let review = format!("dovetail trust review {id}    shows the difference, and asks");
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
                review,
            ),
            Self::Wider { what, limits } => {
                let what = (!what.is_empty()).then(|| what.to_string());
                let all: Vec<String> = what.into_iter().chain(limits.clone()).collect();
                (
                    format!(
                        "plugin `{id}` now asks for more than was granted: {}",
                        all.join(", ")
                    ),
                    review,
                )
            }
            Self::Reconfigured { old, new } => (
                format!(
                    "the configuration of plugin `{id}` changed since it was granted (sha256 {} → {}): `[dovetail.plugins.{id}]`",
                    old.short(),
                    new.short()
                ),
                review,
            ),
            Self::NotAllowed { place } => (
                format!(
                    "plugin `{id}` is not among the plugins that may be used here, by signer, digest or source: {place}"
                ),
                format!("ask whoever manages that list, or remove it: dovetail plugin remove {id}"),
            ),
            Self::NativeOff => (
                format!(
                    "plugin `{id}` is native code, which runs without a sandbox, and native plugins are not allowed"
                ),
                native::ALLOW_HINT.to_owned(),
            ),
            Self::Crashed(ending) => (
                format!(
                    "plugin `{id}` crashed in `{}` and took dovetail with it (process {}, {}); it is native code and not \
                     loaded again before you say so",
                    ending.call,
                    ending.process,
                    ending.signal_name()
                ),
                format!("dovetail plugin enable {id}    or install another version"),
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
                        "dovetail trust review {id} --write-lock    shows the difference, and rewrites that file"
                    ),
                )
            }
        };
        Some(Refusal { sentence, hint })
    }
}

#[cfg(test)]
mod tests;
