//! Threads on disk: recorded, resumed, and safe from what happens to files and processes.

mod commands;
mod fork;
mod repair;

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use dovetail_tests::{Lab, script};
use serde_json::Value;

use crate::lab;

/// The texts of user messages and answers in the newest request, without the context.
pub(crate) fn said(lab: &Lab) -> Vec<String> {
    let request = lab.last_request();
    let items = request["input"].as_array().unwrap();
    let texts = items
        .iter()
        .filter(|item| matches!(item["role"].as_str(), Some("user" | "assistant")));
    let texts = texts.map(|item| item["content"][0]["text"].as_str().unwrap().to_owned());
    texts
        .filter(|text| !text.starts_with('<') && !text.starts_with("# AGENTS"))
        .collect()
}

/// How many context messages the newest request has.
pub(crate) fn contexts(lab: &Lab) -> usize {
    let text = lab.last_request()["input"].to_string();
    text.matches("<environment_context>").count()
}

#[tokio::test]
async fn resume_goes_on_in_the_same_file_with_everything_that_was_said() {
    let lab = lab(&[
        &script::answer("one"),
        &script::answer("two"),
        &script::answer("three"),
    ])
    .await;
    let first = lab.exec_json(&["first"], 0).await;
    let file = lab.rollout();
    let id = first.thread_id();
    assert!(file.to_string_lossy().ends_with(&format!("-{id}.jsonl")));

    let second = lab.exec_json(&["resume", "--last", "second"], 0).await;
    assert_eq!(second.thread_id(), id);
    assert_eq!(said(&lab), ["first", "one", "second"]);
    assert_eq!(contexts(&lab), 1, "what has not changed is not said again");

    let third = lab.exec_json(&["resume", &id, "third"], 0).await;
    assert_eq!(said(&lab), ["first", "one", "second", "two", "third"]);
    assert_eq!(lab.rollout(), file);
    let usage =
        |ran: &dovetail_tests::Ran| ran.events().last().unwrap()["usage"]["input_tokens"].clone();
    assert_eq!(
        [usage(&first), usage(&second), usage(&third)],
        [100, 200, 300].map(Value::from)
    );
    let keys: Vec<_> = lab
        .requests()
        .iter()
        .map(|request| request.json.as_ref().unwrap()["prompt_cache_key"].clone())
        .collect();
    assert_eq!(keys[0], keys[2], "one cache for one thread");
    lab.expect_played();
}

#[tokio::test]
async fn resumed_events_are_those_captured() {
    let lab = lab(&[&script::answer("one"), &script::answer("Hello")]).await;
    lab.exec_json(&["first"], 0).await;
    let ran = lab.exec_json(&["resume", "--last", "second"], 0).await;
    assert_eq!(
        ran.event_kinds(),
        [
            "thread.started",
            "turn.started",
            "item.completed agent_message",
            "turn.completed"
        ]
    );
}

#[tokio::test]
async fn the_last_thread_is_that_of_this_directory() {
    let lab = lab(&[
        &script::answer("here"),
        &script::answer("there"),
        &script::answer("again"),
    ])
    .await;
    std::fs::create_dir(lab.project().join("sub")).unwrap();
    let here = lab.exec_json(&["in the project"], 0).await.thread_id();
    let there = lab
        .exec_json(&["-C", "sub", "below it"], 0)
        .await
        .thread_id();
    assert_ne!(here, there);
    let resumed = lab.exec_json(&["resume", "--last", "on"], 0).await;
    assert_eq!(resumed.thread_id(), here);
}

