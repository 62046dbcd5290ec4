//! What a plugin answers when the answer is no.

use serde::{Deserialize, Serialize};

/// A plugin's typed refusal. The texts are sentences for the user, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Error {
    /// It may not do that.
    Denied(String),
    /// The same call may succeed later.
    Retryable(RetryHint),
    /// The input was wrong; repeating it will not help.
    Invalid(String),
    /// Something this depends on is missing.
    Unavailable(String),
    /// None of these.
    Other(String),
}

/// When to try again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RetryHint {
    /// One sentence for the user.
    pub reason: String,
    /// Milliseconds to wait, where the plugin knows.
    #[serde(default)]
    pub after_ms: Option<u64>,
}

impl Error {
    /// The same call may succeed later.
    pub fn retryable(reason: impl Into<String>) -> Self {
        Self::Retryable(RetryHint {
            reason: reason.into(),
            after_ms: None,
        })
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Denied(text)
        | Self::Retryable(RetryHint { reason: text, .. })
        | Self::Invalid(text)
        | Self::Unavailable(text)
        | Self::Other(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for Error {}
