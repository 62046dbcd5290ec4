//! What is known about plugins beyond one process: what they did, and how they broke lately.
//!
//! `$CODEX_HOME/dovetail/state/` holds two small files per plugin, `<id>@<whose>.activity.json` and
//! `<id>@<whose>.faults.json`. The first is written when a session pauses or ends, the second when a plugin breaks;
//! nothing is written, and nobody waits for a lock, while calls go well. Losing a file loses numbers and nothing else.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dovetail_core::ids::PluginId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Sha256;
use crate::discovery::Found;
use crate::health::FaultRecord;
use crate::lock::Scope;
use crate::manifest::{Kind, Manifest};
use crate::private_file;
use crate::stats::{Stats, Tally};

/// Ours have a few kilobytes; what is larger is not ours.
const MOST_BYTES: u64 = 64 << 10;

/// How often another process's hold on the lock is waited out, and how long each time. It holds it for one write.
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// The records of all plugins.
#[derive(Debug, Clone)]
pub struct Ledger {
    dir: PathBuf,
}

/// Which plugin a record is about, and in which form: a changed file or configuration starts with a clean record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    name: String,
    component: Sha256,
    form: Sha256,
}

/// What a plugin did, over all sessions, since its component last changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The how-manieth component under this id it is that was called.
    pub generation: u64,
    /// When it was last called, in milliseconds since 1970.
    pub last_unix_ms: u64,
    /// Its calls.
    pub stats: Stats,
}

/// How a plugin broke lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// How often it broke within the window, when it last did.
    pub recent: u32,
    /// When it last broke, in milliseconds since 1970.
    pub last_unix_ms: u64,
    /// How, in one sentence.
    pub last: String,
    /// Whether it is not called any more.
    pub quarantined: bool,
}

#[derive(Serialize, Deserialize)]
struct ActivityFile {
    component: String,
    generation: u64,
    last_unix_ms: u64,
    calls: u64,
    faults: u64,
    denied: u64,
    most_memory: u64,
    durations: Vec<(usize, u64)>,
}

#[derive(Serialize, Deserialize)]
struct FaultsFile {
    form: String,
    #[serde(flatten)]
    record: FaultRecord,
}

impl Subject {
    /// Names a plugin with the configuration it is given.
    pub fn of(found: &Found, config: &Value) -> Self {
        Self::new(&found.scope, &found.manifest, found.wasm.sha256, config)
    }

    pub(crate) fn new(
        scope: &Scope,
        manifest: &Manifest,
        component: Sha256,
        config: &Value,
    ) -> Self {
        let deadlines = Kind::ALL.map(|kind| manifest.limits.deadline(kind).as_millis());
        let form = format!(
            "{component} {} {} {deadlines:?} {} {config}",
            manifest.request_digest(),
            manifest.limits.memory_bytes,
            manifest.limits.output_bytes
        );
        Self {
            name: name(&manifest.id, scope),
            component,
            form: Sha256::of(form.as_bytes()),
        }
    }
}

/// Ids hold no `@`, so no two plugins share a name.
fn name(id: &PluginId, scope: &Scope) -> String {
    match scope {
        Scope::Builtin | Scope::System | Scope::User => format!("{id}@{}", scope.name()),
        Scope::Project(root) => {
            let digest = Sha256::of(root.as_os_str().as_encoded_bytes()).to_string();
            format!("{id}@project-{}", &digest[..12])
        }
    }
}

impl Ledger {
    /// The records in the host's own directory (`$CODEX_HOME/dovetail`). Touches nothing yet.
    pub fn new(own_dir: &Path) -> Self {
        Self {
            dir: own_dir.join("state"),
        }
    }

    /// The file whose renewal asks running sessions to load their plugins again.
    pub(crate) fn reload_file(own_dir: &Path) -> PathBuf {
        own_dir.join("state/reload")
    }

    /// What a plugin did; none where this component was never called.
    pub fn activity(&self, subject: &Subject) -> Option<Activity> {
        let file: ActivityFile = read(&self.path(subject, "activity"))?;
        (file.component == subject.component.to_string()).then(|| Activity {
            generation: file.generation,
            last_unix_ms: file.last_unix_ms,
            stats: file.tally().stats(),
        })
    }

