//! A loopback Responses server that plays a script.
//!
//! It stands where a model would: it checks what it is asked, streams what the script says, and fails in the ways
//! real servers fail. `dovetail rehearse`, the demo and the tests all use it, so that hooks, tools, sinks and
//! providers can be tried without a model and without a network. It can also sit in front of a real service and
//! write the script of what that answered.
//!
//! It speaks HTTP/1.1 over a plain socket itself rather than through a server library, because its work is to do
//! what such a library prevents: stop in the middle of an event, send bytes that are no event, or write one byte at
//! a time. The script format is described in `docs/rehearsal.md`.

mod events;
mod expect;
mod http;
mod parse;
mod play;
mod record;
mod report;
mod run;
mod script;
mod server;
mod transcript;
mod upgrade;
mod wire;

pub use http::RecordedRequest;
pub use parse::ScriptError;
pub use report::{Difference, Problem, Report};
pub use run::{RehearseError, RehearseMode, RehearseOptions, RehearseOutcome, run};
pub use script::{Action, Check, Disconnect, Expectation, Script, Step, Subject, Upgrade, Usage};
pub use server::{Progress, RehearsalServer};
