//! `dovetail dev session`, beyond what was captured of clients.

use dovetail_tests::script;
use serde_json::{Value, json};

use crate::lab;

/// A command that asks to leave the sandbox.
const ESCALATED: &str = r#"
[[response]]
actions = [
    { tool_call = "exec_command", call_id = "out", arguments = { cmd = "touch made", login = false, sandbox_permissions = "require_escalated" } },
]
"#;

const SESSION: [&str; 3] = ["dev", "session", "--skip-git-repo-check"];

#[tokio::test]
async fn orders_about_what_does_not_go_on_are_refused() {
    let lab = lab(&[&script::answer("nobody asks")]).await;
    let mut session = lab.start_told(&SESSION);
    for (order, reason) in [
        (
            json!({ "do": "steer", "text": "faster" }),
            "no active turn to steer",
        ),
        (
            json!({ "do": "answer", "call_id": "c", "decision": "accept" }),
            "nothing was asked about the call `c`",
        ),
    ] {
        session.tell(&order).await;
        let line: Value = serde_json::from_str(&session.wait_for("refused").await).unwrap();
        assert_eq!(line, json!({ "event": "refused", "reason": reason }));
    }
    session.finish().await.expect_code(0);
}

#[tokio::test]
async fn what_nobody_answers_any_more_is_declined() {
    let lab = lab(&[ESCALATED, &script::answer("so be it")]).await;
    let mut session = lab.start_told(&SESSION);
    session.tell(&json!({ "do": "turn", "text": "go" })).await;
    session.wait_for("approval.requested").await;
    let ran = session.finish().await.expect_code(0);
    lab.expect_played();
    assert_eq!(
        lab.output_of("out"),
        "the user did not let this command run outside of the sandbox; nothing was run. Go on without it, or within the \
         sandbox."
    );
    assert!(!lab.project().join("made").exists());
    let events = ran.events();
    let finished = events
        .iter()
        .find(|event| event["event"] == "tool.finished");
    assert_eq!(finished.unwrap()["item"]["status"], "declined");
    let last = events.last().unwrap();
    assert_eq!(
        (&last["event"], &last["last_message"]),
        (&json!("turn.completed"), &json!("so be it"))
    );
}

#[tokio::test]
async fn a_question_that_is_cancelled_interrupts_the_turn() {
    let lab = lab(&[ESCALATED]).await;
    let mut session = lab.start_told(&SESSION);
    session.tell(&json!({ "do": "turn", "text": "go" })).await;
    session.wait_for("approval.requested").await;
    session
        .tell(&json!({ "do": "answer", "call_id": "out", "decision": "cancel" }))
        .await;
    session.wait_for("turn.aborted").await;
    session.finish().await.expect_code(0);
    lab.expect_played();
    assert!(!lab.project().join("made").exists());
}

#[tokio::test]
async fn a_line_that_is_no_order_ends_the_session() {
    let lab = lab(&[&script::answer("nobody asks")]).await;
    let mut session = lab.start_told(&SESSION);
    session.tell(&json!({ "do": "dance" })).await;
    let ran = session.finish().await.expect_code(1);
    ran.expect_errors(&["`{\"do\":\"dance\"}` is no order: unknown variant `dance`"]);
}
