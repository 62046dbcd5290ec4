//! The login of people, for providers that have one.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::{PluginError, Scope};
use crate::secret::SecretText;

/// A way to sign in.
#[derive(Debug, Clone)]
pub enum Way {
    /// In a browser on this machine, which comes back to this address.
    Browser {
        /// Where the host listens.
        redirect_uri: String,
    },
    /// In a browser anywhere, with a code.
    Device,
    /// With a key.
    ApiKey(SecretText),
    /// With a token.
    AccessToken(SecretText),
}

/// What the person has to do.
#[derive(Clone)]
pub struct Challenge {
    /// The page to open.
    pub url: String,
    /// The code to type there.
    pub user_code: Option<String>,
    /// The time between polls.
    pub interval: Duration,
    /// When the challenge ends.
    pub expires_in: Duration,
    /// What the plugin needs to recognise it.
    pub state: SecretText,
}

/// How a sign-in begins.
#[derive(Debug, Clone)]
pub enum Beginning {
    /// The person has to do something first.
    Challenged(Challenge),
    /// It is done already; the text names the login.
    Done(String),
}

/// A login, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLogin {
    /// What kind it is, as its store calls it.
    pub mode: String,
    /// The same for people.
    pub title: String,
    /// Where it comes from.
    pub source: String,
    /// Whose it is.
    pub email: Option<String>,
    /// The account or workspace.
    pub account: Option<String>,
    /// What was bought.
    pub plan: Option<String>,
    /// When it ends unless it is renewed.
    pub expires_at: Option<SystemTime>,
}

/// One source of credentials that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedAt {
    /// Its name.
    pub name: String,
    /// What is there.
    pub finding: String,
    /// Whether it is the one that is used.
    pub used: bool,
}

/// Which credential would go where, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialExplained {
    /// The sources, in the order in which they are looked at.
    pub sources: Vec<LookedAt>,
    /// The headers that would be sent, without what is secret.
    pub headers: Vec<String>,
    /// Where they would go.
    pub destination: String,
    /// Why nothing would be sent, where that is so.
    pub problem: Option<String>,
}

/// Signs people in and out, and says what their login is.
#[async_trait]
pub trait Account: Send + Sync {
    /// Starts signing in.
    async fn begin(&self, provider_id: &str, way: Way) -> Result<Beginning, PluginError>;
    /// Asks whether a challenge with a code is done; none while it is not.
    async fn poll(
        &self,
        provider_id: &str,
        state: &SecretText,
    ) -> Result<Option<String>, PluginError>;
    /// Ends a challenge in a browser with the query that it brought back.
    async fn finish(
        &self,
        provider_id: &str,
        state: &SecretText,
        query: &SecretText,
    ) -> Result<String, PluginError>;
    /// The login that holds.
    async fn status(&self, provider_id: &str) -> Result<Option<KnownLogin>, PluginError>;
    /// Forgets the stored login; what became of it, none where there was none.
    async fn logout(&self, provider_id: &str) -> Result<Option<String>, PluginError>;
    /// Explains which credential a request would carry.
    async fn explain(&self, scope: &Scope) -> Result<CredentialExplained, PluginError>;
}

/// The state may hold what proves who began, so it is not shown.
impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Challenge")
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}
