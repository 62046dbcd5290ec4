//! The examples, dropped into the plugins directory as a user would, with and without a grant.

mod drift;
mod hooks;
mod protected;
mod providers;
mod reload;
mod sinks;
mod tools;
mod trust;
#[cfg(target_os = "linux")]
mod trust_key;
mod try_out;
mod visibility;

use dovetail_tests::{Lab, script};
use serde_json::Value;

pub(crate) fn notes(lab: &Lab) {
    lab.write(
        "notes/style.md",
        "Greetings\nA greeting ends with a comma.\n",
    );
}

/// The texts of a tool server's result.
pub(crate) fn output_parts(lab: &Lab, call_id: &str) -> Vec<String> {
    let parts: Value = serde_json::from_str(&lab.output_of(call_id)).unwrap();
    let parts = parts
        .as_array()
        .unwrap()
        .iter()
        .inspect(|part| assert_eq!(part["type"], "input_text"));
    parts
        .map(|part| lab.normal(part["text"].as_str().unwrap()))
        .collect()
}

/// A response that searches the notes.
pub(crate) fn search(call_id: &str) -> String {
    script::response(&format!(
        "{{ tool_call = \"search\", namespace = \"mcp__notes\", call_id = \"{call_id}\", arguments = {{ query = \"comma\" }} }}"
    ))
}
