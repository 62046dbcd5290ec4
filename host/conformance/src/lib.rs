//! Tries a plugin out against a host that is made up: no network, no programs, no files but those of a table.
//!
//! [`try_out`] loads a component as the host does, asks it everything that its kinds may be asked, well-formed and not,
//! runs the cases of table files, and reports what it found. It decides nothing about plugins: a finding is about one
//! file, and the report is for its author.

mod hooks;
mod lab;
mod outside;
mod provider;
mod report;
mod sink;
mod table;
mod text;
mod timing;
mod tools;

pub use self::lab::{Candidate, LabError, try_out};
pub use self::report::{Finding, Report, TableReport, Timing};
pub use self::table::{Table, TableError};
