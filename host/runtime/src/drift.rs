//! Notices that a running plugin is not what was accepted any more: its files changed, or its grant did.
//!
//! Before a call the files are looked at from outside, which costs about a microsecond each and at most once a
//! millisecond; only what looks different is read again. The bytes that run are those that were checked, whatever
//! happens to the files: this is so that nobody goes on with what was taken back or tampered with.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use dovetail_core::ids::PluginId;

use crate::capability::Capabilities;
use crate::digest::Sha256;
use crate::discovery::Found;
use crate::lock::{LockEntry, PluginsLock, Record, Scope};
use crate::native;
use crate::pins::Pins;
use crate::plugin_dir;
use crate::stamp::Stamped;

/// Between two looks, in microseconds.
const PAUSE: u64 = 1000;

/// The trust records that a plugin was judged by.
#[derive(Debug, Clone)]
pub struct Records {
    /// `$CODEX_HOME/dovetail`.
    pub(crate) own_dir: PathBuf,
    /// Whether this user's lock has an entry for it.
    pub(crate) accepted: bool,
    /// The lock beside its directory, where that counts.
    pub(crate) pins: Option<Pins>,
    /// The files, with the marks they had before they were read.
    pub(crate) files: Vec<Stamped>,
}

/// What a running plugin is held against.
pub(crate) struct Watch {
    id: PluginId,
    scope: Scope,
    dir: PathBuf,
    wasm: Sha256,
    manifest: Sha256,
    granted: Capabilities,
    records: Records,
    began: Instant,
    looked: AtomicU64,
    state: Mutex<State>,
}

struct State {
    files: Vec<Stamped>,
    records: Vec<Stamped>,
    drift: Option<String>,
}

impl Watch {
    /// Holds a plugin against what was found; none for one that has no files, or that nobody decided about.
    pub(crate) fn of(
        found: &Found,
        granted: &Capabilities,
        records: Option<&Records>,
    ) -> Option<Self> {
        let records = records?.clone();
        let state = State {
            files: found.files.clone(),
            records: records.files.clone(),
            drift: None,
        };
        Some(Self {
            id: found.manifest.id.clone(),
            scope: found.scope.clone(),
            dir: found.dir.clone()?,
            wasm: found.wasm.sha256,
            manifest: found.manifest.sha256,
            granted: granted.clone(),
            records,
            began: Instant::now(),
            looked: AtomicU64::new(0),
            state: Mutex::new(state),
        })
    }

    /// Why the plugin must not be called any more; none while it is what was accepted. Says with it whether that was
    /// found out just now.
    pub(crate) fn look(&self) -> Option<(String, bool)> {
        let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(drift) = &state.drift {
            return Some((drift.clone(), false));
        }
        if now.saturating_sub(self.looked.load(Ordering::Relaxed)) < PAUSE {
            return None;
        }
        self.looked.store(now, Ordering::Relaxed);
        let drift = self.files(&mut state).or_else(|| self.grant(&mut state))?;
        state.drift = Some(drift.clone());
        Some((drift, true))
    }

    /// How it drifted, as far as was found out.
    pub(crate) fn drift(&self) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.drift.clone()
    }

    fn files(&self, state: &mut State) -> Option<String> {
        if !state.files.iter().any(Stamped::may_have_changed) {
            return None;
        }
        let now = match plugin_dir::read(&self.dir, &self.scope) {
            Ok(found) => found,
            Err(error) => return Some(format!("its files cannot be read any more: {error}")),
        };
        if now.wasm.sha256 != self.wasm {
            let (what, then) = match now.manifest.native {
                true => ("library", format!("; {}", native::NOT_REPLACED)),
                false => ("component", String::new()),
            };
            return Some(format!(
                "its {what} changed while it ran (sha256 {} → {}){then}",
                self.wasm.short(),
                now.wasm.sha256.short()
            ));
        }
        if now.manifest.sha256 != self.manifest {
            return Some("its plugin.toml changed while it ran".to_owned());
        }
        // Somebody wrote the same bytes again.
        state.files = now.files;
        None
    }

    fn grant(&self, state: &mut State) -> Option<String> {
        if !state.records.iter().any(Stamped::may_have_changed) {
            return None;
        }
        let marks: Vec<Stamped> = state
            .records
            .iter()
            .map(|file| Stamped::now(file.path()))
            .collect();
        let drift = self.own_record().or_else(|| self.pin());
        if drift.is_none() {
            state.records = marks;
        }
        drift
    }

    fn own_record(&self) -> Option<String> {
        let lock = match PluginsLock::load(&self.records.own_dir) {
            Ok(lock) => lock,
            Err(error) => return Some(format!("its grant cannot be read any more: {error}")),
        };
        match (lock.get(&self.scope, &self.id), self.records.accepted) {
            (Record::Authentic(entry), _) => self.judge(entry),
            (Record::Forged, _) => Some(
                "its record in plugins.lock was replaced by one that your dovetail did not write"
                    .to_owned(),
            ),
            (Record::Absent, true) => Some("its grant was taken back".to_owned()),
            (Record::Absent, false) => None,
        }
    }

    fn pin(&self) -> Option<String> {
        self.records.pins.as_ref()?;
        let pins = match &self.scope {
            Scope::Project(root) => Pins::of_project(root),
            Scope::System => self.dir.parent().map_or(Ok(None), Pins::of_system),
            Scope::Builtin | Scope::User => return None,
        };
        match pins {
            Err(error) => Some(format!("its lock cannot be read any more: {error}")),
            Ok(pins) => match pins.as_ref().and_then(|pins| pins.get(&self.id)) {
                Some(entry) => self.judge(entry),
                None => Some("it was taken out of its lock while it ran".to_owned()),
            },
        }
    }

    fn judge(&self, entry: &LockEntry) -> Option<String> {
        if !entry.enabled {
            return Some("it was disabled".to_owned());
        }
        if entry.wasm != self.wasm {
            return Some("another component was accepted in its place".to_owned());
        }
        let beyond = self.granted.beyond(&entry.granted);
        (!beyond.is_empty()).then(|| format!("it is not granted any more: {beyond}"))
    }
}
