//! What the host tells this plugin of the user's configuration: logins are more than one provider's table.

use serde::Deserialize;

use crate::mode::Method;

/// The plugin's own configuration, put together by the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// Where logins are kept, for people.
    pub(crate) place: String,
    /// The only way in that is allowed.
    pub(crate) forced_login_method: Option<Method>,
    /// The only workspaces whose logins are allowed; empty for all.
    pub(crate) forced_workspaces: Vec<String>,
    /// Origins besides OpenAI's own to which a login may go, for providers that ask for it.
    pub(crate) login_origins: Vec<String>,
    /// Whether bodies may be compressed.
    pub(crate) request_compression: bool,
    /// Whether an account's requests are signed by an agent's identity instead of carrying its token.
    pub(crate) agent_identity: bool,
    /// The service behind accounts.
    pub(crate) chatgpt_base_url: Option<String>,
    /// Another authority to sign in with.
    pub(crate) issuer: Option<String>,
    /// The name of this client, for the authority.
    pub(crate) originator: String,
    /// The client's version.
    pub(crate) version: String,
    /// The system it runs on.
    pub(crate) os: String,
}

impl Settings {
    /// Where logins are kept, for sentences.
    pub(crate) fn place(&self) -> &str {
        match self.place.as_str() {
            "" => "auth.json",
            place => place,
        }
    }
}
