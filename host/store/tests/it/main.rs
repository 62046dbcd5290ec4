//! Threads on disk: written as existing files are, and read back whatever happened to them.

mod ages;
mod check;
mod find;
mod fixture;
mod fork;
mod index;
mod lines;
mod load;
mod properties;
mod rebuild;
mod record;
mod survive;
