//! For plugins that own a credential: reading it, replacing it, and making sure that only one process refreshes it.

mod in_keyring;

use std::fs::{self, File, TryLockError};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::PluginError;
use zeroize::Zeroizing;

use self::in_keyring::InKeyring;
use crate::digest::Sha256;
use crate::grant::Grant;
use crate::private_file;
use crate::secret_source::{KeyringLogin, LoginStore, SecretSource};
use crate::secrets::{SecretError, Secrets, read_private, read_whole};

/// Values are tokens and small JSON documents.
const MOST_VALUE_BYTES: usize = 64 << 10;
/// How often a lock that somebody holds is tried again: often enough not to be felt beside a token request.
const RETRY: Duration = Duration::from_millis(25);

/// A credential with the generation it was read at.
pub struct Versioned {
    /// The value.
    pub value: Zeroizing<Vec<u8>>,
    /// Changes with every update, by any process.
    pub generation: u64,
}

impl std::fmt::Debug for Versioned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Versioned(…, generation {})", self.generation)
    }
}

/// A lock that no other process holds. Dropping it, or the end of the process, lets the next one in.
#[derive(Debug)]
pub struct HeldLock(#[expect(dead_code, reason = "held for its effect")] File);

/// The credentials that plugins own.
#[derive(Clone)]
pub struct Credentials {
    secrets: Arc<Secrets>,
    locks: PathBuf,
    /// What is kept in this process alone.
    memory: Arc<Mutex<InMemory>>,
}

/// A value that no file has.
#[derive(Default)]
struct InMemory {
    value: Zeroizing<Vec<u8>>,
    generation: u64,
}

/// Where an owned slot's value is.
enum Place {
    /// In a file. One that others can read is refused unless it may be shared.
    File { path: PathBuf, may_be_shared: bool },
    /// In the desktop's keyring.
    Keyring(KeyringLogin),
    /// In this process.
    Memory,
    /// Somewhere that can only be read, such as a variable.
    Elsewhere,
}

impl Credentials {
    /// Uses `locks` as the directory for lock files, made when it is first needed.
    pub fn new(secrets: Arc<Secrets>, locks: PathBuf) -> Self {
        Self {
            secrets,
            locks,
            memory: Arc::default(),
        }
    }

    /// Reads a slot's value. One that is not in a private file has a generation of its value alone, and cannot be
    /// replaced.
    ///
    /// # Errors
    /// `Denied` for a slot that the plugin does not own, `Unavailable` for an empty one or one of which there is nothing
    /// to own, `Other` where it cannot be read.
    pub async fn reveal(
        &self,
        plugin: &PluginId,
        grant: &Grant,
        slot: &str,
    ) -> Result<Versioned, PluginError> {
        let place = self.owned(plugin, grant, slot)?;
        if let Place::Keyring(login) = place {
            return self.in_keyring(slot, login).reveal().await;
        }
        let (this, plugin, slot) = (self.clone(), plugin.clone(), slot.to_owned());
        blocking(move || match place {
            Place::File {
                path,
                may_be_shared,
            } => read(&path, &slot, may_be_shared)?.ok_or_else(|| empty(&path, &slot)),
            Place::Memory => this.held().ok_or_else(|| {
                PluginError::Unavailable(format!("secret `{slot}` is not set in this process"))
            }),
            Place::Keyring(_) | Place::Elsewhere => this.elsewhere(&plugin, &slot),
        })
        .await
    }

    /// Replaces a slot's value if its generation is still `expected` (0 for one that is not there yet), and returns the
    /// new generation. An empty value removes it.
    ///
    /// # Errors
    /// `Retryable` where another process was faster; otherwise as [`Credentials::reveal`].
    pub async fn update(
        &self,
        plugin: &PluginId,
        grant: &Grant,
        slot: &str,
        expected: u64,
        value: Zeroizing<Vec<u8>>,
    ) -> Result<u64, PluginError> {
        if value.len() > MOST_VALUE_BYTES {
            return Err(PluginError::Invalid(format!(
                "a credential has at most {MOST_VALUE_BYTES} bytes"
            )));
        }
        let place = self.owned(plugin, grant, slot)?;
        if let Place::Keyring(login) = place {
            let guard = self.guard_of(login.entry.to_string().as_bytes());
            let guard = exclusive(&guard).await;
            let _guard = guard.map_err(|error| unwritten(slot, &error.to_string()))?;
            return self.in_keyring(slot, login).update(expected, value).await;
        }
        let (this, slot) = (self.clone(), slot.to_owned());
        blocking(move || match place {
            Place::File {
                path,
                may_be_shared,
            } => this.replace(&path, &slot, may_be_shared, expected, &value),
            Place::Memory => this.hold(&slot, expected, value),
            Place::Keyring(_) | Place::Elsewhere => Err(PluginError::Unavailable(format!(
                "secret `{slot}` has no file; a plugin can replace only a secret kept in one"
            ))),
        })
        .await
    }

    fn replace(
        &self,
        path: &Path,
        slot: &str,
        may_be_shared: bool,
        expected: u64,
        value: &[u8],
    ) -> Result<u64, PluginError> {
        let failed = |error: std::io::Error| unwritten(slot, &error.to_string());
        let guard = private_file::open_lock(&self.guard_of(path.as_os_str().as_bytes()));
        let guard = guard.map_err(failed)?;
        guard.lock().map_err(failed)?;
        let current = read(path, slot, may_be_shared)?.map_or(0, |versioned| versioned.generation);
        if current != expected {
            return Err(faster(slot, "another process"));
        }
        write(path, value).map_err(failed)
    }

    /// The file that is locked while what has that name is replaced.
    fn guard_of(&self, name: &[u8]) -> PathBuf {
        self.locks.join(format!("{}.file", Sha256::of(name)))
    }

    fn in_keyring<'s>(&self, slot: &'s str, login: KeyringLogin) -> InKeyring<'s> {
        InKeyring {
            slot,
            login,
            keyring: self.secrets.keyring(),
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, InMemory> {
        // Nothing panics while holding the lock; a value is whole in any state.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> Option<Versioned> {
        let memory = self.memory();
        (!memory.value.is_empty()).then(|| Versioned {
            value: memory.value.clone(),
            generation: memory.generation,
        })
    }

    fn hold(
        &self,
        slot: &str,
        expected: u64,
        value: Zeroizing<Vec<u8>>,
    ) -> Result<u64, PluginError> {
        let mut memory = self.memory();
        let current = if memory.value.is_empty() {
            0
        } else {
            memory.generation
        };
        if current != expected {
            return Err(faster(slot, "somebody else"));
        }
        memory.value = value;
        memory.generation += 1;
        Ok(memory.generation)
    }

    /// The value of a slot that is neither a file nor held here.
    fn elsewhere(&self, plugin: &PluginId, slot: &str) -> Result<Versioned, PluginError> {
        let value = self
            .secrets
            .get(plugin, slot)
            .map_err(|error| match error {
                SecretError::Missing { .. } | SecretError::NoSource { .. } => error.into(),
                SecretError::Unreadable { .. } => PluginError::Other(error.to_string()),
            })?;
        let value = Zeroizing::new(value.expose().as_bytes().to_vec());
        let generation = generation_of(&Sha256::of(&value));
        Ok(Versioned { value, generation })
    }

    /// Waits so long for the lock of that name, which is the plugin's own. Dropping the future stops waiting.
    ///
    /// # Errors
    /// `Retryable` where another process does not let go of it in that time, as one that was stopped does not; `Other`
    /// where lock files cannot be made.
    pub async fn lock(
        &self,
        plugin: &PluginId,
        name: &str,
        patience: Duration,
    ) -> Result<HeldLock, PluginError> {
        let failed = |error: std::io::Error| {
            PluginError::Other(format!(
                "lock `{}` cannot be taken: {error}",
                name.escape_debug()
            ))
        };
        // The name is the guest's, so it only goes into the file's name as a digest.
        let path = self
            .locks
            .join(format!("{plugin}.{}", Sha256::of(name.as_bytes())));
        match tokio::time::timeout(patience, exclusive(&path)).await {
            Ok(taken) => taken.map_err(failed),
            Err(_) => Err(PluginError::Retryable {
                reason: format!(
                    "another process has held lock `{}` for more than {} s",
                    name.escape_debug(),
                    patience.as_secs()
                ),
                after: None,
            }),
        }
    }

    fn owned(&self, plugin: &PluginId, grant: &Grant, slot: &str) -> Result<Place, PluginError> {
        if !grant.owns(slot) {
            return Err(PluginError::Denied(format!(
                "plugin `{plugin}` does not own secret `{slot}`; to allow it: dovetail plugin grant {plugin} owns {slot}",
                slot = slot.escape_debug()
            )));
        }
        let no_file = || {
            PluginError::Unavailable(format!(
                "secret `{slot}` has no file; a plugin can replace only a secret kept in one"
            ))
        };
        match self.secrets.source(plugin, slot) {
            Some(SecretSource::Login(LoginStore::Memory)) => Ok(Place::Memory),
            Some(SecretSource::Login(LoginStore::Keyring(login))) => Ok(Place::Keyring(login)),
            Some(SecretSource::Login(LoginStore::File(path))) => Ok(Place::File {
                // What a link points to is replaced, not the link: several homes may share one login.
                path: fs::canonicalize(&path).unwrap_or(path),
                may_be_shared: true,
            }),
            Some(SecretSource::File(_)) => Ok(Place::File {
                path: self.secrets.file_of(plugin, slot).ok_or_else(no_file)?,
                may_be_shared: false,
            }),
            Some(
                SecretSource::Env(_)
                | SecretSource::Document(_)
                | SecretSource::Auth(_)
                | SecretSource::Command(_)
                | SecretSource::Inline(_)
                | SecretSource::Keyring(_)
                | SecretSource::Unusable,
            )
            | None => Ok(Place::Elsewhere),
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("locks", &self.locks)
            .finish_non_exhaustive()
    }
}

/// Takes a lock file for itself. Dropping the future stops waiting.
async fn exclusive(path: &Path) -> std::io::Result<HeldLock> {
    let file = private_file::open_lock(path)?;
    // Tried again rather than waited for: a thread that waits in the kernel cannot be cancelled.
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(HeldLock(file)),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(RETRY).await,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn unwritten(slot: &str, why: &str) -> PluginError {
    PluginError::Other(format!("secret `{slot}` cannot be written: {why}"))
}

fn faster(slot: &str, who: &str) -> PluginError {
    PluginError::Retryable {
        reason: format!("secret `{slot}` was changed by {who}"),
        after: None,
    }
}

/// Logins of other clients may have been left readable by others, which `doctor` mentions; what is written here never is.
fn read(path: &Path, slot: &str, may_be_shared: bool) -> Result<Option<Versioned>, PluginError> {
    let unreadable = |why: String| {
        PluginError::Other(format!(
            "secret `{slot}` cannot be read from file `{}`: {why}",
            path.display()
        ))
    };
    let value = match may_be_shared {
        true => read_whole(path),
        false => read_private(path),
    };
    let Some(value) = value.map_err(unreadable)? else {
        return Ok(None);
    };
    let generation = generation(path, &value).map_err(|error| unreadable(error.to_string()))?;
    Ok(Some(Versioned { value, generation }))
}

/// Replaces a file, or removes it where there is nothing to keep, and returns its new generation.
fn write(path: &Path, value: &[u8]) -> std::io::Result<u64> {
    if value.is_empty() {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(0),
        };
    }
    private_file::replace(path, value)?;
    generation(path, value)
}

/// A number that changes with every replacement, also by programs that know nothing of this: from the content, the
/// file's identity and its time. Never 0, which stands for no file.
fn generation(path: &Path, value: &[u8]) -> std::io::Result<u64> {
    let metadata = fs::metadata(path)?;
    let mut bytes = value.to_vec();
    bytes.extend_from_slice(&metadata.ino().to_le_bytes());
    bytes.extend_from_slice(&metadata.mtime().to_le_bytes());
    bytes.extend_from_slice(&metadata.mtime_nsec().to_le_bytes());
    let digest = Sha256::of(&Zeroizing::new(bytes));
    Ok(generation_of(&digest))
}

fn generation_of(digest: &Sha256) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&digest.bytes()[..8]);
    u64::from_le_bytes(number).max(1)
}

fn empty(path: &Path, slot: &str) -> PluginError {
    PluginError::Unavailable(format!(
        "secret `{slot}` is not set: file `{}` is missing",
        path.display()
    ))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PluginError> + Send + 'static,
) -> Result<T, PluginError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| {
        Err(PluginError::Other(
            "the credential could not be used".to_owned(),
        ))
    })
}

#[cfg(test)]
mod tests;
