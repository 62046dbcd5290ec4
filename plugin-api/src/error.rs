//! The one error type of plugins.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::bindings::imports::dovetail::plugin::types;

/// A failure that the host can act on. The texts are for the user: say what was being done, to what, and what to do.
///
/// A failure that fits nothing else is [`Error::Other`], which is what `?` makes of a plain text:
///
/// ```
/// use dovetail_plugin_api::Error;
///
/// fn port(text: &str) -> Result<u16, Error> {
///     text.parse().map_err(|_| Error::invalid(format!("`{text}` is not a port")))
/// }
///
/// assert_eq!(port("http").unwrap_err().to_string(), "`http` is not a port");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The host's grant for this plugin does not list what was asked for.
    Denied(String),
    /// The same call may succeed later.
    Retryable {
        /// One sentence for the user.
        reason: String,
        /// How long to wait; none leaves it to the host.
        after: Option<Duration>,
    },
    /// The input was wrong (configuration, arguments); repeating it will not help.
    Invalid(String),
    /// Something this depends on is missing: a secret that is not set, an app that is not connected.
    Unavailable(String),
    /// Nothing above fits.
    Other(String),
}

impl Error {
    /// The grant does not list what was asked for.
    pub fn denied(text: impl Into<String>) -> Self {
        Self::Denied(text.into())
    }

    /// The same call may succeed later; the host decides when.
    pub fn retryable(reason: impl Into<String>) -> Self {
        Self::Retryable {
            reason: reason.into(),
            after: None,
        }
    }

    /// The same call may succeed after a delay.
    pub fn retry_after(reason: impl Into<String>, after: Duration) -> Self {
        Self::Retryable {
            reason: reason.into(),
            after: Some(after),
        }
    }

    /// The input was wrong.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    /// Something this depends on is missing.
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self::Unavailable(text.into())
    }

    /// Nothing else fits.
    pub fn other(text: impl Into<String>) -> Self {
        Self::Other(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text)
            | Self::Retryable { reason: text, .. }
            | Self::Invalid(text)
            | Self::Unavailable(text)
            | Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    fn from(text: String) -> Self {
        Self::Other(text)
    }
}

impl From<&str> for Error {
    fn from(text: &str) -> Self {
        Self::Other(text.to_owned())
    }
}

/// JSON that does not have the expected form is wrong input.
impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// A refused path is [`Error::Denied`], a missing one [`Error::Unavailable`], the rest [`Error::Other`].
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::Denied(error.to_string()),
            io::ErrorKind::NotFound => Self::Unavailable(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::Denied(text) => Self::Denied(text),
            types::Error::Retryable(hint) => Self::Retryable {
                reason: hint.reason,
                after: hint.after_ms.map(Duration::from_millis),
            },
            types::Error::Invalid(text) => Self::Invalid(text),
            types::Error::Unavailable(text) => Self::Unavailable(text),
            types::Error::Other(text) => Self::Other(text),
        }
    }
}

impl From<Error> for types::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied(text) => Self::Denied(text),
            Error::Retryable { reason, after } => Self::Retryable(types::RetryHint {
                reason,
                after_ms: after.map(crate::import::millis),
            }),
            Error::Invalid(text) => Self::Invalid(text),
            Error::Unavailable(text) => Self::Unavailable(text),
            Error::Other(text) => Self::Other(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_survives_the_trip_through_the_contract() {
        let errors = [
            Error::denied("a"),
            Error::retryable("b"),
            Error::retry_after("c", Duration::from_millis(1500)),
            Error::invalid("d"),
            Error::unavailable("e"),
            Error::other("f"),
        ];
        for error in errors {
            assert_eq!(Error::from(types::Error::from(error.clone())), error);
        }
    }

    #[test]
    fn io_errors_keep_what_the_host_can_act_on() {
        let denied = Error::from(io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(matches!(denied, Error::Denied(_)), "{denied:?}");
        let missing = Error::from(io::Error::from(io::ErrorKind::NotFound));
        assert!(matches!(missing, Error::Unavailable(_)), "{missing:?}");
    }
}
