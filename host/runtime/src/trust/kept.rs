//! Where the key of trust records is kept: in its file, or in the desktop's keyring, which the file then says.
//!
//! In the keyring it is out of reach for whatever reads files alone: a backup, a command in the sandbox, which may read most
//! of the disk. It is also out of reach where nobody unlocks the keyring, such as over a remote shell; so people choose.

use std::path::Path;

use dovetail_keyring::{Entry, Keyring};
use zeroize::Zeroizing;

use super::{KEY_BYTES, TrustKey, TrustKeyError, parse};
use crate::digest::{Sha256, to_hex};
use crate::private_file;
use crate::waiting::block_on;

/// What the file says in the key's place.
pub(super) const IN_KEYRING: &str = "keyring";
/// Whose entries keys are in the keyring.
const SERVICE: &str = "Dovetail";

/// Where a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    /// In its file.
    File,
    /// In the desktop's keyring.
    Keyring,
}

impl KeyPlace {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Keyring => IN_KEYRING,
        }
    }
}

impl TrustKey {
    /// Where the key is; none where there is no key yet.
    ///
    /// # Errors
    /// As [`TrustKey::load`], but for what the keyring says, which is not asked.
    pub fn place(path: &Path) -> Result<Option<KeyPlace>, TrustKeyError> {
        let text = super::read(path)?;
        Ok(text.map(|text| match text.trim() {
            IN_KEYRING => KeyPlace::Keyring,
            _ => KeyPlace::File,
        }))
    }

    /// Moves the key, which is made where there is none. What it has authenticated stays authentic.
    ///
    /// # Errors
    /// As [`TrustKey::load`]; the key is then where it was.
    pub(crate) fn keep_in(path: &Path, place: KeyPlace) -> Result<(), TrustKeyError> {
        let key = Self::load_or_make(path)?;
        if Self::place(path)? == Some(place) {
            return Ok(());
        }
        match place {
            KeyPlace::Keyring => {
                put(path, &key)?;
                // Only a key that can be had again may leave the file.
                if from_keyring(path)?.0 != key.0 {
                    return Err(unusable(path, "it gave back another key".to_owned()));
                }
                write(path, IN_KEYRING)
            }
            KeyPlace::File => {
                write(path, &Zeroizing::new(to_hex(key.0.as_ref())))?;
                let gone = ask(path, |keyring, entry| async move {
                    keyring.delete(&entry).await
                });
                gone.map(drop)
            }
        }
    }
}

/// The key of a file that says that it is in the keyring.
pub(super) fn from_keyring(path: &Path) -> Result<TrustKey, TrustKeyError> {
    let found = ask(
        path,
        |keyring, entry| async move { keyring.get(&entry).await },
    )?;
    let found = found.ok_or_else(|| unusable(path, "there is no such entry".to_owned()))?;
    let text = std::str::from_utf8(&found).ok();
    text.and_then(parse)
        .ok_or_else(|| unusable(path, "the entry holds no key".to_owned()))
}

fn put(path: &Path, key: &TrustKey) -> Result<(), TrustKeyError> {
    let text = Zeroizing::new(to_hex(key.0.as_ref()));
    debug_assert_eq!(text.len(), 2 * KEY_BYTES);
    ask(path, |keyring, entry| async move {
        keyring.set(&entry, text.as_bytes()).await
    })
}

fn write(path: &Path, text: &str) -> Result<(), TrustKeyError> {
    private_file::replace(path, text.as_bytes()).map_err(|source| TrustKeyError::Io {
        action: "make",
        path: path.to_owned(),
        source,
    })
}

fn ask<T: Send, F>(
    path: &Path,
    question: impl FnOnce(Keyring, Entry) -> F + Send,
) -> Result<T, TrustKeyError>
where
    F: Future<Output = Result<T, dovetail_keyring::KeyringError>>,
{
    let keyring = Keyring::of_environment(|name| std::env::var_os(name));
    let entry = entry(path);
    let asked = block_on(|| async {
        question(keyring, entry)
            .await
            .map_err(|error| error.to_string())
    });
    asked.map_err(|why| unusable(path, why))
}

/// The entry of a key file, told apart by where it is.
fn entry(path: &Path) -> Entry {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let digest = Sha256::of(path.as_os_str().as_encoded_bytes()).to_string();
    let account = format!("trust|{}", &digest[..16]);
    Entry::new(SERVICE, &account).expect("neither is empty")
}

fn unusable(path: &Path, why: String) -> TrustKeyError {
    TrustKeyError::Keyring {
        path: path.to_owned(),
        entry: entry(path).to_string(),
        why,
    }
}
