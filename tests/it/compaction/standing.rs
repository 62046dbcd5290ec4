//! What is there after interrupts, kills, resumes and forks.

use dovetail_tests::script;
use serde_json::Value;

use super::{busy, compacted_lines, compaction, local_lab, remote_lab, sent, shapes};

const HANG: &str = "[[response]]\nactions = [{ hang = true }]\n";
const COMPACTED: [&str; 5] = [
    "instructions",
    "context",
    "environment",
    "user: first",
    "compaction",
];

/// Ctrl-C while the compaction is waited for: the conversation stays as it was, and the next turn compacts it.
async fn check_interrupted(hanging: &str) {
    let responses = [
        &busy("run"),
        hanging,
        &compaction("SEALED"),
        &script::answer("on"),
    ];
    let lab = remote_lab(&responses).await;
    let running = lab.start_exec(&["--json", "first"]);
    lab.server()
        .wait_until(|progress| progress.requests == 2)
        .await;
    running.signal("INT");
    let ran = running.finish().await.expect_code(1);
    assert_eq!(ran.failure(), "turn interrupted");
    assert_eq!(compacted_lines(&lab), 0);
    lab.exec_json(&["resume", "--last", "second"], 0).await;
    lab.expect_played();
    let shapes = shapes(&lab.last_request());
    assert_eq!(shapes[..5], COMPACTED);
    assert_eq!(shapes[5], "user: second");
}

#[tokio::test]
async fn an_interrupt_ends_a_compaction_that_waits_for_the_server() {
    check_interrupted(HANG).await;
}

#[tokio::test]
async fn an_interrupt_ends_a_compaction_that_streams() {
    check_interrupted("[[response]]\nactions = [{ compaction = \"LOST\" }, { hang = true }]\n")
        .await;
}

#[tokio::test]
async fn an_interrupt_ends_a_summary() {
    let hanging = "[[response]]\nactions = [{ text = \"half a note\" }, { hang = true }]\n";
    let lab = local_lab(&[&busy("run"), hanging]).await;
    let running = lab.start_exec(&["--json", "first"]);
    lab.server()
        .wait_until(|progress| progress.requests == 2)
        .await;
    running.signal("INT");
    let ran = running.finish().await.expect_code(1);
    assert!(!ran.stdout.contains("half a note"), "{}", ran.stdout);
    assert!(
        !lab.rollout_lines()
            .iter()
            .any(|line| line.to_string().contains("half a note"))
    );
}

/// The compaction is on the disk before anything goes on from it.
#[tokio::test]
async fn a_compaction_survives_the_end_of_the_process_before_the_next_request() {
    let (begin, sealed) = (busy("run"), compaction("SEALED"));
    let lab = remote_lab(&[&begin, &sealed, HANG, &script::answer("on")]).await;
    let running = lab.start_exec(&["--json", "first"]);
    lab.server()
        .wait_until(|progress| progress.requests == 3)
        .await;
    running.signal("KILL");
    running.finish().await;
    lab.exec_json(&["resume", "--last", "second"], 0).await;
    lab.expect_played();
    assert_eq!(lab.requests().len(), 4, "it is not compacted again");
    let expected: Vec<&str> = COMPACTED.into_iter().chain(["user: second"]).collect();
    assert_eq!(shapes(&lab.last_request()), expected);
}

fn window(request: &Value) -> Value {
    let blob = request["client_metadata"]["x-codex-turn-metadata"].as_str();
    let blob: Value = serde_json::from_str(blob.unwrap()).unwrap();
    serde_json::json!([blob["window_number"], blob["context_window_id"]])
}

/// Both go on from the same items in the same window, and repeat nothing.
#[tokio::test]
async fn resumes_and_forks_go_on_from_the_compaction() {
    let answers = ["one", "two", "three"].map(script::answer);
    let (begin, sealed) = (busy("run"), compaction("SEALED"));
    let lab = remote_lab(&[&begin, &sealed, &answers[0], &answers[1], &answers[2]]).await;
    let thread = lab.exec_json(&["first"], 0).await.thread_id();
    lab.exec_json(&["fork", &thread, "go on"], 0).await;
    lab.exec_json(&["resume", &thread, "go on"], 0).await;
    lab.expect_played();
    let all = sent(&lab);
    let [_, _, within, fork, resumed] = all.as_slice() else {
        panic!("five requests")
    };
    let items = |input: &Value, from: usize, to: usize| {
        input["input"].as_array().unwrap()[from..to].to_vec()
    };
    assert_eq!(items(within, 1, 5), items(resumed, 1, 5));
    assert_eq!(items(within, 1, 5), items(fork, 1, 5));
    let expected: Vec<&str> = COMPACTED
        .into_iter()
        .chain(["assistant: one", "user: go on"])
        .collect();
    assert_eq!(shapes(resumed), expected);
    assert_eq!(shapes(fork), expected);
    assert_eq!(window(within), window(resumed));
    assert_eq!(window(within), window(fork));
    assert_eq!(window(within)[0], 1);
}
