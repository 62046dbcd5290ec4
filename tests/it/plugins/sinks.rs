//! The built-in sink and one that counts.

use dovetail_tests::{COUNTER, Lab, NO_RM, NOTES, script};
use serde_json::{Value, json};

use super::{notes, search};
use crate::lab;

/// `[dovetail.plugins.jsonl-sink]`, writing all classes to `events.jsonl` in the project.
pub(crate) fn jsonl_sink(lab: &Lab) -> std::path::PathBuf {
    let path = lab.project().join("events.jsonl");
    lab.add_config(&format!(
        "[dovetail.plugins.jsonl-sink]\nenabled = true\nclasses = [\"content\", \"location\", \"identity\"]\n\
         config = {{ path = \"{}\" }}",
        path.display()
    ));
    path
}

#[tokio::test]
async fn sinks_get_every_event_of_a_turn() {
    let mut lab = lab(&[
        &script::command("c", "echo hi"),
        &search("n"),
        &script::answer("done"),
    ])
    .await;
    lab.set_env("DOVETAIL_LOG", "debug");
    notes(&lab);
    lab.install(&NOTES).await;
    lab.install(&NO_RM).await;
    lab.install(&COUNTER).await;
    let path = jsonl_sink(&lab);
    let ran = lab.exec(&["go"]).await.expect_code(0);
    let events = dovetail_tests::read_lines(&path);
    // A command may begin before or after its response is complete.
    let (requests, kinds): (Vec<&str>, Vec<&str>) = events
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .partition(|kind| *kind == "request.completed");
    assert_eq!(requests.len(), 3);
    let (loaded, kinds): (Vec<&str>, Vec<&str>) =
        kinds.into_iter().partition(|kind| *kind == "plugin.loaded");
    assert_eq!(loaded.len(), 5, "three, the sink and the provider");
    assert_eq!(
        kinds,
        [
            "thread.started",
            "turn.started",
            "turn.settings",
            "prompt.submitted",
            "hook.ran",
            "tool.started",
            "tool.finished",
            "tool.called",
            "tool.started",
            "tool.finished",
            "tool.called",
            "message.completed",
            "turn.completed",
        ]
    );
    let sequence: Vec<Value> = events
        .iter()
        .map(|event| event["sequence"].clone())
        .collect();
    assert_eq!(
        sequence,
        (0..events.len())
            .map(|number| json!(number))
            .collect::<Vec<_>>()
    );
    let ids: std::collections::BTreeSet<String> =
        events.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), events.len(), "ids are unique");
    ran.expect_errors(&[&format!("{} events: ", events.len())]);
}

#[tokio::test]
async fn content_reaches_a_sink_only_where_it_was_given() {
    let lab = lab(&[&script::answer("a private answer")]).await;
    let path = lab.project().join("events.jsonl");
    lab.add_config(&format!(
        "[dovetail.plugins.jsonl-sink]\nenabled = true\nconfig = {{ path = \"{}\" }}",
        path.display()
    ));
    lab.exec(&["a private question"]).await.expect_code(0);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("turn.completed"));
    assert!(
        !text.contains("private") && !text.contains(lab.project().to_str().unwrap()),
        "{text}"
    );
}
