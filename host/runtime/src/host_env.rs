//! The host's environment, taken once, and what of it programs and guests may see.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::grant::{CommandAuthor, Grant};

/// A copy of the environment.
///
/// It is passed in rather than read where it is needed, so that tests and embedders decide what there is.
#[derive(Clone, Default)]
pub struct HostEnv(BTreeMap<OsString, OsString>);

impl HostEnv {
    /// The environment of this process.
    pub fn current() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// The same without some variables.
    #[must_use]
    pub fn without(mut self, names: &[&str]) -> Self {
        self.0
            .retain(|name, _| !names.iter().any(|hidden| name == hidden));
        self
    }

    /// The value of a variable, where it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
    }

    /// What a guest sees: the variables that its grant names and that are Unicode.
    pub fn for_guest(&self, grant: &Grant) -> Vec<(String, String)> {
        let pair = |name: &str| Some((name.to_owned(), self.get(name)?.to_str()?.to_owned()));
        grant.env().filter_map(pair).collect()
    }

    /// What a program that a plugin starts sees.
    ///
    /// A command that the plugin chose gets no credentials but those its grant names. A command that the user wrote
    /// in the configuration gets the user's environment, as in a terminal: such commands are cloud tools that live
    /// on variables like `AWS_PROFILE` or `AZURE_CLIENT_SECRET`. The host's own credentials are kept from both.
    pub fn for_program(&self, grant: &Grant) -> Vec<(&OsStr, &OsStr)> {
        let named = |name: &str| grant.env().any(|granted| granted == name);
        let shown = |name: &OsStr| {
            let name = name.to_string_lossy();
            if named(&name) {
                return true;
            }
            match grant.commands_by() {
                CommandAuthor::Plugin => !looks_like_credential(&name),
                CommandAuthor::User => !is_host_credential(&name),
            }
        };
        self.0
            .iter()
            .filter(|(name, _)| shown(name))
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
            .collect()
    }
}

impl FromIterator<(OsString, OsString)> for HostEnv {
    fn from_iter<T: IntoIterator<Item = (OsString, OsString)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl std::fmt::Debug for HostEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostEnv({} variables)", self.0.len())
    }
}

/// Whether a variable belongs to the host's own login, which no other program needs.
pub(crate) fn is_host_credential(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["OPENAI", "CODEX", "DOVETAIL"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        && looks_like_credential(&name)
}

/// Whether a variable's name says that its value is, or opens the way to, a credential.
pub fn looks_like_credential(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "CREDENTIAL",
        "AUTH_SOCK",
        "PRIVATE_KEY",
    ];
    const ENDS: &[&str] = &[
        "KEY",
        "KEY_ID",
        "KEY_B64",
        "TOKEN",
        "TOKENS",
        "BEARER",
        "COOKIE",
        "_PAT",
        "_DSN",
        "DATABASE_URL",
    ];
    let name = name.to_ascii_uppercase();
    PARTS.iter().any(|part| name.contains(part)) || ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::Capabilities;

    fn env() -> HostEnv {
        let names = [
            "PATH",
            "HOME",
            "AWS_PROFILE",
            "AWS_SECRET_ACCESS_KEY",
            "GH_TOKEN",
            "OPENAI_API_KEY",
            "CODEX_HOME",
        ];
        names
            .iter()
            .map(|name| ((*name).into(), "value".into()))
            .collect()
    }

    fn names(pairs: &[(&OsStr, &OsStr)]) -> Vec<String> {
        pairs
            .iter()
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn credentials_are_told_by_their_names() {
        for name in [
            "OPENAI_API_KEY",
            "CODEX_API_KEY",
            "GITHUB_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_ACCESS_KEY_ID",
            "PGPASSWORD",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "SSH_AUTH_SOCK",
            "my_token",
            "SENTRY_DSN",
            "GITHUB_PAT",
        ] {
            assert!(looks_like_credential(name), "{name}");
        }
        for name in [
            "PATH",
            "HOME",
            "LANG",
            "AWS_PROFILE",
            "AWS_REGION",
            "HTTPS_PROXY",
            "CODEX_HOME",
            "KEYMAP",
            "TERM",
        ] {
            assert!(!looks_like_credential(name), "{name}");
        }
    }

    #[test]
    fn a_plugins_command_gets_no_credentials_but_those_granted() {
        let env = env();
        let mut asked = Capabilities::default();
        let grant = Grant::intersect(&asked, &asked);
        assert_eq!(
            names(&env.for_program(&grant)),
            ["AWS_PROFILE", "CODEX_HOME", "HOME", "PATH"]
        );
        asked.env.insert("GH_TOKEN".to_owned());
        let grant = Grant::intersect(&asked, &asked);
        assert_eq!(
            names(&env.for_program(&grant)),
            ["AWS_PROFILE", "CODEX_HOME", "GH_TOKEN", "HOME", "PATH"]
        );
    }

    #[test]
    fn the_users_own_command_gets_all_but_the_hosts_credentials() {
        let env = env();
        let grant = Grant::builtin(Capabilities::default());
        let expected = [
            "AWS_PROFILE",
            "AWS_SECRET_ACCESS_KEY",
            "CODEX_HOME",
            "GH_TOKEN",
            "HOME",
            "PATH",
        ];
        assert_eq!(names(&env.for_program(&grant)), expected);
    }

    #[test]
    fn a_guest_sees_only_what_is_named() {
        let asked = Capabilities {
            env: ["HOME".to_owned(), "NOT_SET".to_owned()].into(),
            ..Capabilities::default()
        };
        let seen = env().for_guest(&Grant::intersect(&asked, &asked));
        assert_eq!(seen, [("HOME".to_owned(), "value".to_owned())]);
    }
}