    /// How a plugin broke; none where it did not in this form.
    pub fn faults(&self, subject: &Subject) -> Option<Faults> {
        let record = self.fault_record(subject)?;
        Some(Faults {
            recent: record.recent(),
            last_unix_ms: record.last_time(),
            last: record.last_words().to_owned(),
            quarantined: record.quarantined().is_some(),
        })
    }

    /// Forgets how a plugin broke, so that it is called again. Returns whether there was anything to forget.
    ///
    /// # Errors
    /// Where the record cannot be removed.
    pub fn forgive(&self, subject: &Subject) -> io::Result<bool> {
        match fs::remove_file(self.path(subject, "faults")) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether there is a record of faults, of whatever form.
    pub(crate) fn has_faults(&self, subject: &Subject) -> bool {
        self.path(subject, "faults").exists()
    }

    pub(crate) fn fault_record(&self, subject: &Subject) -> Option<FaultRecord> {
        let file: FaultsFile = read(&self.path(subject, "faults"))?;
        (file.form == subject.form.to_string()).then_some(file.record)
    }

    /// Changes the record of a plugin's faults, together with what other processes noted.
    pub(crate) fn note_faults(
        &self,
        subject: &Subject,
        change: impl FnOnce(&mut FaultRecord),
    ) -> io::Result<FaultRecord> {
        let _held = self.lock()?;
        let mut record = self.fault_record(subject).unwrap_or_default();
        change(&mut record);
        let form = subject.form.to_string();
        let file = FaultsFile {
            form,
            record: record.clone(),
        };
        write(&self.path(subject, "faults"), &file)?;
        Ok(record)
    }

    /// Adds what a plugin did.
    pub(crate) fn note_activity(
        &self,
        subject: &Subject,
        more: &Tally,
        now_unix_ms: u64,
    ) -> io::Result<()> {
        let _held = self.lock()?;
        let path = self.path(subject, "activity");
        let component = subject.component.to_string();
        let earlier: Option<ActivityFile> = read(&path);
        let (mut tally, generation) = match earlier {
            Some(file) if file.component == component => (file.tally(), file.generation),
            Some(file) => (Tally::default(), file.generation.saturating_add(1)),
            None => (Tally::default(), 1),
        };
        tally.add(more);
        write(
            &path,
            &ActivityFile::new(component, generation, now_unix_ms, tally),
        )
    }

    fn path(&self, subject: &Subject, what: &str) -> PathBuf {
        self.dir.join(format!("{}.{what}.json", subject.name))
    }

    fn lock(&self) -> io::Result<File> {
        let file = private_file::open_lock(&self.dir.join("lock"))?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::WouldBlock,
            "another process holds the lock",
        ))
    }
}

impl ActivityFile {
    fn new(component: String, generation: u64, last_unix_ms: u64, tally: Tally) -> Self {
        Self {
            component,
            generation,
            last_unix_ms,
            calls: tally.calls,
            faults: tally.faults,
            denied: tally.denied,
            most_memory: tally.most_memory,
            durations: tally.durations.into_iter().collect(),
        }
    }

    fn tally(&self) -> Tally {
        Tally {
            calls: self.calls,
            faults: self.faults,
            denied: self.denied,
            most_memory: self.most_memory,
            durations: self.durations.iter().copied().collect(),
        }
    }
}

/// What a file holds; none where it is not there or not ours.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let mut text = String::new();
    // A record that cannot be read is no record: it holds nothing that anybody could not do without.
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text));
    read.ok()?;
    serde_json::from_str(&text).ok()
}

/// Replaces a file in one step. Not made durable: after a power cut the numbers start anew.
fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let temporary = private_file::temporary_beside(path);
    let bytes = serde_json::to_vec(value)?;
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The write has failed already; a temporary file left behind is harmless.
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
#[path = "ledger/tests.rs"]
mod tests;
