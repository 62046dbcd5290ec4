//! The grant in force for a plugin: what it asked for and a person allowed.

use std::net::IpAddr;

use dovetail_core::plugin::FieldClass;
use url::Url;

use crate::capability::Capabilities;
use crate::fs_rule::FsRule;

/// What a plugin may do. Every effect asks one of these before it happens.
///
/// It can only be made by intersecting a request with a grant, or for a plugin that is part of the host, so no code
/// path gives a plugin more than both sides agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    effective: Capabilities,
    commands_by: CommandAuthor,
}

/// Who wrote the command lines that a plugin has run, which decides how far they are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandAuthor {
    /// The plugin did, within the patterns of its grant. Its programs get no credentials, and run in the working
    /// directory or below.
    Plugin,
    /// The user did, in the configuration: often a cloud tool that needs credentials of its own. Its programs get the
    /// user's environment less the host's own credentials.
    User,
}

impl Grant {
    /// What is both requested and granted.
    pub fn intersect(requested: &Capabilities, granted: &Capabilities) -> Self {
        Self {
            effective: requested.meet(granted),
            commands_by: CommandAuthor::Plugin,
        }
    }

    /// The grant of a plugin that is part of the host, drawn by the caller from the user's own configuration.
    pub fn builtin(given: Capabilities) -> Self {
        Self {
            effective: given,
            commands_by: CommandAuthor::User,
        }
    }

    /// All of it, to show.
    pub fn capabilities(&self) -> &Capabilities {
        &self.effective
    }

    /// Whether the plugin itself may send a request.
    pub fn allows_request(&self, method: &str, url: &Url) -> bool {
        self.allows_url(url)
            && self
                .effective
                .net
                .iter()
                .any(|origin| origin.allows(method, url))
    }

    /// Whether requests may go to a URL on the plugin's behalf. Their methods are the host's.
    pub fn allows_url(&self, url: &Url) -> bool {
        let plain = url.username().is_empty() && url.password().is_none();
        plain && self.effective.net.iter().any(|origin| origin.matches(url))
    }

    /// Whether some granted rule has a URL's origin, whatever its path.
    pub fn names_origin(&self, url: &Url) -> bool {
        self.effective
            .net
            .iter()
            .any(|origin| origin.is_origin_of(url))
    }

    /// Whether some granted origin is that very address.
    pub fn names_address(&self, address: IpAddr) -> bool {
        self.effective
            .net
            .iter()
            .any(|origin| origin.address() == Some(address))
    }

    /// Whether it may have a command line run.
    pub fn allows_argv(&self, argv: &[String]) -> bool {
        self.effective
            .process
            .iter()
            .any(|pattern| pattern.matches(argv))
    }

    /// Whether it may use a secret slot in headers.
    pub fn allows_secret(&self, slot: &str) -> bool {
        self.effective.secrets.contains(slot)
    }

    /// Whether it may read and replace a secret slot.
    pub fn owns(&self, slot: &str) -> bool {
        self.effective.owns.contains(slot)
    }

    /// The directories it may see.
    pub fn fs(&self) -> impl Iterator<Item = &FsRule> {
        self.effective.fs.iter()
    }

    /// The environment variables it may see.
    pub fn env(&self) -> impl Iterator<Item = &str> {
        self.effective.env.iter().map(String::as_str)
    }

    /// Bytes it may keep between runs; zero for none.
    pub fn kv_bytes(&self) -> u64 {
        self.effective.kv
    }

    /// Whether it may ask the connected application.
    pub fn client(&self) -> bool {
        self.effective.client
    }

    /// Whether a sink may receive fields of a class. The basic ones always.
    pub fn allows_class(&self, class: FieldClass) -> bool {
        class == FieldClass::Basic || self.effective.classes.contains(&class)
    }

    /// Whether what it guards goes ahead when it fails.
    pub fn fails_open(&self) -> bool {
        self.effective.fail_open
    }

    /// Who wrote the command lines that it may have run.
    pub fn commands_by(&self) -> CommandAuthor {
        self.commands_by
    }
}
