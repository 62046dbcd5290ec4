//! What a plugin may know of its secrets. Linked where the grant lists a slot.
//!
//! To use one, name it in a header: [`Header::bearer`](crate::Header::bearer).

use super::in_host;
use crate::Error;
use crate::bindings::imports::dovetail::plugin::secrets;

/// Whether a slot can be filled now; one that holds nothing but white space cannot.
///
/// # Errors
/// [`Error::Denied`] for a slot that the grant does not list, [`Error::Unavailable`] outside the host.
pub fn exists(slot: &str) -> Result<bool, Error> {
    in_host("secrets")?;
    Ok(secrets::exists(slot)?)
}
