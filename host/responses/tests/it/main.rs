//! The client over real sockets, against scripted servers.

#![expect(clippy::panic, reason = "a failed test panics")]

mod continuations;
mod credentials;
mod failures;
mod requests;
mod sockets;
mod streams;
mod support;
mod upgrades;
