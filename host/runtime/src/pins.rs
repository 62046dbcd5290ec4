//! Locks that were not written by this user's dovetail: the one that a project commits beside its plugins, and the one
//! that an administrator keeps beside those of the whole machine.
//!
//! Nothing in them is authenticated. A project's pins; it grants only where the caller says that a committed lock is
//! trust, as in CI. The machine's grants where nobody but root (or this user) could have written it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use dovetail_core::ids::PluginId;

use crate::lock::{LockEntry, LockError, Scope};
use crate::lock_file;
use crate::private_file;

/// A lock of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    path: PathBuf,
    scope: Scope,
    entries: Vec<LockEntry>,
}

impl Pins {
    /// Reads a project's lock; none where it commits none.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn of_project(root: &Path) -> Result<Option<Self>, LockError> {
        let path = Self::path_in(root);
        let Some(file) = open(&path)? else {
            return Ok(None);
        };
        Self::read(file, path, Scope::Project(root.to_owned())).map(Some)
    }

    /// Reads the lock beside the plugins of the whole machine; none where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read, or others than root and this user could have written it.
    pub fn of_system(plugins: &Path) -> Result<Option<Self>, LockError> {
        let path = Self::path_beside(plugins);
        let Some(file) = open(&path)? else {
            return Ok(None);
        };
        let metadata = file
            .metadata()
            .map_err(|source| failed("read", &path, source))?;
        // SAFETY: `geteuid` has no preconditions and cannot fail.
        let me = unsafe { libc::geteuid() };
        if ![0, me].contains(&metadata.uid()) || metadata.mode() & 0o022 != 0 {
            return Err(LockError::Loose(path));
        }
        Self::read(file, path, Scope::System).map(Some)
    }

    fn read(mut file: File, path: PathBuf, scope: Scope) -> Result<Self, LockError> {
        let mut text = String::new();
        file.read_to_string(&mut text)
            .map_err(|source| failed("read", &path, source))?;
        let sealed = lock_file::read(&text, &path, Some(&scope))?;
        Ok(Self {
            path,
            scope,
            entries: sealed.into_iter().map(|sealed| sealed.entry).collect(),
        })
    }

    /// Where a project keeps its lock.
    pub fn path_in(root: &Path) -> PathBuf {
        root.join(".codex/dovetail/plugins.lock")
    }

    /// The lock beside a directory of plugins.
    pub fn path_beside(plugins: &Path) -> PathBuf {
        plugins.with_file_name("plugins.lock")
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says about a plugin.
    pub fn get(&self, id: &PluginId) -> Option<&LockEntry> {
        self.entries.iter().find(|entry| entry.id == *id)
    }

    /// Everything it says.
    pub fn entries(&self) -> &[LockEntry] {
        &self.entries
    }

    /// Adds an entry to a lock, or replaces the one for the same plugin. `plugins` is the directory of plugins that the
    /// lock stands beside, the entry's scope says whose it is. Secret sources are left out: they are each user's own.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn put(plugins: &Path, entry: &LockEntry) -> Result<(), LockError> {
        Self::change(plugins, &entry.scope, |entries| {
            entries.retain(|other| other.id != entry.id);
            entries.push(LockEntry {
                secrets: BTreeMap::new(),
                ..entry.clone()
            });
        })
    }

    /// Removes the entry of a plugin; nothing happens where there is none.
    ///
    /// # Errors
    /// As [`Pins::put`].
    pub fn remove(plugins: &Path, scope: &Scope, id: &PluginId) -> Result<(), LockError> {
        let path = Self::path_beside(plugins);
        if !path.exists() {
            return Ok(());
        }
        Self::change(plugins, scope, |entries| {
            entries.retain(|entry| entry.id != *id);
        })
    }

    fn change(
        plugins: &Path,
        scope: &Scope,
        change: impl FnOnce(&mut Vec<LockEntry>),
    ) -> Result<(), LockError> {
        let path = Self::path_beside(plugins);
        let _held = hold(plugins).map_err(|source| failed("lock", plugins, source))?;
        let mut entries = match open(&path)? {
            Some(file) => Self::read(file, path.clone(), scope.clone())?.entries,
            None => Vec::new(),
        };
        change(&mut entries);
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        let text = lock_file::render_pins(&entries);
        private_file::replace_public(&path, text.as_bytes())
            .map_err(|source| failed("write", &path, source))
    }
}

/// Keeps other processes from editing the lock beside a directory until the file is dropped. The directory around both
/// is locked, since a lock that is committed should not have a file of locks beside it.
fn hold(plugins: &Path) -> io::Result<File> {
    let around = plugins.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(around)?;
    let dir = File::open(around)?;
    dir.lock()?;
    Ok(dir)
}

fn open(path: &Path) -> Result<Option<File>, LockError> {
    match fs::File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("read", path, source)),
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> LockError {
    LockError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
