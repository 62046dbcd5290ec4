//! Integration tests: the real binary against a scripted model on a real socket, in one test binary.
//!
//! Each test has a [`Lab`] of its own. What a test needs of the outside world is a POSIX shell and git.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says why it fails by failing"
)]

mod captures;
mod config;
mod demo;
mod exec;
mod exec_input;
mod failures;
mod failures_at_load;
mod interrupt;
mod plugin_commands;
mod plugins;
mod providers;
mod sandbox;
mod server_faults;
mod sinks;
mod threads;

use dovetail_tests::Lab;

/// The binary under test.
const DOVETAIL: &str = env!("CARGO_BIN_EXE_dovetail");

/// A lab whose model plays these responses.
async fn lab(responses: &[&str]) -> Lab {
    Lab::new(DOVETAIL, &responses.concat()).await
}

#[test]
fn every_file_here_is_part_of_the_binary() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/it");
    let mut files: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
        .filter(|name| name != "main")
        .collect();
    files.sort();
    let modules: Vec<&str> = include_str!("main.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    assert_eq!(files, modules);
}
