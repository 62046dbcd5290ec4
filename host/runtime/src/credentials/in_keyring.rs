//! A login in the desktop's keyring, and in its file where the keyring cannot be had and the user allows that.

use dovetail_core::plugin::PluginError;
use dovetail_keyring::{Keyring, KeyringError};
use zeroize::Zeroizing;

use super::{MOST_VALUE_BYTES, Versioned, faster, generation_of, read, unwritten, write};
use crate::digest::Sha256;
use crate::secret_source::KeyringLogin;

/// A slot whose value is in the keyring.
pub(super) struct InKeyring<'s> {
    pub(super) slot: &'s str,
    pub(super) login: KeyringLogin,
    pub(super) keyring: Keyring,
}

impl InKeyring<'_> {
    /// Reads the value. That there is none is `Unavailable`; that the keyring cannot be asked is not, since there may be one.
    pub(super) async fn reveal(&self) -> Result<Versioned, PluginError> {
        self.current().await?.ok_or_else(|| {
            PluginError::Unavailable(format!(
                "secret `{}` is not set: keyring entry `{}` is missing",
                self.slot, self.login.entry
            ))
        })
    }

    /// Replaces the value if its generation is still `expected`, and returns the new one. An empty value removes it. For
    /// one caller at a time.
    pub(super) async fn update(
        &self,
        expected: u64,
        value: Zeroizing<Vec<u8>>,
    ) -> Result<u64, PluginError> {
        let current = self.current().await?.map_or(0, |found| found.generation);
        if current != expected {
            return Err(faster(self.slot, "another process"));
        }
        match self.keep(&value).await {
            Ok(generation) => {
                // Nobody looks for it there any more, and it would be a copy that everybody can read who reads files.
                write(&self.login.file, &[]).map_err(|error| self.unwritten(&error.to_string()))?;
                Ok(generation)
            }
            Err(error) if self.falls_back(&error) => {
                write(&self.login.file, &value).map_err(|error| self.unwritten(&error.to_string()))
            }
            Err(error) => Err(self.unwritten(&self.named(&error))),
        }
    }

    async fn current(&self) -> Result<Option<Versioned>, PluginError> {
        match self.keyring.get(&self.login.entry).await {
            Ok(Some(value)) if value.len() > MOST_VALUE_BYTES => {
                Err(self.unread(&format!("it is longer than {MOST_VALUE_BYTES} bytes")))
            }
            Ok(Some(value)) => Ok(Some(Versioned {
                generation: generation_of(&Sha256::of(&value)),
                value,
            })),
            Ok(None) if self.login.falls_back => read(&self.login.file, self.slot, true),
            Ok(None) => Ok(None),
            Err(error) if self.falls_back(&error) => read(&self.login.file, self.slot, true),
            Err(error) => Err(self.unread(&error.to_string())),
        }
    }

    async fn keep(&self, value: &[u8]) -> Result<u64, KeyringError> {
        if value.is_empty() {
            self.keyring.delete(&self.login.entry).await?;
            return Ok(0);
        }
        self.keyring.set(&self.login.entry, value).await?;
        Ok(generation_of(&Sha256::of(value)))
    }

    /// Whether the file takes the keyring's place after this. A keyring that is there and stays locked has perhaps another
    /// login than the file: then neither is used unasked.
    fn falls_back(&self, error: &KeyringError) -> bool {
        let absent = match error {
            KeyringError::Unsupported
            | KeyringError::NoBus
            | KeyringError::NoService(_)
            | KeyringError::Silent(_)
            | KeyringError::Refused(_) => true,
            KeyringError::Locked(_) | KeyringError::Ambiguous(_) => false,
        };
        if absent && self.login.falls_back {
            tracing::info!(%error, file = %self.login.file.display(), "the login is kept in a file: no keyring");
        }
        absent && self.login.falls_back
    }

    fn named(&self, error: &KeyringError) -> String {
        format!("keyring entry `{}`: {error}", self.login.entry)
    }

    fn unread(&self, why: &str) -> PluginError {
        PluginError::Other(format!(
            "secret `{}` cannot be read from keyring entry `{}`: {why}",
            self.slot, self.login.entry
        ))
    }

    fn unwritten(&self, why: &str) -> PluginError {
        unwritten(self.slot, why)
    }
}
