//! Threads on disk: rollout files under `$CODEX_HOME/sessions`, appended as things happen and read back to resume.
//!
//! It owns the files' place and format, and nothing else: what is in a conversation is decided by the core. A file has
//! one writer at a time, every line is complete or is the last, and what cannot be understood is reported, never
//! dropped in silence.

mod append;
mod batch;
mod check;
mod damage;
mod error;
mod files;
mod find;
mod fork;
mod index;
mod lineage;
mod lines;
mod listing;
mod load;
mod lock;
mod names;
mod parse;
mod payload;
mod permission;
mod place;
mod rebuild;
mod recorder;
mod reopen;
mod search;
mod shelf;
mod summary;
mod sync;
mod turn_item;
mod turns;
mod uri;
mod walk;

pub use check::{
    Checked, Finding, Repaired, check_file, check_names, copies, files_to_check, repair,
};
pub use damage::{Damage, Problem};
pub use error::StoreError;
pub use find::{count_threads, find_by_id, find_called, find_last, find_named, same_place};
pub use fork::{ForkAt, ForkSettings, fork_thread};
pub use listing::{Listing, ThreadSummary, index_path, list_threads, rebuild_index};
pub use load::{LastSettings, LoadedThread, load_thread};
pub use names::{check_name, set_name};
pub use place::local_zone;
pub use recorder::{NullRecorder, RolloutRecorder};
pub use search::{Hit, search_threads};
pub use shelf::{archive_thread, delete_thread, unarchive_thread};
pub use sync::Syncer;
pub use turns::{TurnSummary, list_turns};
