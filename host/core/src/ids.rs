//! Identifiers. Each is its own type, so that one cannot be passed where another is meant.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {what}: {why}")]
pub struct InvalidId {
    what: &'static str,
    text: String,
    why: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new id (UUIDv7, so ids sort by age).
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// Reads an id in any of UUID's text forms.
            ///
            /// # Errors
            /// Says which text is not a UUID.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId {
                    what: $what,
                    text: text.to_owned(),
                    why: "expected a UUID",
                })
            }

            /// When it was made, as far as an id tells: those of version 7 do.
            pub fn time(self) -> Option<SystemTime> {
                let timestamp = (self.0.get_version_num() == 7).then(|| self.0.get_timestamp())??;
                let (seconds, nanos) = timestamp.to_unix();
                UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
            }

            /// The UUID itself.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }
    };
}

uuid_id!(
    /// A conversation that is kept on disk. Its root's id is also the session id.
    ThreadId,
    "thread id"
);
uuid_id!(
    /// One exchange: a prompt and everything up to the answer.
    TurnId,
    "turn id"
);
uuid_id!(
    /// A stretch of a conversation between two compactions.
    WindowId,
    "window id"
);

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $allowed:expr, $why:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks a text and makes it a name.
            ///
            /// # Errors
            /// Says what a name may consist of.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let allowed: fn(char) -> bool = $allowed;
                let begins = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
                if !begins || text.len() > $max || !text.chars().all(allowed) {
                    return Err(InvalidId { what: $what, text: text.to_owned(), why: $why });
                }
                Ok(Self(text.to_owned()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name_id!(
    /// A plugin's id: the name of its folder and of its component.
    PluginId,
    "plugin id",
    64,
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'),
    "use lower-case letters, digits, `-`, `_` and `.`, at most 64"
);
name_id!(
    /// The name of a tool.
    ToolName,
    "tool name",
    64,
    |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'),
    "use letters, digits, `-` and `_`, at most 64"
);

/// The model's id for one tool call. Opaque: it is given back as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(String);

impl CallId {
    /// Wraps the model's text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
