//! Takes out of traces what differs from run to run, and puts names in the place of ids, so that what must be the same
//! id in two places still has to be.

use dovetail_tests::{Lab, normal_json};
use serde_json::Value;

/// Keys of times and the like.
const TIMES: &[&str] = &[
    "timestamp",
    // Counts lines, of which there are more there; that there is no gap is checked where files are.
    "ordinal",
    "create_time",
    "turn_started_at_unix_ms",
    "started_at",
    "completed_at",
    "started_at_ms",
    "completed_at_ms",
    "duration_ms",
    "time_to_first_token_ms",
    "duration",
    "x-codex-ws-stream-request-start-ms",
    "process_id",
];

/// The directories of a lab, with their names.
pub(crate) fn directories(lab: &Lab) -> Vec<(String, &'static str)> {
    [
        (lab.project(), "/project"),
        (lab.home(), "/home"),
        (lab.outside(), "/outside"),
    ]
    .map(|(path, name)| (path.display().to_string(), name))
    .to_vec()
}

/// The document without what varies.
pub(crate) fn normalised<S: AsRef<str>>(document: Value, directories: &[(S, &str)]) -> Value {
    let names = names(&document);
    let directories = directories
        .iter()
        .map(|(path, name)| (path.as_ref(), *name));
    let replaced: Vec<(&str, &str)> = directories
        .chain(names.iter().map(|(id, name)| (id.as_str(), name.as_str())))
        .collect();
    let mut document = normal_json(&document, &replaced);
    without_times(&mut document);
    document
}

/// Ids that have a meaning, with a name for it.
fn names(document: &Value) -> Vec<(String, String)> {
    let mut names: Vec<(String, String)> = Vec::new();
    // A second id of a kind is another one.
    let mut add = |id: &Value, name: String| {
        if let Some(id) = id.as_str().filter(|id| !id.is_empty())
            && !names.iter().any(|(known, _)| known == id)
        {
            let start = name.trim_end_matches('>');
            let before = names.iter().filter(|(_, known)| known.starts_with(start));
            let name = match before.count() {
                0 => name,
                count => format!("{start} {}>", count + 1),
            };
            names.push((id.to_owned(), name));
        }
    };
    let rollout = document["rollout"].as_array().unwrap();
    let requests = document["requests"].as_object().unwrap();
    let blobs = || {
        requests
            .values()
            .map(|request| &request["headers"]["x-codex-turn-metadata"])
    };
    for meta in rollout.iter().filter(|line| line["type"] == "session_meta") {
        add(&meta["payload"]["id"], "<thread>".to_owned());
        add(&meta["payload"]["forked_from_id"], "<parent>".to_owned());
        add(&meta["payload"]["parent_thread_id"], "<root>".to_owned());
        add(
            &meta["payload"]["context_window"]["window_id"],
            "<window>".to_owned(),
        );
    }
    for blob in blobs() {
        add(&blob["thread_id"], "<thread>".to_owned());
        add(&blob["session_id"], "<session>".to_owned());
        add(&blob["installation_id"], "<installation>".to_owned());
        add(&blob["context_window_id"], "<window>".to_owned());
        add(&blob["forked_from_thread_id"], "<parent>".to_owned());
    }
    let recorded = rollout
        .iter()
        .filter(|line| line["payload"]["type"] == "task_started");
    let turns = recorded
        .map(|line| &line["payload"]["turn_id"])
        .chain(blobs().map(|blob| &blob["turn_id"]));
    let events = || document["events"].as_array().into_iter().flatten();
    let turns = turns.chain(events().map(|event| &event["turn"]));
    for turn in turns {
        add(turn, "<turn>".to_owned());
    }
    // Of a turn that works for another one; others are their own.
    for line in rollout {
        add(&line["payload"]["root_turn_id"], "<root turn>".to_owned());
    }
    for line in rollout {
        // A reviewer's, among the lines of the thread that it works for.
        add(&line["payload"]["thread_id"], "<reviewer>".to_owned());
    }
    for event in events() {
        add(&event["thread_id"], "<thread>".to_owned());
        add(&event["thread"]["id"], "<thread>".to_owned());
    }
    names
}

fn without_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if TIMES.contains(&key.as_str()) && !value.is_null() {
                    *value = "<time>".into();
                }
                without_times(value);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(without_times),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
