//! The turn loop on plain values: no socket, no file, no guest.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says why it fails by failing"
)]

mod calls;
mod compaction;
mod failures;
mod gates;
mod house;
mod interrupt;
mod prompts;
mod steering;
