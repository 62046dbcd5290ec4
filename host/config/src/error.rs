//! What can be wrong with a configuration, in words a person can act on.

use std::path::PathBuf;

use crate::layer::Place;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no place to look in.
    #[error("cannot tell where the configuration is: neither `CODEX_HOME` nor `HOME` is set")]
    NoHome,
    /// A file is there but cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is a pipe or a socket.
    #[error("`{}` is not a file", path.display())]
    NotAFile {
        /// What is there instead.
        path: PathBuf,
    },
    /// A file is larger than any configuration is.
    #[error("`{}` has more than {limit} bytes, which no configuration needs", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file holds bytes that are not text.
    #[error("`{}` is not UTF-8 text (line {line})", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line of the first such byte, from 1.
        line: u32,
    },
    /// A file is not TOML.
    #[error("`{}` is not valid TOML at line {line}, column {column}: {problem}\n{excerpt}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u32,
        /// The column in characters, from 1.
        column: u32,
        /// What is wrong.
        problem: String,
        /// The line and a mark under it; values that may be secret are masked.
        excerpt: String,
    },
    /// An override is not `key=value`.
    #[error("`-c {text}` is not an override: {problem}")]
    BadOverride {
        /// The part before the first `=`.
        text: String,
        /// What is wrong.
        problem: String,
    },
    /// A setting has a value that it cannot have.
    #[error("`{key}` in {place}: {problem}")]
    Invalid {
        /// The dotted key.
        key: String,
        /// Where it was set.
        place: Place,
        /// What is wrong, including what would be right.
        problem: String,
    },
    /// A setting that does not exist, where that is an error.
    #[error("`{key}` in {place} is not a known setting")]
    UnknownKey {
        /// The dotted key.
        key: String,
        /// Where it was set.
        place: Place,
        /// A known key that looks like it.
        nearest: Option<String>,
    },
    /// A setting that existed once.
    #[error("`{key}` in {place} is no longer supported")]
    Removed {
        /// The dotted key.
        key: String,
        /// Where it was set.
        place: Place,
        /// What to do instead.
        instead: &'static str,
    },
    /// A profile that has no file.
    #[error("profile `{name}` does not exist: there is no `{}`", path.display())]
    NoProfile {
        /// The profile.
        name: String,
        /// Where its file would be.
        path: PathBuf,
    },
    /// A profile's name that cannot be a file's.
    #[error("`{name}` cannot be a profile's name: use letters, digits, `-` and `_`")]
    BadProfileName {
        /// The name.
        name: String,
    },
    /// A provider's table under a name that is taken.
    #[error("`model_providers.{id}` in {place}: `{id}` is reserved for the built-in provider")]
    ReservedProvider {
        /// The id.
        id: String,
        /// Where it was set.
        place: Place,
    },
    /// The chosen provider is neither built in, nor configured, nor served by a plugin.
    #[error("Model provider `{id}` not found")]
    UnknownProvider {
        /// The id.
        id: String,
        /// Where it was chosen.
        place: Place,
        /// Those that exist.
        known: Vec<String>,
    },
}

impl ConfigError {
    /// What to do about it, where there is something to add to the error itself.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoHome => {
                Some("set CODEX_HOME to the directory that holds config.toml".to_owned())
            }
            Self::Unreadable { .. } => Some("check the file's owner and permissions".to_owned()),
            Self::NotAFile { path } | Self::TooLarge { path, .. } | Self::NotUtf8 { path, .. } => {
                Some(format!(
                    "move `{}` away to start without it",
                    path.display()
                ))
            }
            Self::Malformed { path, line, .. } => Some(format!(
                "correct line {line}, or move `{}` away to start without it",
                path.display()
            )),
            Self::BadOverride { .. } => {
                Some("write it as `-c key=value`, such as `-c model=\"gpt-5.5\"`".to_owned())
            }
            Self::Invalid { .. } => None,
            Self::UnknownKey { nearest, .. } => Some(match nearest {
                Some(known) => format!("did you mean `{known}`?"),
                None => "remove it, or run without --strict-config".to_owned(),
            }),
            Self::Removed { instead, .. } => Some((*instead).to_owned()),
            Self::NoProfile { name, .. } => Some(format!(
                "put the profile's settings in `{name}.config.toml` there"
            )),
            Self::BadProfileName { .. } => None,
            Self::ReservedProvider { id, .. } => Some(format!(
                "give it another name, such as `[model_providers.{id}-custom]`; reserved are {}",
                quoted(crate::providers::RESERVED_PROVIDERS.iter().copied())
            )),
            Self::UnknownProvider { id, place, known } => Some(format!(
                "it was chosen in {place}; known are {}. Add `[model_providers.{id}]`, or install a plugin that serves it",
                quoted(known.iter().map(String::as_str))
            )),
        }
    }
}

/// Names in backticks with commas between them.
pub(crate) fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
