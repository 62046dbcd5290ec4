//! Sinks can neither delay nor change a turn, and lose nothing by being broken.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dovetail_tests::{Lab, MISBEHAVER, script};
use serde_json::{Value, json};

use crate::lab;

/// A turn with a command; twice, for a resume.
async fn two_turns() -> Lab {
    let turn = |call: &str| [script::command(call, "echo hi"), script::answer("done")].concat();
    lab(&[&turn("c1"), &turn("c2")]).await
}

fn outbox(lab: &Lab, id: &str) -> PathBuf {
    lab.home()
        .join("dovetail/outbox")
        .join(format!("{id}.jsonl"))
}

fn ids(path: &Path) -> Vec<Value> {
    dovetail_tests::read_lines(path)
        .iter()
        .map(|line| line["id"].clone())
        .collect()
}

#[tokio::test]
async fn a_broken_sink_changes_neither_result_nor_wall_time() {
    let plain = two_turns().await;
    let without = plain.exec_json(&["go"], 0).await;
    for behave in [
        "spin",
        "trap",
        "fail",
        "retry",
        "allocate",
        "flood-log",
        "exit",
    ] {
        let lab = two_turns().await;
        let well = lab.project().join("events.jsonl");
        lab.add_config(&format!(
            "[dovetail.plugins.jsonl-sink]\nenabled = true\nconfig = {{ path = \"{}\" }}",
            well.display()
        ));
        lab.configure(
            &MISBEHAVER,
            json!({ "behave": behave, "at": "deliver", "amount": 60_000 }),
        );
        lab.install(&MISBEHAVER).await;
        let ran = lab.exec_json(&["go"], 0).await;
        assert_eq!(ran.event_kinds(), without.event_kinds(), "{behave}");
        assert!(
            ran.took < without.took + Duration::from_secs(3),
            "{behave}: {:?}, {:?} without",
            ran.took,
            without.took
        );
        let kept = dovetail_tests::read_lines(&outbox(&lab, "misbehaver"));
        assert_eq!(
            ids(&outbox(&lab, "misbehaver")),
            ids(&well),
            "{behave}: all is kept, and the other sink has it all"
        );
        assert_eq!(kept.last().unwrap()["kind"], "turn.completed", "{behave}");
        lab.exec_json(&["resume", "--last", "on"], 0).await;
    }
}

#[tokio::test]
async fn what_a_sink_did_not_take_comes_again_with_the_same_ids() {
    let lab = two_turns().await;
    let file = lab.project().join("out/events.jsonl");
    lab.add_config(&format!(
        "[dovetail.plugins.jsonl-sink]\nenabled = true\nconfig = {{ path = \"{}\" }}",
        file.display()
    ));
    // A directory in the place of the file: nothing can be written.
    std::fs::create_dir_all(&file).unwrap();
    lab.exec_json(&["go"], 0).await;
    let kept = ids(&outbox(&lab, "jsonl-sink"));
    assert!(!kept.is_empty());
    std::fs::remove_dir(&file).unwrap();
    lab.exec_json(&["resume", "--last", "on"], 0).await;
    let delivered = ids(&file);
    assert_eq!(
        delivered[..kept.len()],
        kept,
        "first what was kept, in order"
    );
    assert!(delivered.len() > kept.len(), "then what is new");
    assert!(!outbox(&lab, "jsonl-sink").exists() || ids(&outbox(&lab, "jsonl-sink")).is_empty());
}

#[tokio::test]
async fn what_a_sink_rejects_is_not_kept() {
    let lab = two_turns().await;
    lab.configure(&MISBEHAVER, json!({ "behave": "reject", "at": "deliver" }));
    lab.install(&MISBEHAVER).await;
    lab.exec_json(&["go"], 0).await;
    assert!(!outbox(&lab, "misbehaver").exists());
}

#[tokio::test]
async fn a_sink_that_cannot_be_opened_keeps_its_events() {
    let lab = two_turns().await;
    lab.configure(&MISBEHAVER, json!({ "behave": "fail", "at": "open" }));
    lab.install(&MISBEHAVER).await;
    lab.exec_json(&["go"], 0).await;
    assert!(!ids(&outbox(&lab, "misbehaver")).is_empty());
}
