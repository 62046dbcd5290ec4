//! The SDK for native Dovetail plugins: shared libraries that the host loads into its own process.
//!
//! **Nothing confines such a library.** It can do whatever the user can, and a crash in it ends the host. Write one only
//! for what a sandbox cannot do, such as talking to a key store, a hardware token or a graphics card; for everything
//! else use `dovetail-plugin-api` and build a component.
//!
//! A plugin is a crate of type `cdylib`. Its type implements [`Plugin`] and the trait of each of its kinds
//! ([`Provider`], [`Tools`], [`Hooks`], [`Sink`]), and is exported once with [`export_plugin!`]:
//!
//! ```
//! use dovetail_native_api::{Error, Opening, Plugin, Tools, export_plugin, tools};
//!
//! struct Clock;
//!
//! impl Plugin for Clock {
//!     fn open(_: &Opening) -> Result<Self, Error> {
//!         Ok(Self)
//!     }
//! }
//!
//! impl Tools for Clock {
//!     fn list_tools(&self) -> Result<Vec<tools::Tool>, Error> {
//!         Ok(vec![tools::Tool::new("uptime", "Seconds since the machine started")])
//!     }
//!
//!     fn call_tool(&self, _: &tools::Call) -> Result<tools::CallResult, Error> {
//!         let text = std::fs::read_to_string("/proc/uptime");
//!         text.map(tools::CallResult::text).map_err(|e| Error::Unavailable(e.to_string()))
//!     }
//! }
//!
//! export_plugin!(Clock, id: "clock", kinds: [tools]);
//! # fn main() {}
//! ```
//!
//! The boundary itself is C, described in `include/dovetail_native.h`; this crate is one way to cross it. No `unsafe` is
//! needed to use it: panics are caught and reported, memory goes back to where it came from. The host makes one call at a
//! time.
//!
//! The types here are also what the host reads and writes, so both sides agree by construction. They are the records of
//! the contract, `wit/` in the repository, with the same names; see there for what they mean.

#![deny(missing_docs)]

pub mod abi;
pub mod hooks;
pub mod op;
pub mod plugin;
pub mod provider;
pub mod sink;
pub mod tools;

mod base64_text;
mod error;
#[doc(hidden)]
pub mod export;

pub use error::{Error, RetryHint};
pub use hooks::Hooks;
pub use plugin::{Manifest, Opening, Plugin};
pub use provider::Provider;
pub use sink::Sink;
pub use tools::Tools;

/// The version of the contract that the payloads follow.
pub const API: &str = "0.1.0";
