//! All the unsafe code of native plugins: opening a library, calling through its table, and noting which one crashed.
//!
//! None of it can make foreign code safe. What it keeps is this side of the boundary: the table is read only as far as
//! its own size says, every pointer is checked for null, every length against a limit, and what a library gave goes back
//! to it exactly once. A library that lies about its memory can still do anything; that is what native means.

mod library;
mod signal;

pub use self::library::OpenError;
pub(super) use self::library::{Library, Output};
pub(super) use self::signal::Watch;
