//! For a plugin that owns a credential, such as one that refreshes a token. Linked only where the grant says `owns`.

use std::fmt;

use super::in_host;
use crate::Error;
use crate::bindings::imports::dovetail::plugin::credentials;

/// A secret with the generation it was read at.
#[derive(Clone, PartialEq, Eq)]
pub struct Revealed {
    /// The secret itself.
    pub value: Vec<u8>,
    /// Changes with every update, by any process.
    pub generation: u64,
}

impl fmt::Debug for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revealed(…, generation {})", self.generation)
    }
}

/// Reads a slot's value.
///
/// # Errors
/// [`Error::Denied`] for a slot the plugin does not own, [`Error::Unavailable`] for an empty one and outside the
/// host.
pub fn reveal(slot: &str) -> Result<Revealed, Error> {
    in_host("credentials")?;
    let revealed = credentials::reveal(slot)?;
    Ok(Revealed {
        value: revealed.value,
        generation: revealed.generation,
    })
}

/// Replaces a slot's value if its generation is still `expected`, 0 for one that is not there yet; returns the new
/// generation. An empty value removes it.
///
/// # Errors
/// [`Error::Retryable`] where another process was faster: read again, the work may be done. [`Error::Denied`] for a
/// slot the plugin does not own, [`Error::Unavailable`] outside the host.
pub fn update(slot: &str, expected: u64, value: &[u8]) -> Result<u64, Error> {
    in_host("credentials")?;
    Ok(credentials::update(slot, expected, value)?)
}

/// A lock that no other process holds while this value lives.
#[derive(Debug)]
pub struct Lock {
    _held: credentials::Lock,
}

impl Lock {
    /// Waits for the lock of that name.
    ///
    /// # Errors
    /// [`Error::Unavailable`] outside the host, others where locking fails.
    pub fn acquire(name: &str) -> Result<Self, Error> {
        in_host("credentials")?;
        Ok(Self {
            _held: credentials::Lock::acquire(name)?,
        })
    }
}
