//! The harness of the integration tests: a temporary home and project, a scripted model server on a real socket, and
//! the real binary. Nothing here is a stand-in for a part of the host.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a harness says why it fails by failing"
)]

mod compare;
mod crude;
mod guests;
#[cfg(target_os = "linux")]
pub mod keyring;
mod lab;
mod normal;
mod run;
pub mod script;
mod service;
mod terminal;

pub use compare::{Change, changes};
pub use crude::{CRUDE_MANIFEST, crude, crude_guest};
pub use guests::{
    ACME, AGENT_SIGNER, BEDROCK, COUNTER, ECHO, Guest, MISBEHAVER, MOODY, NO_RM, NOTES,
    OLD_CONTRACT, REWRITE, TOO_GREEDY, WEB_CALLER, WIRE_BREAKER,
};
pub use lab::{Lab, read_lines, shared_cache};
pub use normal::{normal, normal_json};
pub use run::{Ran, Running};
pub use service::{Answer, Asked, Service};
pub use terminal::OnTerminal;
