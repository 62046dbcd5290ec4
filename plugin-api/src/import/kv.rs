//! A small store that outlives the process, one name space per plugin. Linked where the grant lists `kv`.

use super::in_host;
use crate::Error;
use crate::bindings::imports::dovetail::plugin::kv;

/// The value of a key, or none.
///
/// # Errors
/// [`Error::Unavailable`] outside the host, others where the store fails.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    in_host("kv")?;
    Ok(kv::get(key)?)
}

/// Sets a key.
///
/// # Errors
/// [`Error::Denied`] past the granted number of bytes (keys and values together), [`Error::Unavailable`] outside
/// the host.
pub fn set(key: &str, value: &[u8]) -> Result<(), Error> {
    in_host("kv")?;
    Ok(kv::set(key, value)?)
}

/// Removes a key; a key that is not there is not an error.
///
/// # Errors
/// [`Error::Unavailable`] outside the host, others where the store fails.
pub fn delete(key: &str) -> Result<(), Error> {
    in_host("kv")?;
    Ok(kv::delete(key)?)
}

/// The keys that start with a prefix, sorted.
///
/// # Errors
/// [`Error::Unavailable`] outside the host, others where the store fails.
pub fn keys(prefix: &str) -> Result<Vec<String>, Error> {
    in_host("kv")?;
    Ok(kv::keys(prefix)?)
}
