//! Forks, from the command line to what the model gets.

use dovetail_tests::{Lab, script};
use serde_json::{Value, json};

use super::{contexts, said};
use crate::lab;

/// A lab in which two turns ran, and the thread's id.
async fn two_turns(more: &[&str]) -> (Lab, String) {
    let answers = [script::answer("one"), script::answer("two")];
    let played: Vec<&str> = answers
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    let lab = lab(&played).await;
    let id = lab.exec_json(&["first"], 0).await.thread_id();
    lab.exec_json(&["resume", &id, "second"], 0).await;
    (lab, id)
}

/// The metadata that the newest request carries.
fn metadata(lab: &Lab) -> Value {
    let request = lab.last_request();
    let text = request["client_metadata"]["x-codex-turn-metadata"]
        .as_str()
        .unwrap();
    serde_json::from_str(text).unwrap()
}

fn first_line(lab: &Lab, id: &str) -> Value {
    let file = lab
        .rollouts()
        .into_iter()
        .find(|file| file.to_string_lossy().contains(id))
        .unwrap();
    dovetail_tests::read_lines(&file)[0].clone()
}

#[tokio::test]
async fn a_fork_goes_on_beside_its_thread() {
    let answers = [
        script::answer("three"),
        script::answer("four"),
        script::answer("five"),
    ];
    let (lab, id) = two_turns(&answers.each_ref().map(String::as_str)).await;
    let window = metadata(&lab)["context_window_id"].clone();
    let fork = lab.exec_json(&["fork", &id, "third"], 0).await;
    assert_ne!(fork.thread_id(), id);
    assert_eq!(
        fork.event_kinds(),
        [
            "thread.started",
            "turn.started",
            "item.completed agent_message",
            "turn.completed"
        ]
    );
    assert_eq!(
        fork.events().last().unwrap()["usage"]["input_tokens"],
        300,
        "totals go on"
    );
    assert_eq!(said(&lab), ["first", "one", "second", "two", "third"]);
    assert_eq!(contexts(&lab), 1, "what has not changed is not said again");
    assert_eq!(
        lab.last_request()["prompt_cache_key"],
        json!(fork.thread_id())
    );

    let sent = metadata(&lab);
    let lines = first_line(&lab, &id);
    assert_eq!(lines["ordinal"], 0);
    let meta = &first_line(&lab, &fork.thread_id())["payload"];
    assert_eq!(sent["history_initialization"], "cold_fork");
    assert_eq!(sent["forked_from_thread_id"], json!(id));
    assert_eq!(
        sent["forked_from_ordinal_exclusive"],
        meta["forked_from_ordinal_exclusive"]
    );
    assert_eq!(sent["session_id"], json!(fork.thread_id()));
    assert_eq!(
        (&sent["window_number"], &sent["context_window_id"]),
        (&json!(0), &window)
    );

    // Each goes its own way.
    lab.exec_json(&["resume", &id, "in the first"], 0).await;
    assert_eq!(
        said(&lab),
        ["first", "one", "second", "two", "in the first"]
    );
    lab.exec_json(&["resume", &fork.thread_id(), "in the fork"], 0)
        .await;
    assert_eq!(
        said(&lab),
        [
            "first",
            "one",
            "second",
            "two",
            "third",
            "three",
            "in the fork"
        ]
    );
    assert_eq!(metadata(&lab)["history_initialization"], "cold_resume");
    lab.expect_played();
}

#[tokio::test]
async fn a_fork_leaves_its_thread_after_any_turn() {
    let (lab, id) = two_turns(&[&script::answer("three")]).await;
    let fork = lab
        .exec_json(&["fork", &id, "--at", "1", "instead"], 0)
        .await;
    assert_eq!(said(&lab), ["first", "one", "instead"]);
    assert_eq!(fork.events().last().unwrap()["usage"]["input_tokens"], 200);
    lab.exec(&["fork", &id, "--at", "3", "no"])
        .await
        .expect_code(1)
        .expect_errors(&["has no turn `3`", "hint: it has turns 1 to 2"]);
    lab.expect_played();
}

#[tokio::test]
async fn a_fork_without_a_prompt_is_only_made() {
    let (lab, id) = two_turns(&[&script::answer("three")]).await;
    let made = lab.exec_json(&["fork", &id], 0).await;
    assert_eq!(made.event_kinds(), ["thread.started"]);
    assert_eq!(lab.requests().len(), 2, "nothing was sent");
    lab.exec_json(&["resume", &made.thread_id(), "third"], 0)
        .await;
    assert_eq!(said(&lab), ["first", "one", "second", "two", "third"]);

    let ran = lab
        .run(&["thread", "fork", &id, "--at", "1", "--json"])
        .await
        .expect_code(0)
        .json();
    assert_eq!(ran["forked_from_id"], json!(id));
    let shown = lab
        .run(&["thread", "show", ran["id"].as_str().unwrap(), "--json"])
        .await
        .json();
    assert_eq!(shown["turns"][0]["prompt"], "first");
    assert_eq!(shown["turns"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_fork_whose_thread_is_gone_says_what_is_missing() {
    let (lab, id) = two_turns(&[]).await;
    let fork = lab.exec_json(&["fork", &id], 0).await.thread_id();
    let parent = lab
        .rollouts()
        .into_iter()
        .find(|file| file.to_string_lossy().contains(&id))
        .unwrap();
    std::fs::remove_file(parent).unwrap();
    lab.exec(&["resume", &fork, "on"])
        .await
        .expect_code(1)
        .expect_errors(&[
            "continues thread `",
            &id,
            "which cannot be read",
            "hint: put the file of",
        ]);
    lab.run(&["thread", "fsck"]).await.expect_code(1);
    assert_eq!(lab.requests().len(), 2, "nothing was sent");
}
