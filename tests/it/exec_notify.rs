//! `notify`: the user's own program after each completed turn.

use std::path::PathBuf;

use dovetail_tests::{Lab, script};
use serde_json::{Value, json};

use crate::lab;

/// A lab whose `notify` runs a shell script; what the host adds is `$1`.
async fn notified(responses: &[&str], shell: &str) -> Lab {
    let lab = lab(responses).await;
    let program = format!(
        "notify = [\"sh\", \"-c\", {}, \"sh\"]\n",
        script::quoted(shell)
    );
    lab.write_config(&format!("{program}{}", lab.provider_config("")));
    lab
}

fn told(lab: &Lab) -> PathBuf {
    lab.project().join("told")
}

#[tokio::test]
async fn it_is_told_of_a_turn_in_one_argument() {
    let lab = notified(
        &[&script::answer("Done.")],
        "printf '%s|%s' \"$#\" \"$1\" > told",
    )
    .await;
    let ran = lab.exec_json(&["it's \"quoted\"\nand long"], 0).await;
    let text = std::fs::read_to_string(told(&lab)).unwrap();
    let (count, payload) = text.split_once('|').unwrap();
    let payload: Value = serde_json::from_str(payload).unwrap();
    let turn = lab.rollout_lines()[1]["payload"]["turn_id"].clone();
    assert_eq!(count, "1");
    assert_eq!(
        payload,
        json!({ "type": "agent-turn-complete", "thread-id": ran.thread_id(), "turn-id": turn, "cwd": lab.project(),
            "client": "codex_exec", "input-messages": ["it's \"quoted\"\nand long"], "last-assistant-message": "Done." })
    );
}

#[tokio::test]
async fn it_sees_no_credential_and_no_terminal() {
    let shell = "{ env; cat; } > told; echo noise; echo noise >&2";
    let mut lab = notified(&[&script::answer("Done.")], shell).await;
    lab.set_env("CODEX_API_KEY", "sk-codex");
    lab.set_env("OPENAI_API_KEY", "sk-openai");
    lab.set_env("MINE", "kept");
    let ran = lab.exec_json(&["hello"], 0).await;
    let env = std::fs::read_to_string(told(&lab)).unwrap();
    assert!(env.contains("MINE=kept\n"), "{env}");
    for secret in ["sk-codex", "sk-openai", "test-key"] {
        assert!(!env.contains(secret), "{env}");
    }
    assert_eq!(
        (ran.stdout.contains("noise"), ran.stderr.contains("noise")),
        (false, false)
    );
}

#[tokio::test]
async fn what_becomes_of_it_does_not_change_the_turn() {
    let lab = notified(&[&script::answer("one"), &script::answer("two")], "exit 7").await;
    let ran = lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.contains("warning")),
        ("one\n", false)
    );
    lab.write_config(&format!(
        "notify = [\"/no/such/program\"]\n{}",
        lab.provider_config("")
    ));
    let ran = lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(ran.stdout, "two\n");
    ran.expect_errors(&[
        "warning: the program `/no/such/program` of `notify` was not called: No such file",
    ]);
}

#[tokio::test]
async fn a_failed_turn_is_not_told() {
    let lab = notified(&[&script::status(400, "no")], "touch told").await;
    lab.exec(&["hello"]).await.expect_code(1);
    assert!(!told(&lab).exists());
}

#[tokio::test]
async fn a_program_that_takes_long_goes_on_alone() {
    // It waits for a reader of the pipe, which there is only once the turn's process has ended.
    let lab = notified(&[&script::answer("Done.")], "echo told > pipe").await;
    let pipe = lab.project().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    lab.exec(&["hello"]).await.expect_code(0);
    let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(pipe).unwrap());
    assert_eq!(read.await.unwrap(), "told\n");
}
