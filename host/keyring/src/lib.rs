//! Secrets in the desktop's keyring: reading, keeping and removing one entry at a time.
//!
//! On Linux that is whoever serves the Secret Service on the session bus (GNOME Keyring, KWallet, KeePassXC). Nothing here
//! touches the bus before an entry is asked for, and everything has a deadline: a bus can hang, and a keyring that is locked
//! asks a person who may not be there.

mod entry;
#[cfg(target_os = "linux")]
mod secret_service;
#[cfg(target_os = "linux")]
use secret_service as platform;
#[cfg(not(target_os = "linux"))]
mod unsupported;
#[cfg(not(target_os = "linux"))]
use unsupported as platform;

use std::ffi::OsStr;
use std::time::Duration;

use zeroize::Zeroizing;

pub use entry::{Entry, InvalidEntry};

/// A service that has to be started first needs a moment, and then answers at once.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Whoever is asked to unlock a keyring has to notice, and to type.
const UNLOCK_LIMIT: Duration = Duration::from_secs(60);

/// Why the keyring cannot be used. Reads after the name of an entry.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// This system has none that is known here.
    #[error("keyrings are not supported on this system")]
    Unsupported,
    /// There is no session bus: a server, a container, a job.
    #[error(
        "there is no session bus to ask a keyring on: `DBUS_SESSION_BUS_ADDRESS` is not set, as on a machine without a desktop"
    )]
    NoBus,
    /// There is a bus, and nobody on it.
    #[error("no keyring service answers: {0}")]
    NoService(String),
    /// It does not answer.
    #[error("the keyring service does not answer within {} ms", .0.as_millis())]
    Silent(Duration),
    /// It is locked, and stays so.
    #[error("the keyring is locked, and was not unlocked: {0}")]
    Locked(&'static str),
    /// Several entries have that name.
    #[error("{0} entries of the keyring have that name; remove all but one")]
    Ambiguous(usize),
    /// Anything else that the service says.
    #[error("the keyring service refuses: {0}")]
    Refused(String),
}

/// How to reach the keyring. Making one does nothing yet.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// The bus; none where there is none.
    address: Option<String>,
    answer: Duration,
    unlock: Duration,
}

impl Keyring {
    /// From the environment: `DBUS_SESSION_BUS_ADDRESS`, or the bus in `XDG_RUNTIME_DIR`.
    pub fn of_environment(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        let named = variable("DBUS_SESSION_BUS_ADDRESS");
        let named = named.and_then(|address| address.into_string().ok());
        let beside = || {
            let bus = std::path::Path::new(&variable("XDG_RUNTIME_DIR")?).join("bus");
            // A path with characters that addresses escape is not worth the trouble.
            let plain = |text: &&str| {
                text.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
            };
            let path = Some(bus.as_os_str())
                .and_then(OsStr::to_str)
                .filter(plain)?;
            bus.exists().then(|| format!("unix:path={path}"))
        };
        Self {
            address: named.filter(|address| !address.is_empty()).or_else(beside),
            answer: ANSWER_LIMIT,
            unlock: UNLOCK_LIMIT,
        }
    }

    /// The same with other limits, for an answer and for being unlocked by a person.
    #[must_use]
    pub fn with_limits(self, answer: Duration, unlock: Duration) -> Self {
        Self {
            answer,
            unlock,
            ..self
        }
    }

    /// Reads an entry; none where there is no such entry. May ask the user to unlock the keyring, and waits for that.
    ///
    /// # Errors
    /// Says why the keyring cannot be used.
    pub async fn get(&self, entry: &Entry) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
        platform::get(self, entry).await
    }

    /// Keeps a value under an entry, in place of the one before.
    ///
    /// # Errors
    /// Says why the keyring cannot be used.
    pub async fn set(&self, entry: &Entry, value: &[u8]) -> Result<(), KeyringError> {
        platform::set(self, entry, value).await
    }

    /// Removes an entry, and says whether there was one.
    ///
    /// # Errors
    /// Says why the keyring cannot be used.
    pub async fn delete(&self, entry: &Entry) -> Result<bool, KeyringError> {
        platform::delete(self, entry).await
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
