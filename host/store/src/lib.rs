//! Threads on disk: rollout files under `$CODEX_HOME/sessions`, appended as things happen and read back to resume.
//!
//! It owns the files' place and format, and nothing else: what is in a conversation is decided by the core. A file has
//! one writer at a time, every line is complete or is the last, and what cannot be understood is reported, never
//! dropped in silence.

mod append;
mod damage;
mod error;
mod find;
mod load;
mod lock;
mod parse;
mod payload;
mod permission;
mod place;
mod rebuild;
mod recorder;
mod sync;
mod turn_item;
mod uri;

pub use damage::{Damage, Problem};
pub use error::StoreError;
pub use find::{ThreadSummary, count_threads, find_by_id, find_last, list_threads};
pub use load::{LastSettings, LoadedThread, load_thread};
pub use place::local_zone;
pub use recorder::{NullRecorder, RolloutRecorder};
pub use sync::Syncer;
