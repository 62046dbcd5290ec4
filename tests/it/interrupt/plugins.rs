//! While a plugin works.

use std::path::PathBuf;

use dovetail_tests::{Lab, MISBEHAVER, script};
use serde_json::json;

use super::{PATIENCE, announced, check_aborted, check_interrupted, is_running, pid};
use crate::lab;

/// A program that tells its process id and goes on for long, and the pipe it tells it through.
fn program(lab: &Lab) -> (PathBuf, PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    let (pipe, cmd) = announced(lab, "");
    let path = lab.write("announce.sh", format!("#!/bin/sh\n{cmd}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    (pipe, path)
}

/// Has the misbehaver run a program in one of its functions, with a deadline that is longer than any test.
async fn order_program(lab: &Lab, at: &str, program: &str) {
    lab.configure(
        &MISBEHAVER,
        json!({ "behave": "process", "at": at, "target": program }),
    );
    let manifest = MISBEHAVER
        .manifest
        .replace("[\"true\"]", &format!("[{}]", script::quoted(program)));
    lab.install_with(
        &MISBEHAVER,
        &format!("{manifest}\n[limits]\ndeadline_ms = 600000\n"),
    )
    .await;
}

const CALL: &str = "[[response]]\nactions = [{ tool_call = 'obey', namespace = 'mcp__misbehaver', call_id = 'c', arguments = {} }]\n";

/// Interrupts the misbehaver while its program runs, which must end as well.
async fn check_interrupted_at(responses: &[&str], at: &str) -> Lab {
    let lab = lab(responses).await;
    let (pipe, program) = program(&lab);
    order_program(&lab, at, &program.display().to_string()).await;
    let running = lab.start_exec(&["--json", "go"]);
    let pid = pid(pipe).await;
    // What it runs must not keep the rest of the test.
    let config = std::fs::read_to_string(lab.home().join("config.toml")).unwrap();
    lab.write_config(&config.replace("\"process\"", "\"well\""));
    lab.grant(&MISBEHAVER).await;
    check_interrupted(&lab, running, "INT").await;
    assert!(!is_running(pid), "the plugin's program outlived the turn");
    lab
}

#[tokio::test]
async fn an_interrupt_ends_a_hook_that_judges_a_call() {
    let lab = check_interrupted_at(&[CALL, &script::answer("on")], "handle:PreToolUse").await;
    check_aborted(&lab, "c");
    lab.expect_played();
}

#[tokio::test]
async fn an_interrupt_ends_a_hook_that_judges_the_prompt() {
    let lab = check_interrupted_at(&[&script::answer("on")], "handle:UserPromptSubmit").await;
    assert_eq!(lab.requests().len(), 1, "the first prompt was never sent");
}

#[tokio::test]
async fn an_interrupt_ends_the_call_of_a_tool_server() {
    let lab = check_interrupted_at(&[CALL, &script::answer("on")], "call-tool").await;
    check_aborted(&lab, "c");
    lab.expect_played();
}

#[tokio::test]
async fn an_interrupt_ends_a_tool_server_that_spins() {
    let lab = lab(&[CALL, &script::answer("on")]).await;
    lab.configure(&MISBEHAVER, json!({ "behave": "spin", "at": "call-tool" }));
    lab.install_with(
        &MISBEHAVER,
        &format!("{}\n[limits]\ndeadline_ms = 600000\n", MISBEHAVER.manifest),
    )
    .await;
    let mut running = lab.start_exec(&["--json", "go"]);
    running.wait_for("item.started").await;
    check_interrupted(&lab, running, "INT").await;
    check_aborted(&lab, "c");
}

#[tokio::test]
async fn an_interrupt_ends_several_calls_and_each_has_its_result() {
    let two = CALL.replace(
        "actions = [",
        "actions = [{ tool_call = 'obey', namespace = 'mcp__misbehaver', call_id = 'b', arguments = {} }, { tool_call = 'no_such_tool', call_id = 'd' }, ",
    );
    let lab = check_interrupted_at(&[&two, &script::answer("on")], "call-tool").await;
    for call_id in ["b", "c"] {
        check_aborted(&lab, call_id);
    }
    assert_eq!(lab.output_of("d"), "unsupported call: no_such_tool");
}

/// A provider whose token comes from a program, which the first words of `first` may let through.
async fn check_interrupted_token(responses: &[&str], first: &str) {
    let lab = lab(responses).await;
    let (pipe, cmd) = announced(&lab, "");
    let program = lab.write("token.sh", format!("#!/bin/sh\n{first}\n{cmd}\n"));
    let auth = format!(
        "auth = {{ command = \"/bin/sh\", args = [\"{}\"], timeout_ms = 20000 }}",
        program.display()
    );
    lab.write_config(
        &lab.provider_config(&auth)
            .replace("env_key = \"REHEARSAL_KEY\"\n", ""),
    );
    let running = lab.start_exec(&["--json", "go"]);
    let pid = pid(pipe).await;
    lab.write("token.sh", "#!/bin/sh\necho token\n");
    check_interrupted(&lab, running, "INT").await;
    assert!(!is_running(pid), "the command outlived the turn");
    lab.expect_played();
}

#[tokio::test]
async fn an_interrupt_ends_a_provider_that_gets_its_token() {
    check_interrupted_token(&[&script::answer("on")], "").await;
}

#[tokio::test]
async fn an_interrupt_ends_a_provider_that_gets_a_better_token() {
    let refused = script::status(401, "expired");
    check_interrupted_token(
        &[&refused, &script::answer("on")],
        "if ! [ -e once ]; then : > once; echo stale; exit 0; fi",
    )
    .await;
}

#[tokio::test]
async fn an_interrupt_ends_a_tool_server_that_is_asked_for_its_tools() {
    let lab = lab(&[&script::answer("unused")]).await;
    let (pipe, program) = program(&lab);
    order_program(&lab, "list-tools", &program.display().to_string()).await;
    let running = lab.start_exec(&["--json", "go"]);
    let pid = pid(pipe).await;
    running.signal("INT");
    let ran = running.finish().await.expect_code(1);
    assert_eq!(ran.stdout, "", "no turn has begun");
    ran.expect_errors(&["interrupted before the turn began"]);
    // It has been killed; that takes effect when the system comes to it.
    let mut look = tokio::time::interval(std::time::Duration::from_millis(5));
    let looking = async {
        while is_running(pid) {
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .expect("the plugin's program ends with the command");
    assert_eq!(lab.rollouts(), Vec::<PathBuf>::new());
}