#[tokio::test]
async fn a_thread_that_is_not_there_is_named() {
    let lab = lab(&[&script::answer("one")]).await;
    let id = "01a1fb58-2811-7ea0-9e27-e6be064a83e5";
    lab.exec(&["resume", id, "on"])
        .await
        .expect_code(1)
        .expect_errors(&["no thread `01a1fb58-2811", "sessions"]);
    lab.exec(&["resume", "--last", "on"])
        .await
        .expect_code(1)
        .expect_errors(&["no thread to resume"]);
    lab.exec(&["resume", "nonsense", "on"])
        .await
        .expect_code(1)
        .expect_errors(&["hint: "]);
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn an_ephemeral_thread_leaves_no_file() {
    let lab = lab(&[&script::answer("one")]).await;
    lab.exec(&["--ephemeral", "first"]).await.expect_code(0);
    assert_eq!(lab.rollouts(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn a_torn_last_line_is_left_behind_and_said() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.exec(&["first"]).await.expect_code(0);
    let file = lab.rollout();
    let whole = lab.rollout_lines().len();
    std::fs::OpenOptions::new()
        .append(true)
        .open(&file)
        .unwrap()
        .write_all(b"{\"timestamp\":\"20")
        .unwrap();
    let ran = lab.exec_json(&["resume", "--last", "second"], 0).await;
    assert_eq!(said(&lab), ["first", "one", "second"]);
    assert_eq!(ran.complaints().len(), 1, "{:?}", ran.complaints());
    let text = std::fs::read_to_string(&file).unwrap();
    let readable = text
        .lines()
        .filter(|line| serde_json::from_str::<Value>(line).is_ok())
        .count();
    assert!(readable > whole, "what came later is whole");
    assert!(text.lines().count() - readable <= 1);
}

#[tokio::test]
async fn a_thread_has_one_writer_at_a_time() {
    let mut lab = lab(&[&script::answer("one")]).await;
    lab.exec(&["first"]).await.expect_code(0);
    lab.play(
        &[
            "[[response]]\nactions = [{ gate = true }, { text = \"two\" }]\n",
            &script::answer("three"),
        ]
        .concat(),
    )
    .await;
    lab.write_config(&lab.provider_config(""));
    let busy = lab.start_exec(&["resume", "--last", "second"]);
    lab.server()
        .wait_until(|progress| progress.requests == 1)
        .await;
    let refused = lab
        .exec(&["resume", "--last", "third"])
        .await
        .expect_code(1);
    let owner = format!("is in use by process {}", busy.id());
    refused.expect_errors(&["error: thread `", &owner, "hint: wait for it to end"]);
    lab.server().open_gate();
    busy.finish().await.expect_code(0);
    lab.exec(&["resume", "--last", "third"])
        .await
        .expect_code(0);
    assert_eq!(said(&lab), ["first", "one", "second", "two", "third"]);
}

#[tokio::test]
async fn a_thread_goes_on_after_a_failed_turn() {
    let lab = lab(&[&script::status(400, "no"), &script::answer("two")]).await;
    lab.exec(&["first"]).await.expect_code(1);
    lab.exec(&["resume", "--last", "second"])
        .await
        .expect_code(0);
    assert_eq!(said(&lab), ["first", "second"]);
    lab.expect_played();
}

#[tokio::test]
async fn a_thread_goes_on_after_its_process_was_killed() {
    let lab = lab(&[
        &script::command("c", "echo done"),
        "[[response]]\nactions = [{ text = \"half an ans\" }, { hang = true }]\n",
        &script::answer("three"),
    ])
    .await;
    let mut running = lab.start_exec(&["--json", "first"]);
    running.wait_for("half an ans").await;
    running.signal("KILL");
    assert_eq!(running.finish().await.code, None);
    lab.exec(&["resume", "--last", "second"])
        .await
        .expect_code(0);
    assert!(
        lab.output_of("c").contains("done"),
        "the command's result was recorded"
    );
    let said = said(&lab);
    assert_eq!(
        (said[0].as_str(), said.last().unwrap().as_str()),
        ("first", "second")
    );
    lab.expect_played();
}

#[tokio::test]
async fn a_call_without_a_result_gets_one_when_the_thread_goes_on() {
    let lab = lab(&[&script::command("c", "sleep 10"), &script::answer("two")]).await;
    let mut running = lab.start_exec(&["--json", "first"]);
    running.wait_for("item.started").await;
    running.signal("KILL");
    running.finish().await;
    lab.exec(&["resume", "--last", "second"])
        .await
        .expect_code(0);
    assert_eq!(lab.output_of("c"), "aborted");
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_happen() {
    if is_root() {
        // Permissions do not stop root; a file in the place of the directory does.
        let lab = lab(&[&script::answer("one")]).await;
        lab.write_home("sessions", "not a directory");
        let ran = lab.exec(&["first"]).await.expect_code(1);
        ran.expect_errors(&["error: ", "sessions"]);
        assert!(lab.requests().is_empty(), "nothing was sent");
        return;
    }
    let lab = lab(&[&script::answer("one")]).await;
    let home = lab.home();
    lab.write_home("installation_id", "604137cb-7eeb-42a3-aa1f-bcad9330e2e9");
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o500)).unwrap();
    let ran = lab.exec(&["first"]).await;
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
    ran.expect_code(1).expect_errors(&["error: ", "sessions"]);
    assert!(lab.requests().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_full_disk_ends_the_turn_loudly() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.exec(&["first"]).await.expect_code(0);
    let limit = format!(
        "ulimit -f 16; exec '{}' exec --skip-git-repo-check resume --last second",
        crate::DOVETAIL
    );
    let file = std::fs::OpenOptions::new()
        .append(true)
        .open(lab.rollout())
        .unwrap();
    // Longer than the limit of 16 blocks, so that nothing can be added.
    let padding = format!(
        "{{\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"type\":\"unknown\",\"payload\":\"{}\"}}\n",
        "x".repeat(64 << 10)
    );
    (&file).write_all(padding.as_bytes()).unwrap();
    let mut shell = tokio::process::Command::new("bash");
    shell.args(["-c", &limit]).current_dir(lab.project());
    shell.env("DOVETAIL_CACHE", lab.cache());
    shell
        .env("CODEX_HOME", lab.home())
        .env("REHEARSAL_KEY", "k")
        .stdin(std::process::Stdio::null());
    let output = shell.output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("error: ") && stderr.contains(".jsonl"),
        "{stderr}"
    );
    assert_eq!(lab.requests().len(), 1, "the second prompt was not sent");
}

fn is_root() -> bool {
    let output = std::process::Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}
