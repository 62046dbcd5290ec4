//! What every native plugin has, whatever its kinds.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;

/// What a library says about itself, as JSON in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// The version of the boundary that it was built for, [`ABI`](crate::abi::ABI).
    pub abi: u32,
    /// The plugin's id.
    pub id: String,
    /// The version of the contract that its payloads follow.
    pub api: String,
    /// What it is: `provider`, `tools`, `hooks`, `sink`.
    pub kinds: Vec<String>,
}

/// What a plugin is told when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Opening {
    /// `[dovetail.plugins.<id>.config]` as JSON, `{}` where there is none.
    pub config_json: String,
    /// The host's name and version.
    pub host: String,
}

impl Opening {
    /// The configuration as a value.
    ///
    /// # Errors
    /// `invalid` where it is not JSON, which no host sends.
    pub fn config(&self) -> Result<Value, Error> {
        serde_json::from_str(&self.config_json).map_err(|e| Error::Invalid(e.to_string()))
    }
}

/// A native plugin.
///
/// The host makes one call at a time, so there is no need for locks beyond what the compiler asks for; the value is
/// shared because a plugin may start threads of its own.
pub trait Plugin: Sized + Send + Sync + 'static {
    /// Starts the plugin. Called before anything else, and again, on a new value, after a panic.
    ///
    /// # Errors
    /// The plugin cannot work with this configuration or on this machine; it is not loaded.
    fn open(opening: &Opening) -> Result<Self, Error>;
}
