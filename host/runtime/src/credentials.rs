//! For plugins that own a credential: reading it, replacing it, and making sure that only one process refreshes it.

use std::fs::{self, File, TryLockError};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::PluginError;
use zeroize::Zeroizing;

use crate::digest::Sha256;
use crate::grant::Grant;
use crate::private_file;
use crate::secrets::{SecretError, Secrets, read_private};

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
#[derive(Debug, Clone)]
pub struct Credentials {
    secrets: Arc<Secrets>,
    locks: PathBuf,
}

impl Credentials {
    /// Uses `locks` as the directory for lock files, made when it is first needed.
    pub fn new(secrets: Arc<Secrets>, locks: PathBuf) -> Self {
        Self { secrets, locks }
    }

    /// Reads a slot's value. One that is not in a private file has a generation of its value alone, and cannot be
    /// replaced.
    ///
    /// # Errors
    /// `Denied` for a slot that the plugin does not own, `Unavailable` for an empty one, `Other` for one whose source is
    /// there and cannot be read.
    pub async fn reveal(
        &self,
        plugin: &PluginId,
        grant: &Grant,
        slot: &str,
    ) -> Result<Versioned, PluginError> {
        check_owned(plugin, grant, slot)?;
        let owned = slot.to_owned();
        if let Some(path) = self.secrets.file_of(plugin, slot) {
            return blocking(move || read(&path, &owned)?.ok_or_else(|| empty(&path, &owned)))
                .await;
        }
        let (secrets, plugin) = (Arc::clone(&self.secrets), plugin.clone());
        blocking(move || read_elsewhere(&secrets, &plugin, &owned)).await
    }

    /// Replaces a slot's value if its generation is still `expected` (0 for a file that is not there yet), and
    /// returns the new generation.
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
        let path = self.owned_file(plugin, grant, slot)?;
        let guard_path = self
            .locks
            .join(format!("{}.file", Sha256::of(path.as_os_str().as_bytes())));
        let slot = slot.to_owned();
        blocking(move || {
            let failed = |error: std::io::Error| {
                PluginError::Other(format!("secret `{slot}` cannot be written: {error}"))
            };
            let guard = private_file::open_lock(&guard_path).map_err(failed)?;
            guard.lock().map_err(failed)?;
            let current = read(&path, &slot)?.map_or(0, |versioned| versioned.generation);
            if current != expected {
                let reason = format!("secret `{slot}` was changed by another process");
                return Err(PluginError::Retryable {
                    reason,
                    after: None,
                });
            }
            private_file::replace(&path, &value).map_err(failed)?;
            generation(&path, &value).map_err(failed)
        })
        .await
    }

    /// Waits for the lock of that name, which is the plugin's own. Dropping the future stops waiting.
    ///
    /// # Errors
    /// `Other` where lock files cannot be made.
    pub async fn lock(&self, plugin: &PluginId, name: &str) -> Result<HeldLock, PluginError> {
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
        let file = private_file::open_lock(&path).map_err(failed)?;
        // Tried again rather than waited for: a thread that waits in the kernel cannot be cancelled.
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(HeldLock(file)),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(RETRY).await,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    fn owned_file(
        &self,
        plugin: &PluginId,
        grant: &Grant,
        slot: &str,
    ) -> Result<PathBuf, PluginError> {
        check_owned(plugin, grant, slot)?;
        self.secrets.file_of(plugin, slot).ok_or_else(|| {
            PluginError::Unavailable(format!(
                "secret `{slot}` has no file; a plugin can replace only a secret kept in one"
            ))
        })
    }
}

fn check_owned(plugin: &PluginId, grant: &Grant, slot: &str) -> Result<(), PluginError> {
    if grant.owns(slot) {
        return Ok(());
    }
    Err(PluginError::Denied(format!(
        "plugin `{plugin}` does not own secret `{slot}`; to allow it: dovetail plugin grant {plugin} owns {slot}",
        slot = slot.escape_debug()
    )))
}

/// A value from the environment, from the login, or from a file of another program.
fn read_elsewhere(
    secrets: &Secrets,
    plugin: &PluginId,
    slot: &str,
) -> Result<Versioned, PluginError> {
    let value = secrets.get(plugin, slot).map_err(|error| match error {
        SecretError::Unreadable { .. } => PluginError::Other(error.to_string()),
        SecretError::Missing { .. } | SecretError::NoSource { .. } => error.into(),
    })?;
    let value = Zeroizing::new(value.expose().as_bytes().to_vec());
    let generation = generation_of(&Sha256::of(&value));
    Ok(Versioned { value, generation })
}

fn read(path: &Path, slot: &str) -> Result<Option<Versioned>, PluginError> {
    let unreadable = |why: String| {
        PluginError::Other(format!(
            "secret `{slot}` cannot be read from file `{}`: {why}",
            path.display()
        ))
    };
    let Some(value) = read_private(path).map_err(unreadable)? else {
        return Ok(None);
    };
    let generation = generation(path, &value).map_err(|error| unreadable(error.to_string()))?;
    Ok(Some(Versioned { value, generation }))
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
