//! The client over real sockets, against scripted servers.

#![expect(clippy::panic, reason = "a failed test panics")]

mod credentials;
mod failures;
mod requests;
mod streams;
mod support;
