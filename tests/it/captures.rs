//! What was captured of the system we are compatible with, and what we do in the same scenario. Differences that are
//! meant are written out next to the comparison, and in `docs/differences.md`.

mod basic_turn;
mod many_calls;

use dovetail_tests::normal_json;
use serde_json::Value;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");
/// Directories in the captures.
pub(crate) const THEIRS: &[(&str, &str)] = &[
    ("/home/user/proj", "/project"),
    ("/home/user/.codex", "/home"),
];

pub(crate) fn fixture(name: &str) -> String {
    std::fs::read_to_string(format!("{FIXTURES}/{name}")).unwrap()
}

pub(crate) fn fixture_lines(name: &str) -> Vec<Value> {
    fixture(name)
        .lines()
        .map(|line| normal_json(&serde_json::from_str(line).unwrap(), THEIRS))
        .collect()
}

pub(crate) fn fixture_requests(name: &str) -> Vec<Value> {
    serde_json::from_str(&fixture(name)).unwrap()
}

/// The keys of an object, in order.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}
