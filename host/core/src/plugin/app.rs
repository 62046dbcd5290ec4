//! The application that is connected to the host, such as an editor: what it holds for its user, and what it can vouch for.

use async_trait::async_trait;

use super::PluginError;
use crate::secret::SecretText;

/// A token that an application holds on its user's behalf.
#[derive(Debug, Clone)]
pub struct ExternalToken {
    /// The bearer token.
    pub access_token: SecretText,
    /// The account it belongs to.
    pub account_id: Option<String>,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_unix_ms: Option<u64>,
}

/// Why there is no attestation for a request. No reason keeps the request from being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unattested {
    /// Nobody is connected who could.
    #[error("no application is connected that could attest")]
    Nobody,
    /// There was no answer in time.
    #[error("the connected application did not attest in time")]
    TimedOut,
    /// The application answered with an error.
    #[error("the connected application could not attest")]
    Failed,
    /// The application, or the connection to it, gave up.
    #[error("the connected application gave up attesting")]
    Cancelled,
    /// The answer holds no attestation.
    #[error("the connected application answered with something that is no attestation")]
    Malformed,
}

/// A connected application.
#[async_trait]
pub trait ConnectedApp: Send + Sync {
    /// Asks for an attestation of a request to this provider. Whoever asks sets the deadline.
    ///
    /// # Errors
    /// Says why there is none.
    async fn attest(&self, provider_id: &str) -> Result<String, Unattested>;

    /// Asks for another token after one was refused. `reason` is the word of the protocol, such as `unauthorized`.
    ///
    /// # Errors
    /// `Unavailable` where the application has none to give; otherwise what went wrong.
    async fn refresh_token(
        &self,
        reason: &str,
        previous_account_id: Option<&str>,
    ) -> Result<ExternalToken, PluginError>;
}
