//! The plugin's configuration: what to do, and where.

use dovetail_plugin_api::{Error, config};
use serde::Deserialize;

/// The functions in which an order without `at` is followed.
const MAIN_FUNCTIONS: [&str; 4] = ["prepare", "handle", "call-tool", "deliver"];

/// `[dovetail.plugins.<id>.config]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Orders {
    #[serde(default)]
    pub(crate) behave: Behaviour,
    /// The function to do it in.
    at: Option<String>,
    /// A URL, path, program or variable, for what reaches beyond the guest.
    #[serde(default)]
    pub(crate) target: String,
    /// Milliseconds or bytes.
    #[serde(default)]
    pub(crate) amount: u64,
    /// Whether its hooks watch instead of deciding.
    #[serde(default)]
    pub(crate) observer: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Behaviour {
    /// What is expected.
    #[default]
    Well,
    /// Panic.
    Trap,
    /// Leave the program, as if it were one.
    Exit,
    /// Never return, using the processor.
    Spin,
    /// Return after `amount` milliseconds, asking the host for the time over and over.
    Sleep,
    /// Take memory until there is none.
    Allocate,
    /// Recurse until the stack ends.
    Recurse,
    /// Return a text of `amount` bytes.
    FloodOutput,
    /// Print without end.
    FloodStdout,
    /// Log without end.
    FloodLog,
    /// Hand the host one message of `amount` bytes.
    FloodHost,
    /// Open the directory `target` and keep it open, over and over.
    Hoard,
    /// Get `target` over HTTP with `amount` headers.
    ManyHeaders,
    /// Return an error.
    Fail,
    /// Hooks deny, others return `denied`.
    Deny,
    /// Ask for the same call again in `amount` milliseconds.
    Retry,
    /// Sinks reject the batch, others return `invalid`.
    Reject,
    /// Return something that the contract's types allow and its words forbid.
    BadReturn,
    /// Get `target` over HTTP.
    Http,
    /// Connect to the address and port `target` without the host's HTTP.
    Connect,
    /// Read the file `target`.
    ReadFile,
    /// Write the file `target`.
    WriteFile,
    /// Read the environment variable `target`.
    Env,
    /// Run the program `target`.
    Process,
    /// Keep `amount` bytes.
    Kv,
    /// Ask for the secret slot `target`.
    Secret,
}

impl Orders {
    pub(crate) fn load() -> Result<Self, Error> {
        config::load()
    }

    /// Whether they are to be followed in a function.
    pub(crate) fn concern(&self, function: &str) -> bool {
        match &self.at {
            Some(at) => at == function,
            None => MAIN_FUNCTIONS.contains(&function),
        }
    }
}
