//! `plugins.lock`: which plugin files a person has granted what, and where their secrets come from.
//!
//! The user's lock is authenticated entry by entry with [`TrustKey`]. Locks that others wrote are in [`crate::pins`].

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dovetail_core::ids::PluginId;

use crate::capability::{Capabilities, SlotName};
use crate::digest::Sha256;
use crate::lock_file;
use crate::manifest::Limits;
use crate::private_file;
use crate::provenance::{PublicKey, Source};
use crate::toml_reader::Located;
use crate::trust::{KeyPlace, TrustKey, TrustKeyError};

/// Whose plugin an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Part of the host. Has an entry only where the user disabled it.
    Builtin,
    /// Installed for everybody on the machine.
    System,
    /// Installed by the user.
    User,
    /// In the project with that root.
    Project(PathBuf),
}

/// What a person granted one plugin, and for which bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockEntry {
    /// Whose plugin.
    pub scope: Scope,
    /// Which plugin.
    pub id: PluginId,
    /// Its version when it was granted, to show.
    pub version: String,
    /// Its component.
    pub wasm: Sha256,
    /// The digest of what it asked for.
    pub request: Sha256,
    /// Which versions of the contract it works with; none in records of before this was kept.
    pub api: Option<String>,
    /// How far its calls could go; none in records of before this was kept.
    pub limits: Option<Limits>,
    /// The digest of what it was told and where its secrets came from, see [`crate::plugin_settings::digest`]; none in
    /// records of before this was kept.
    pub config: Option<Sha256>,
    /// Where its package came from, where it was installed from one.
    pub source: Option<Source>,
    /// Who signed its package, where somebody did and that was checked.
    pub signer: Option<PublicKey>,
    /// What it was given. May be less than it asked for.
    pub granted: Capabilities,
    /// Where its secrets come from, by slot; a slot that is missing has the default source.
    pub secrets: BTreeMap<SlotName, String>,
    /// When, in RFC 3339.
    pub granted_at: String,
    /// Whether it may run.
    pub enabled: bool,
}

/// An entry with the code that came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) entry: LockEntry,
    pub(crate) mac: String,
}

/// The user's lock.
#[derive(Debug)]
pub struct PluginsLock {
    path: PathBuf,
    key: Option<TrustKey>,
    sealed: Vec<Sealed>,
}

/// What the user's lock says about a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// Nothing.
    Absent,
    /// This, and it was written by this user's dovetail.
    Authentic(&'a LockEntry),
    /// Something that was not.
    Forged,
}

/// Why a lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file cannot be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// `read`, `write` or `lock`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file says who may do what on this machine, and too many could have written it.
    #[error("`{}` is not used: others than root and you can write it; `chown root` it and `chmod 644` it", .0.display())]
    Loose(PathBuf),
    /// The file is not a lock.
    #[error(transparent)]
    Format(#[from] Located),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] TrustKeyError),
}

impl PluginsLock {
    /// The lock's file in the host's own directory (`$CODEX_HOME/dovetail`).
    pub fn path_in(own_dir: &Path) -> PathBuf {
        own_dir.join("plugins.lock")
    }

    /// Reads the user's lock. A file that is not there is an empty lock.
    ///
    /// # Errors
    /// Where the file or the key cannot be read.
    pub fn load(own_dir: &Path) -> Result<Self, LockError> {
        let key = TrustKey::load(&key_path(own_dir))?;
        Self::read(own_dir, key)
    }

