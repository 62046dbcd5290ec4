//! Threads on disk: written as existing files are, and read back whatever happened to them.

mod find;
mod fixture;
mod load;
mod rebuild;
mod record;
mod survive;
