//! Text that must not be printed.

use zeroize::Zeroizing;

use crate::ids::PluginId;
use crate::plugin::{HeaderTemplate, PluginError};

/// A secret in memory: wiped when dropped, never printed.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes ownership of a secret.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself. Every use of this is a place to review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// Fills secret slots where a request leaves the host.
///
/// Adapters that send requests for a plugin call this last, so that no plugin and no log sees the value.
pub trait Egress: Send + Sync {
    /// Checks that `plugin` may reach `url` at all.
    ///
    /// # Errors
    /// `Denied` names the origin and the command that would grant it.
    fn check_url(&self, plugin: &PluginId, url: &str) -> Result<(), PluginError>;

    /// Renders a header value for a request to `url`.
    ///
    /// # Errors
    /// `Denied` for a slot or an origin that the grant does not list, `Unavailable` for a slot that is empty.
    fn render(
        &self,
        plugin: &PluginId,
        url: &str,
        header: &HeaderTemplate,
    ) -> Result<SecretText, PluginError>;
}
