//! Systems whose keyrings are not known here.

use zeroize::Zeroizing;

use crate::{Entry, Keyring, KeyringError};

pub(crate) async fn get(
    _: &Keyring,
    _: &Entry,
) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
    Err(KeyringError::Unsupported)
}

pub(crate) async fn set(_: &Keyring, _: &Entry, _: &[u8]) -> Result<(), KeyringError> {
    Err(KeyringError::Unsupported)
}

pub(crate) async fn delete(_: &Keyring, _: &Entry) -> Result<bool, KeyringError> {
    Err(KeyringError::Unsupported)
}
