//! Why there are no credentials, and whether signing in again would help.

use dovetail_plugin_api::Error;

/// A failure to get credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) error: Error,
    /// Whether it is a sign-in that is over, so that the command of `aws.auth_refresh` can mend it.
    pub(crate) sign_in: bool,
}

impl Trouble {
    /// Nothing but the user can mend it, and not by signing in.
    pub(crate) fn lasting(text: impl Into<String>) -> Self {
        Self {
            error: Error::Unavailable(text.into()),
            sign_in: false,
        }
    }

    /// A sign-in is missing or over.
    pub(crate) fn signed_out(text: impl Into<String>) -> Self {
        Self {
            sign_in: true,
            ..Self::lasting(text)
        }
    }

    /// The same call may work later.
    pub(crate) fn passing(text: impl Into<String>) -> Self {
        Self {
            error: Error::retryable(text),
            sign_in: false,
        }
    }

    /// Says before the error what was being done.
    pub(crate) fn while_doing(self, what: &str) -> Self {
        let error = match self.error {
            Error::Denied(text) => Error::Denied(format!("{what}: {text}")),
            Error::Retryable { reason, after } => Error::Retryable {
                reason: format!("{what}: {reason}"),
                after,
            },
            Error::Invalid(text) => Error::Invalid(format!("{what}: {text}")),
            Error::Unavailable(text) => Error::Unavailable(format!("{what}: {text}")),
            Error::Other(text) => Error::Other(format!("{what}: {text}")),
        };
        Self { error, ..self }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self {
            error,
            sign_in: false,
        }
    }
}
