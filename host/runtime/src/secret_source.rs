//! Where the value of a secret slot comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use dovetail_core::secret::SecretText;
use dovetail_keyring::Entry;

use crate::argv::display_argv;
use crate::host_env::is_host_credential;

/// Where the value of a secret slot comes from.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file that only the user can read. Also what a plugin that owns the slot may replace.
    File(PathBuf),
    /// A file that others may read too, and that no plugin replaces: what another program keeps its settings and
    /// credentials in. Only the host's own configuration leads to one; there is no text for it.
    Document(PathBuf),
    /// A text field of `$CODEX_HOME/auth.json`; dots lead into objects.
    Auth(String),
    /// What a program prints, without the line end.
    Command(Vec<String>),
    /// A value that the user wrote in the configuration.
    Inline(SecretText),
    /// An entry of the desktop's keyring.
    Keyring(Entry),
    /// The store of logins, whole. Only a plugin that owns the slot reads or replaces it.
    Login(LoginStore),
    /// Nothing usable: the written source was not understood, and the default must not take its place.
    Unusable,
}

/// Where logins are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginStore {
    /// In a file. Where that is a link, in what it points to.
    File(PathBuf),
    /// In the desktop's keyring.
    Keyring(KeyringLogin),
    /// In this process alone.
    Memory,
}

/// A login that is kept in the desktop's keyring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyringLogin {
    /// The entry that holds it.
    pub entry: Entry,
    /// Where it would be without a keyring. A login that goes into the keyring does not stay there.
    pub file: PathBuf,
    /// Whether the file is used where the keyring has no login, or cannot be had.
    pub falls_back: bool,
}

/// Why a text names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretSourceError {
    /// There is no such kind of source.
    #[error(
        "`{0}` is no source of a secret; use env:NAME, file:PATH, keyring:SERVICE/ACCOUNT, auth:KEY or command:PROGRAM ARGS"
    )]
    Unknown(String),
    /// The kind is right, the rest is not.
    #[error("`{text}` is no source of a secret: {why}")]
    Malformed {
        /// The text.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl SecretSource {
    /// Reads the form in which the lock keeps sources.
    ///
    /// # Errors
    /// Says which sources there are. An inline value is none of them: it has no place in the lock.
    pub fn parse(text: &str) -> Result<Self, SecretSourceError> {
        let malformed = |why| SecretSourceError::Malformed {
            text: text.to_owned(),
            why,
        };
        let (kind, rest) = text
            .split_once(':')
            .ok_or_else(|| SecretSourceError::Unknown(text.to_owned()))?;
        if rest.is_empty() {
            return Err(malformed("it names nothing"));
        }
        match kind {
            "env" if rest.contains(['=', '\0']) => Err(malformed("that is no variable name")),
            "env" => Ok(Self::Env(rest.to_owned())),
            "file" if rest.starts_with('/') || rest.starts_with("~/") => {
                Ok(Self::File(rest.into()))
            }
            "file" => Err(malformed("write the path from `/` or `~/`")),
            "auth" => Ok(Self::Auth(rest.to_owned())),
            "command" => match shlex::split(rest) {
                Some(argv) if argv.first().is_some_and(|program| !program.is_empty()) => {
                    Ok(Self::Command(argv))
                }
                _ => Err(malformed(
                    "its quotes are not closed, or there is no program",
                )),
            },
            "keyring" => Entry::parse(rest)
                .map(Self::Keyring)
                .map_err(|_| malformed("an entry of the keyring is written SERVICE/ACCOUNT")),
            _ => Err(SecretSourceError::Unknown(text.to_owned())),
        }
    }

    /// The source of a slot for which the user chose none: the variable that the slot names, or that is called like
    /// it.
    ///
    /// None for `auth:` and `config:` slots, and where the variable is the host's own credential: a plugin gets those
    /// only where the user says so, not by naming a slot after them.
    pub fn default_of(slot: &str) -> Option<Self> {
        let variable = match slot.split_once(':') {
            Some(("env", name)) => name.to_owned(),
            Some(_) => return None,
            None => slot.to_ascii_uppercase().replace('-', "_"),
        };
        (!is_host_credential(&variable)).then_some(Self::Env(variable))
    }

    /// The path of a file source, with `~` resolved.
    pub(crate) fn file(path: &Path, home: Option<&Path>) -> Option<PathBuf> {
        match path.strip_prefix("~") {
            Ok(rest) => Some(home?.join(rest)),
            Err(_) => Some(path.to_owned()),
        }
    }
}

/// For people; never the value.
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable `{name}`"),
            Self::File(path) | Self::Document(path) => write!(f, "file `{}`", path.display()),
            Self::Auth(key) => write!(f, "`{key}` in auth.json"),
            Self::Command(argv) => write!(f, "output of `{}`", display_argv(argv)),
            Self::Inline(_) => f.write_str("value in the configuration"),
            Self::Keyring(entry) => write!(f, "keyring entry `{entry}`"),
            Self::Login(LoginStore::File(path)) => write!(f, "login in `{}`", path.display()),
            Self::Login(LoginStore::Keyring(login)) => {
                write!(f, "login in keyring entry `{}`", login.entry)
            }
            Self::Login(LoginStore::Memory) => f.write_str("login of this process"),
            Self::Unusable => f.write_str("a source that is not understood"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_shown() {
        let cases = [
            ("env:ACME_TOKEN", "environment variable `ACME_TOKEN`"),
            ("file:~/.acme/token", "file `~/.acme/token`"),
            ("auth:OPENAI_API_KEY", "`OPENAI_API_KEY` in auth.json"),
            (
                "command:op read 'op://a b/c'",
                "output of `op read 'op://a b/c'`",
            ),
            ("keyring:acme/ann", "keyring entry `acme/ann`"),
        ];
        for (text, shown) in cases {
            assert_eq!(SecretSource::parse(text).expect("valid").to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_source_is_refused() {
        for text in [
            "",
            "ACME_TOKEN",
            "env:",
            "file:relative",
            "command:'open",
            "command: ",
            "vault:x",
            "config:inline",
            "env:A=B",
            "keyring:acme",
            "keyring:/ann",
        ] {
            assert!(SecretSource::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_default_is_a_variable_but_never_the_hosts_own() {
        assert!(
            matches!(SecretSource::default_of("acme-token"), Some(SecretSource::Env(name)) if name == "ACME_TOKEN")
        );
        assert!(SecretSource::default_of("openai-api-key").is_none());
        assert!(SecretSource::default_of("codex_access_token").is_none());
        assert!(SecretSource::default_of("env:OPENAI_API_KEY").is_none());
        assert!(SecretSource::default_of("auth:tokens.access_token").is_none());
        assert!(
            matches!(SecretSource::default_of("env:Mixed"), Some(SecretSource::Env(name)) if name == "Mixed")
        );
    }
}
