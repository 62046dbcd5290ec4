//! The host's vocabulary, conversation, turn loop, verdicts and ports.
//!
//! This crate performs no I/O: it never names wasmtime, reqwest, a file or a socket. Adapters implement its ports;
//! the turn loop runs on them with plain values. JSON values appear only as tool arguments and schemas, and where a
//! wire type is by definition JSON.

pub mod approval;
pub mod compaction;
pub mod context;
pub mod event;
pub mod history;
pub mod ids;
pub mod item;
pub mod lineage;
pub mod model;
pub mod originator;
pub mod plugin;
pub mod records;
pub mod retry;
pub mod review;
pub mod secret;
pub mod server_tool;
pub mod shorten;
pub mod snapshot;
pub mod tool;
pub mod tool_search;
pub mod toolbox;
pub mod turn;
pub mod usage;
pub mod verdict;
