//! Integration tests: the real binary against a scripted model on a real socket, in one test binary.
//!
//! Each test has a [`Lab`] of its own. What a test needs of the outside world is a POSIX shell and git.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says why it fails by failing"
)]

mod auth;
mod bedrock;
mod canary;
mod captures;
mod compaction;
mod compat;
mod config;
mod context;
mod contract;
mod coverage;
mod demo;
mod egress;
mod exec;
mod exec_input;
mod exec_local;
mod exec_notify;
mod failures;
mod identity;
mod interrupt;
mod items;
mod languages;
mod model_options;
mod models;
mod models_online;
mod native;
mod packages;
mod plugin_commands;
mod plugins;
mod provider_cmd;
mod provider_tables;
mod providers;
mod raw_server;
mod readme;
mod review;
mod sandbox;
mod server_faults;
mod session;
mod threads;
mod threat_model;
mod tls_server;
mod token_command;
mod tools;
mod websockets;
mod wires;

use std::path::{Path, PathBuf};

use dovetail_tests::Lab;

/// The binary under test.
const DOVETAIL: &str = env!("CARGO_BIN_EXE_dovetail");

/// A lab whose model plays these responses.
async fn lab(responses: &[&str]) -> Lab {
    Lab::new(DOVETAIL, &responses.concat()).await
}

#[test]
fn every_file_here_is_part_of_the_binary() {
    let here = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/it"));
    for dir in [here.to_owned()]
        .into_iter()
        .chain(entries(here).into_iter().filter(|path| path.is_dir()))
    {
        let parent = if dir == here {
            here.join("main.rs")
        } else {
            dir.with_extension("rs")
        };
        let files: Vec<String> = entries(&dir)
            .iter()
            .filter(|path| path.is_file() && **path != parent)
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        let text = std::fs::read_to_string(&parent).unwrap();
        let modules: Vec<&str> = text
            .lines()
            .filter_map(|line| {
                line.strip_prefix("pub(crate) ")
                    .unwrap_or(line)
                    .strip_prefix("mod ")?
                    .strip_suffix(';')
            })
            .collect();
        assert_eq!(files, modules, "{}", parent.display());
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    entries
}
