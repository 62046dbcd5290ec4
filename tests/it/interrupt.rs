//! Ctrl-C: wherever a turn waits, it ends in order at once, and its thread goes on.
//!
//! None of these would end by itself within the harness's patience, so that an end is the proof.

mod connecting;
mod plugins;
mod waiting;

use std::path::{Path, PathBuf};
use std::time::Duration;

use dovetail_tests::{Lab, Running, script};

use crate::lab;

/// A command starts within this time, or not at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// The process gets a signal in a turn: it ends in order, says so, and its thread goes on.
async fn check_interrupted(lab: &Lab, running: Running, signal: &str) {
    check_ends(lab, running, signal).await;
    lab.exec(&["resume", "--last", "go on"])
        .await
        .expect_code(0);
    let request = lab.last_request();
    assert!(
        request["input"].to_string().contains("<turn_aborted>"),
        "the model is told"
    );
}

/// The first half: the end, on standard output and on disk.
async fn check_ends(lab: &Lab, running: Running, signal: &str) {
    running.signal(signal);
    let ran = running.finish().await.expect_code(1);
    assert_eq!(ran.failure(), "turn interrupted");
    assert_eq!(
        ran.events()
            .iter()
            .filter(|event| event["type"] == "error" && event["message"] == "turn interrupted")
            .count(),
        1
    );
    let kinds: Vec<String> = lab
        .rollout_lines()
        .iter()
        .filter(|line| line["type"] == "event_msg")
        .map(|line| line["payload"]["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        kinds.last().map(String::as_str),
        Some("turn_aborted"),
        "{kinds:?}"
    );
}

/// The call was answered in the name of the user.
#[track_caller]
fn check_aborted(lab: &Lab, call_id: &str) {
    let output = lab.output_of(call_id);
    let (time, words) = output.split_once('\n').unwrap();
    assert!(
        time.starts_with("Wall time: ") && time.ends_with(" seconds"),
        "{output}"
    );
    assert_eq!(words, "aborted by user");
}

#[tokio::test]
async fn an_interrupt_ends_a_turn_that_streams() {
    let lab = lab(&[
        "[[response]]\nactions = [{ text = \"first\" }, { gate = true }, { text = \"second\" }]\n",
        &script::answer("on"),
    ])
    .await;
    let mut running = lab.start_exec(&["--json", "go"]);
    running.wait_for("first").await;
    check_interrupted(&lab, running, "INT").await;
}

#[tokio::test]
async fn an_interrupt_ends_a_turn_that_waits_for_the_server() {
    let lab = lab(&[
        "[[response]]\nactions = [{ hang = true }]\n",
        &script::answer("on"),
    ])
    .await;
    let running = lab.start_exec(&["--json", "go"]);
    lab.server()
        .wait_until(|progress| progress.requests == 1)
        .await;
    check_interrupted(&lab, running, "INT").await;
}

/// A command that tells its process id through a pipe with a name, so that nobody has to guess when it runs.
fn announced(lab: &Lab, then: &str) -> (PathBuf, String) {
    let pipe = lab.project().join("started");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    let cmd = format!("{then} echo $$ > '{}'; exec sleep 1000", pipe.display());
    (pipe, cmd)
}

/// Waits until a command has told its process id.
async fn pid(pipe: PathBuf) -> u32 {
    let pipe = tokio::net::unix::pipe::OpenOptions::new()
        .open_receiver(pipe)
        .unwrap();
    let mut text = String::new();
    let reading = async {
        // Nothing can be read until the command has opened its end.
        while !text.ends_with('\n') {
            pipe.readable().await.unwrap();
            let mut bytes = [0; 32];
            match pipe.try_read(&mut bytes) {
                Ok(read) => text.push_str(std::str::from_utf8(&bytes[..read]).unwrap()),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("the command starts");
    text.trim().parse().unwrap()
}

/// Whether a process runs; one that ended and was not yet waited for does not.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap()
            .trim_start()
            .starts_with('Z')
    })
}

async fn check_command_is_gone(then: &str, signal: &str) {
    let mut lab = lab(&[&script::answer("unused")]).await;
    let (pipe, cmd) = announced(&lab, then);
    lab.play(&[script::command("c", &cmd), script::answer("on")].concat())
        .await;
    lab.write_config(&lab.provider_config(""));
    let running = lab.start_exec(&["--json", "-s", "danger-full-access", "go"]);
    let pid = pid(pipe).await;
    assert!(is_running(pid));
    check_interrupted(&lab, running, signal).await;
    assert!(!is_running(pid), "the command outlived the turn");
    let output = lab.output_of("c");
    assert!(output.contains("aborted by user"), "{output}");
}

#[tokio::test]
async fn an_interrupt_ends_the_command_that_runs() {
    check_command_is_gone("", "INT").await;
}

#[tokio::test]
async fn a_request_to_end_is_an_interrupt() {
    check_command_is_gone("", "TERM").await;
}

#[tokio::test]
async fn a_terminal_that_is_closed_is_an_interrupt() {
    check_command_is_gone("", "HUP").await;
}

#[tokio::test]
async fn a_request_to_quit_is_an_interrupt() {
    check_command_is_gone("", "QUIT").await;
}

#[tokio::test]
async fn who_was_started_to_outlive_the_terminal_does() {
    let lab = lab(&["[[response]]\nactions = [{ text = \"first\" }, { gate = true }]\n"]).await;
    let exec = "trap '' HUP; exec \"$0\" exec --skip-git-repo-check --json go";
    let mut running = lab.start_other("sh", &["-c", exec, env!("CARGO_BIN_EXE_dovetail")]);
    running.wait_for("first").await;
    running.signal("HUP");
    lab.server().open_gate();
    running.finish().await.expect_code(0);
}

#[tokio::test]
async fn a_command_that_ignores_interrupts_is_ended_as_well() {
    check_command_is_gone("trap '' INT TERM HUP;", "INT").await;
}

#[tokio::test]
async fn people_are_told_how_to_leave_at_once_and_how_to_go_on() {
    let lab = lab(&["[[response]]\nactions = [{ hang = true }]\n"]).await;
    let running = lab.start_exec(&["go"]);
    lab.server()
        .wait_until(|progress| progress.requests == 1)
        .await;
    running.signal("INT");
    let ran = running.finish().await.expect_code(1);
    ran.expect_errors(&[
        "press Ctrl-C again to leave at once",
        "interrupted",
        "exec resume ",
    ]);
}
