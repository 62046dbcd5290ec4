//! `dovetail provider`: against servers that speak each API, and against those that are broken in each way.

mod add;
mod add_refusals;
mod api;
mod list;
mod network;
mod walk;
mod walk_failures;

use dovetail_tests::{Lab, Ran};
use serde_json::{Value, json};

use crate::DOVETAIL;

/// A lab with this configuration, and with a key in `VENDOR_KEY`.
fn lab(config: &str) -> Lab {
    let mut lab = Lab::bare(DOVETAIL);
    lab.set_env("VENDOR_KEY", SECRET);
    if !config.is_empty() {
        lab.write_config(config);
    }
    lab
}

/// The key in there.
const SECRET: &str = "vendor-secret-0123456789";

/// The configuration of a provider `vendor` at an address, with more lines in its table.
fn vendor(url: &str, more: &str) -> String {
    format!(
        "model = \"m-1\"\nmodel_provider = \"vendor\"\n\n[model_providers.vendor]\nname = \"Vendor\"\n\
         base_url = \"{url}\"\n{more}\n"
    )
}

/// Fails if a secret was printed.
#[track_caller]
fn tells_no_secret(ran: &Ran) {
    for (name, text) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
        assert!(!text.contains(SECRET), "{name} tells the secret:\n{text}");
    }
}

/// What `--json` printed, without times and versions.
#[track_caller]
fn told(lab: &Lab, ran: &Ran) -> Value {
    tells_no_secret(ran);
    normal(lab.normal_json(&ran.json()))
}

fn normal(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| match (key.as_str(), &value) {
                ("ms", Value::Number(_)) => (key, json!("<ms>")),
                ("version", Value::String(_)) => (key, json!("<version>")),
                _ => (key, normal(value)),
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(normal).collect(),
        Value::String(text) if text.contains(" (built-in)") => {
            let mut words: Vec<&str> = text.split(' ').collect();
            words[1] = "<version>";
            words.join(" ").into()
        }
        Value::String(text) => match text.split_once("first words after ") {
            Some((before, rest)) => {
                let rest = rest.find(';').map_or("", |at| &rest[at..]);
                format!("{before}first words after <time>{rest}").into()
            }
            None => text.into(),
        },
        other => other,
    }
}

/// The steps of a test as `step status`.
#[track_caller]
fn steps(ran: &Ran) -> Vec<String> {
    let told = ran.json();
    let steps = told["steps"].as_array().expect("steps");
    let text = |step: &Value, key: &str| step[key].as_str().expect("a text").to_owned();
    steps
        .iter()
        .map(|step| format!("{} {}", text(step, "step"), text(step, "status")))
        .collect()
}

/// The step that failed: its name, what is known, and what to do.
#[track_caller]
fn failure(lab: &Lab, ran: &Ran) -> (String, String, Vec<String>) {
    let told = told(lab, ran);
    let steps = told["steps"].as_array().expect("steps");
    let failed: Vec<&Value> = steps
        .iter()
        .filter(|step| step["status"] == "failed")
        .collect();
    assert_eq!(failed.len(), 1, "one step fails: {told:#}");
    let at = steps
        .iter()
        .position(|step| step == failed[0])
        .expect("it is there");
    assert!(
        steps[at + 1..]
            .iter()
            .all(|step| step["status"] == "not-reached"),
        "what comes after it is not reached: {told:#}"
    );
    assert_eq!(told["ok"], false);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let fixes = failed[0]["fix"]
        .as_array()
        .expect("a list")
        .iter()
        .map(text)
        .collect();
    (text(&failed[0]["step"]), text(&failed[0]["fact"]), fixes)
}
