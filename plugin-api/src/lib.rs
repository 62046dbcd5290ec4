//! The SDK for Dovetail plugins: one trait for each kind of plugin, one macro to export it, one module for each
//! thing the host offers.
//!
//! A plugin is a crate of type `cdylib`, built with `cargo build --target wasm32-wasip2`. It implements one trait, or
//! several, and exports each:
//!
//! | kind | trait | macro |
//! |---|---|---|
//! | model provider | [`Provider`] | [`export_provider!`] |
//! | signing in to a provider | [`Login`] | [`export_login!`] |
//! | a login that people keep | [`Account`] | [`export_account!`] |
//! | another model API | [`Wire`] | [`export_wire!`] |
//! | tool server | [`Tools`] | [`export_tools!`] |
//! | hook handler | [`Hooks`] | [`export_hooks!`] |
//! | analytics sink | [`Sink`] | [`export_sink!`] |
//!
//! Natively the macros export nothing, so a plugin crate builds and tests like any other: keep decisions in functions
//! of values, and test those. What a plugin may reach is listed in the `plugin.toml` beside its component, and
//! granted by the user; a component that uses an import it was not granted is refused with a sentence that says so.
//!
//! A plugin never panics on purpose: a panic costs the instance, and counts as a fault. It returns an [`Error`], whose
//! text the user sees.
//!
//! The types named in the traits come from the contract, `wit/` in the repository; this crate adds constructors and
//! keeps secrets out of `Debug`. It never performs I/O of its own.

#![deny(missing_docs)]

pub mod account;
pub mod date;
pub mod failure;
pub mod hooks;
pub mod login;
pub mod provider;
pub mod sink;
pub mod tools;
pub mod wire;

mod error;
mod header;
mod import;
mod instance;
mod provider_table;
mod table_reader;

#[doc(hidden)]
#[allow(
    missing_docs,
    missing_debug_implementations,
    unsafe_op_in_unsafe_fn,
    clippy::undocumented_unsafe_blocks,
    clippy::panic,
    rust_2018_idioms,
    reason = "generated"
)]
pub mod bindings;

pub use account::Account;
/// A header as it was received, or as it is already decided. Names are in lower case.
pub use bindings::imports::dovetail::plugin::types::PlainHeader;
pub use error::Error;
pub use header::{Header, Part, Secret, is_field_name, is_field_value, is_framing_name, is_token};
pub use hooks::Hooks;
pub use import::{client, clock, config, credentials, http, kv, log, process, progress, secrets};
pub use login::Login;
pub use provider::Provider;
pub use provider_table::ProviderTable;
pub use sink::Sink;
pub use table_reader::TableReader;
pub use tools::Tools;
pub use wire::Wire;
