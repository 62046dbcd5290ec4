//! Broken gates stay closed, broken observers are passed over; both are seen.

use dovetail_tests::{Lab, MISBEHAVER, Ran, script};
use serde_json::{Value, json};

use super::{FAULTS, Row, check_rest, order};
use crate::lab;

/// A command beside a call of a well tool server.
fn command_and_tool() -> String {
    script::response(
        "{ tool_call = \"exec_command\", call_id = \"cmd\", arguments = { cmd = \"touch ran\" } },\n\
         { tool_call = \"search\", namespace = \"mcp__notes\", call_id = \"good\", arguments = { query = \"comma\" } }",
    )
}

async fn with_broken_hook(orders: Value, tool: &str) -> (Lab, Ran) {
    let lab = lab(&[tool, &script::answer("ok"), &script::answer("on")]).await;
    order(&lab, orders).await;
    let ran = lab
        .exec(&["-s", "danger-full-access", "go"])
        .await
        .expect_code(0);
    (lab, ran)
}

#[tokio::test]
async fn a_broken_gate_stays_closed_and_says_why() {
    let results: &[Row] = &[(
        "bad-return",
        0,
        "it put in an input that is not a JSON object",
    )];
    for (behave, amount, words) in FAULTS.iter().chain(results) {
        let orders = json!({ "behave": behave, "at": "handle:PreToolUse", "amount": amount });
        let (lab, ran) = with_broken_hook(orders, &script::command("cmd", "touch ran")).await;
        let output = lab.output_of("cmd");
        assert!(
            output.contains("blocked by PreToolUse hook") && output.contains(words),
            "{behave}: {output}"
        );
        assert!(output.contains("misbehaver"), "{behave}: {output}");
        assert!(
            !lab.project().join("ran").exists(),
            "{behave}: the command ran"
        );
        ran.expect_errors(&["deny", "touch ran", "hook `misbehaver`"]);
        lab.exec(&["resume", "--last", "go on"])
            .await
            .expect_code(0);
        lab.expect_played();
    }
}

#[tokio::test]
async fn a_broken_gate_for_prompts_sends_nothing() {
    let lab = lab(&[&script::answer("ok")]).await;
    order(
        &lab,
        json!({ "behave": "trap", "at": "handle:UserPromptSubmit" }),
    )
    .await;
    let ran = lab.exec_json(&["go"], 0).await;
    let complaints = ran.complaints().join("\n");
    assert!(
        complaints.contains("a hook stopped the prompt")
            && complaints.contains("trapped as ordered"),
        "{complaints}"
    );
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn a_broken_observer_is_reported_and_passed_over() {
    for (behave, amount, words) in FAULTS {
        let orders = json!({ "behave": behave, "at": "handle:PreToolUse", "amount": amount, "observer": true });
        let (lab, ran) = with_broken_hook(orders, &command_and_tool()).await;
        assert!(
            lab.project().join("ran").exists(),
            "{behave}: {}",
            lab.output_of("cmd")
        );
        ran.expect_errors(&["hook `misbehaver` failed and was passed over", words]);
        check_rest(&lab).await;
    }
}

#[tokio::test]
async fn a_gate_that_was_granted_to_fail_open_does() {
    let lab = lab(&[&script::command("cmd", "touch ran"), &script::answer("ok")]).await;
    lab.configure(
        &MISBEHAVER,
        json!({ "behave": "trap", "at": "handle:PreToolUse" }),
    );
    let manifest = MISBEHAVER
        .manifest
        .replace("[request]", "on_error = \"allow\"\n[request]");
    lab.install_with(&MISBEHAVER, &manifest).await;
    let ran = lab
        .exec(&["-s", "danger-full-access", "go"])
        .await
        .expect_code(0);
    assert!(
        lab.project().join("ran").exists(),
        "{}",
        lab.output_of("cmd")
    );
    ran.expect_errors(&["hook `misbehaver` failed and was passed over"]);
}

#[tokio::test]
async fn a_gate_in_quarantine_stays_closed() {
    let command = |number: u32| script::command(&format!("c{number}"), "touch ran");
    let lab = lab(&[
        &command(1),
        &command(2),
        &command(3),
        &command(4),
        &script::answer("ok"),
    ])
    .await;
    order(&lab, json!({ "behave": "trap", "at": "handle:PreToolUse" })).await;
    lab.exec(&["-s", "danger-full-access", "go"])
        .await
        .expect_code(0);
    let output = lab.output_of("c4");
    assert!(
        output.contains("blocked by PreToolUse hook")
            && output.contains("quarantined after 3 faults"),
        "{output}"
    );
    assert!(!lab.project().join("ran").exists());
}
