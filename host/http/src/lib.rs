//! How every part of the host reaches the web: certificates, proxies, and what stays on this machine.
//!
//! Requests to models, packages from servers and registries, and the requests of plugins all begin with the builder
//! made here, so that what a person sets for one holds for all. It decides nothing about who may send what where.

mod authorities;
mod client;
mod file;
mod identity;
pub mod proxy;
pub mod reach;

pub use authorities::{CA_VARIABLE, extra as extra_authorities};
pub use client::{Way, builder, choose_crypto, is_loopback};
pub use file::UnusableFile;
pub use identity::{CERTIFICATE_VARIABLE, HOSTS_VARIABLE, KEY_VARIABLE};