    fn read(own_dir: &Path, key: Option<TrustKey>) -> Result<Self, LockError> {
        let path = Self::path_in(own_dir);
        let sealed = match fs::read_to_string(&path) {
            Ok(text) => lock_file::read(&text, &path, None)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => {
                return Err(LockError::Io {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        Ok(Self { path, key, sealed })
    }

    /// What it says about a plugin.
    pub fn get(&self, scope: &Scope, id: &PluginId) -> Record<'_> {
        let found = self
            .sealed
            .iter()
            .find(|sealed| sealed.entry.scope == *scope && sealed.entry.id == *id);
        let Some(sealed) = found else {
            return Record::Absent;
        };
        match self.is_authentic(sealed) {
            true => Record::Authentic(&sealed.entry),
            false => Record::Forged,
        }
    }

    /// Every entry, and whether it was written by this user's dovetail, in the order of the file.
    pub fn records(&self) -> impl Iterator<Item = (&LockEntry, bool)> {
        self.sealed
            .iter()
            .map(|sealed| (&sealed.entry, self.is_authentic(sealed)))
    }

    /// Leaves out the entries of other scopes, in memory only.
    pub(crate) fn keep(&mut self, scope: impl Fn(&Scope) -> bool) {
        self.sealed.retain(|sealed| scope(&sealed.entry.scope));
    }

    fn is_authentic(&self, sealed: &Sealed) -> bool {
        let record = lock_file::canonical(&sealed.entry);
        let key = self.key.as_ref();
        key.is_some_and(|key| key.verify(&record, &sealed.mac))
    }

    /// Adds an entry, or replaces the one for the same plugin.
    ///
    /// # Errors
    /// Where the file or the key cannot be read or written; nothing is changed then.
    pub fn put(own_dir: &Path, entry: LockEntry) -> Result<(), LockError> {
        Self::put_all(own_dir, vec![entry])
    }

    /// The same for several entries in one step: all of them, or none.
    ///
    /// # Errors
    /// As [`PluginsLock::put`].
    pub fn put_all(own_dir: &Path, entries: Vec<LockEntry>) -> Result<(), LockError> {
        let _guard = hold(own_dir)?;
        let key = TrustKey::load_or_make(&key_path(own_dir))?;
        let sealed: Vec<Sealed> = entries
            .into_iter()
            .map(|entry| Sealed {
                mac: key.sign(&lock_file::canonical(&entry)),
                entry,
            })
            .collect();
        let mut lock = Self::read(own_dir, Some(key))?;
        for new in sealed {
            lock.sealed
                .retain(|old| old.entry.scope != new.entry.scope || old.entry.id != new.entry.id);
            // Other entries keep the code they came with: nothing is authenticated by standing next to a grant.
            lock.sealed.push(new);
        }
        lock.write()
    }

    /// The file of the key that authenticates entries, or that says where the key is.
    pub fn key_path_in(own_dir: &Path) -> PathBuf {
        key_path(own_dir)
    }

    /// Where the key is that authenticates entries; none where there is no key yet.
    ///
    /// # Errors
    /// Where its file cannot be read.
    pub fn key_place(own_dir: &Path) -> Result<Option<KeyPlace>, LockError> {
        Ok(TrustKey::place(&key_path(own_dir))?)
    }

    /// Moves that key, which is made where there is none. All entries stay as authentic as they were.
    ///
    /// # Errors
    /// Where the key cannot be read or moved; it is then where it was.
    pub fn keep_key_in(own_dir: &Path, place: KeyPlace) -> Result<(), LockError> {
        let _guard = hold(own_dir)?;
        Ok(TrustKey::keep_in(&key_path(own_dir), place)?)
    }

    /// Removes the entry of a plugin, and says whether there was one.
    ///
    /// # Errors
    /// As [`PluginsLock::put`].
    pub fn remove(own_dir: &Path, scope: &Scope, id: &PluginId) -> Result<bool, LockError> {
        let _guard = hold(own_dir)?;
        let mut lock = Self::read(own_dir, None)?;
        let before = lock.sealed.len();
        lock.sealed
            .retain(|sealed| sealed.entry.scope != *scope || sealed.entry.id != *id);
        if lock.sealed.len() == before {
            return Ok(false);
        }
        lock.write()?;
        Ok(true)
    }

    fn write(&mut self) -> Result<(), LockError> {
        self.sealed
            .sort_by(|a, b| (&a.entry.scope, &a.entry.id).cmp(&(&b.entry.scope, &b.entry.id)));
        let text = lock_file::render(&self.sealed);
        private_file::replace(&self.path, text.as_bytes()).map_err(|source| LockError::Io {
            action: "write",
            path: self.path.clone(),
            source,
        })
    }
}

fn key_path(own_dir: &Path) -> PathBuf {
    own_dir.join("lock.key")
}

/// Keeps other processes from editing the lock until the file is dropped.
fn hold(own_dir: &Path) -> Result<fs::File, LockError> {
    let path = own_dir.join("plugins.lock.guard");
    let held = private_file::open_lock(&path).and_then(|file| file.lock().map(|()| file));
    held.map_err(|source| LockError::Io {
        action: "lock",
        path,
        source,
    })
}

#[cfg(test)]
mod tests;
