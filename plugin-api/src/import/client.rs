//! Questions to the application that is connected to the host. Linked where the grant lists `client`.

use std::fmt;

use super::in_host;
use crate::Error;
use crate::bindings::imports::dovetail::plugin::client;

/// A token that the application holds on the user's behalf.
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalToken {
    /// The bearer token.
    pub access_token: String,
    /// The account it belongs to.
    pub account_id: Option<String>,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_unix_ms: Option<u64>,
}

impl fmt::Debug for ExternalToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalToken")
            .field("expires_at_unix_ms", &self.expires_at_unix_ms)
            .finish_non_exhaustive()
    }
}

/// Asks for an attestation value for a request to a provider.
///
/// # Errors
/// [`Error::Unavailable`] where the application cannot attest, and outside the host.
pub fn attest(provider_id: &str) -> Result<String, Error> {
    in_host("client")?;
    Ok(client::attest(provider_id)?)
}

/// Asks for a fresh token after the old one was refused.
///
/// # Errors
/// [`Error::Unavailable`] where no application is connected, and outside the host.
pub fn refresh_token(
    reason: &str,
    previous_account_id: Option<&str>,
) -> Result<ExternalToken, Error> {
    in_host("client")?;
    let token = client::refresh_token(reason, previous_account_id)?;
    Ok(ExternalToken {
        access_token: token.access_token,
        account_id: token.account_id,
        expires_at_unix_ms: token.expires_at_unix_ms,
    })
}
