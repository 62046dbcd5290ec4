//! Failed exchanges: why they failed, and that in the contract's words.

use std::time::Duration;

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::PluginError;
use url::Url;

use crate::address::AddressRefused;
use crate::origin::origin_of;

/// An exchange that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    /// Where.
    pub(crate) stage: Stage,
    /// What the plugin is told.
    pub(crate) error: PluginError,
}

/// Where an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing was sent: the address is beyond the grant.
    Refused,
    /// Nothing was sent: it cannot be.
    Unsendable,
    /// Its time was over.
    Timeout,
    /// There is no connection.
    Connect,
    /// There is a connection, but it cannot be made safe.
    Tls,
    /// It broke off.
    BrokenOff,
    /// A made-up world does not answer.
    MadeUp,
}

impl Failed {
    pub(crate) fn new(
        plugin: &PluginId,
        url: &Url,
        timeout: Duration,
        error: reqwest::Error,
    ) -> Self {
        // The URL's query may hold a credential.
        let error = error.without_url();
        let origin = origin_of(url);
        let stage = Stage::of(&error);
        let retryable = |reason| PluginError::Retryable {
            reason,
            after: None,
        };
        let error = match stage {
            Stage::Refused => {
                // Not the innermost cause: that is it.
                let refused = find::<AddressRefused>(&error).map(ToString::to_string);
                PluginError::Denied(format!(
                    "plugin `{plugin}` may not connect to `{origin}`: {}; if that is meant, grant the address itself",
                    refused.unwrap_or_default()
                ))
            }
            Stage::Unsendable => PluginError::Invalid(format!(
                "the request to `{origin}` is malformed: {}",
                cause(&error)
            )),
            Stage::Timeout => retryable(format!(
                "`{origin}` did not answer within {} ms",
                timeout.as_millis()
            )),
            Stage::Connect | Stage::Tls => {
                retryable(format!("cannot connect to `{origin}`: {}", cause(&error)))
            }
            Stage::BrokenOff | Stage::MadeUp => retryable(format!(
                "the exchange with `{origin}` broke off: {}",
                cause(&error)
            )),
        };
        Self { stage, error }
    }

    /// There is no client to send it with.
    pub(crate) fn unprepared(error: PluginError) -> Self {
        Self {
            stage: Stage::Unsendable,
            error,
        }
    }

    /// A made-up world says so.
    pub(crate) fn made_up(error: PluginError) -> Self {
        Self {
            stage: Stage::MadeUp,
            error,
        }
    }
}

impl From<Failed> for PluginError {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

impl Stage {
    fn of(error: &reqwest::Error) -> Self {
        if find::<AddressRefused>(error).is_some() {
            Self::Refused
        } else if error.is_builder() {
            Self::Unsendable
        } else if error.is_timeout() {
            Self::Timeout
        } else if error.is_connect() {
            match find::<rustls::Error>(error) {
                Some(_) => Self::Tls,
                None => Self::Connect,
            }
        } else {
            Self::BrokenOff
        }
    }
}

/// The innermost cause: the layers above it repeat each other.
pub(crate) fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Looks into I/O errors too, which leave out of their sources what they wrap.
fn find<'e, E: std::error::Error + 'static>(
    error: &'e (dyn std::error::Error + 'static),
) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}
