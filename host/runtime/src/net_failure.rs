//! Failed exchanges in the contract's words.

use std::time::Duration;

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::PluginError;
use url::Url;

use crate::address::AddressRefused;
use crate::origin::origin_of;

/// What a failed exchange means to the plugin: why it failed, and whether to repeat it.
pub(crate) fn failure(
    plugin: &PluginId,
    url: &Url,
    timeout: Duration,
    error: reqwest::Error,
) -> PluginError {
    // The URL's query may hold a credential.
    let error = error.without_url();
    let origin = origin_of(url);
    if let Some(refused) = find::<AddressRefused>(&error) {
        return PluginError::Denied(format!(
            "plugin `{plugin}` may not connect to `{origin}`: {refused}; if that is meant, grant the address itself"
        ));
    }
    if error.is_builder() {
        return PluginError::Invalid(format!(
            "the request to `{origin}` is malformed: {}",
            cause(&error)
        ));
    }
    let reason = if error.is_timeout() {
        format!(
            "`{origin}` did not answer within {} ms",
            timeout.as_millis()
        )
    } else if error.is_connect() {
        format!("cannot connect to `{origin}`: {}", cause(&error))
    } else {
        format!("the exchange with `{origin}` broke off: {}", cause(&error))
    };
    PluginError::Retryable {
        reason,
        after: None,
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

fn find<'e, E: std::error::Error + 'static>(
    error: &'e (dyn std::error::Error + 'static),
) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
