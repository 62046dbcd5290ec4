//! Between two tries, and after the end.

use std::net::TcpListener;

use dovetail_tests::script;

use super::{announced, check_interrupted, is_running, pid};
use crate::lab;

#[tokio::test]
async fn an_interrupt_ends_a_visible_wait() {
    let lab = lab(&[
        "[[response]]\nactions = [{ status = 429, retry_after = 600 }]\n",
        &script::answer("on"),
    ])
    .await;
    let mut running = lab.start_exec(&["--json", "go"]);
    running.wait_for("Reconnecting... 1/1 (").await;
    check_interrupted(&lab, running, "INT").await;
}

#[tokio::test]
async fn an_interrupt_ends_a_quiet_wait() {
    let lab = lab(&[
        "[[response]]\nactions = [{ status = 503, retry_after = 600 }]\n",
        &script::answer("on"),
    ])
    .await;
    let running = lab.start_exec(&["--json", "go"]);
    lab.server()
        .wait_until(|progress| progress.answered == 1)
        .await;
    check_interrupted(&lab, running, "INT").await;
}

#[tokio::test]
async fn an_interrupt_ends_the_wait_for_the_network() {
    let lab = lab(&[&script::answer("on")]).await;
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("model_providers.rehearsal.base_url=http://{nobody}/v1");
    let patient = ["--json", "--enable", "unbounded_connection_retries"];
    let mut running = lab.start_exec(&[&patient[..], &["-c", &url, "go"]].concat());
    running.wait_for("waiting for network").await;
    check_interrupted(&lab, running, "INT").await;
}

#[tokio::test]
async fn a_second_interrupt_leaves_no_command_behind() {
    let mut lab = lab(&[&script::answer("unused")]).await;
    let (pipe, cmd) = announced(&lab, "");
    // Nothing leads from the command to this one but what it has inherited.
    let cmd = format!("setsid sh -c {} & wait", shell_quoted(&cmd));
    lab.play(&script::command("c", &cmd)).await;
    lab.write_config(&lab.provider_config(""));
    let running = lab.start_exec(&["--json", "-s", "danger-full-access", "go"]);
    let pid = pid(pipe).await;
    for signal in ["STOP", "INT", "TERM", "CONT"] {
        running.signal(signal);
    }
    let ran = running.finish().await;
    assert!(matches!(ran.code, Some(1 | 130 | 143)), "{ran:?}");
    assert!(!is_running(pid), "the command outlived the process");
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[tokio::test]
async fn a_second_interrupt_ends_the_process_at_once() {
    let lab = lab(&[
        "[[response]]\nactions = [{ text = \"first\" }, { gate = true }]\n",
        &script::answer("on"),
    ])
    .await;
    let mut running = lab.start_exec(&["--json", "go"]);
    running.wait_for("first").await;
    // Two of one kind would become one while it stands still, and one after the other, the first would be enough.
    for signal in ["STOP", "INT", "TERM", "CONT"] {
        running.signal(signal);
    }
    let ran = running.finish().await;
    assert!(
        matches!(ran.code, Some(130 | 143)),
        "it ends as a signal ends it: {ran:?}"
    );
    lab.exec(&["resume", "--last", "go on"])
        .await
        .expect_code(0);
    lab.expect_played();
}
