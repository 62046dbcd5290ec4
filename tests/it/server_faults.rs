//! What servers do on bad days: how often we ask again, what is said, how the turn ends, and that the thread goes on.
//!
//! The rows are those of `docs/failures.md`. In all of them one quiet and one visible repeat are allowed.

mod connections;
mod events;
mod facts;
mod garbage;
mod recovery;
mod statuses;
mod waiting;

use dovetail_tests::{Lab, Ran, script};
use serde_json::Value;

use crate::lab;

/// Plays answers that fail a turn, and compares the number of requests and every word of complaint. Afterwards the
/// thread must go on, with what was said before.
async fn check_failing(requests: usize, actions: &str, complaints: &[&str]) {
    check_failing_until(requests, actions, complaints, &[]).await;
}

/// The same for a conversation that is too long: the next turn begins by shortening it.
async fn check_too_long(actions: &str) {
    let words = "Dovetail ran out of room in the model's context window. Start a new thread or shorten this one, then try again.";
    check_failing_until(1, actions, &[words], &[script::answer("a summary")]).await;
}

/// The same for a thread that needs more than one answer to go on.
async fn check_failing_until(requests: usize, actions: &str, complaints: &[&str], more: &[String]) {
    let failing = times(requests, actions);
    let mut responses = vec![failing.as_str()];
    responses.extend(more.iter().map(String::as_str));
    let last = script::answer("well again");
    responses.push(&last);
    let lab = lab(&responses).await;
    let ran = lab.exec_json(&["the question"], 1).await;
    assert_eq!(lab.requests().len(), requests, "{actions}: {}", ran.stdout);
    assert_eq!(words(&lab, &ran), complaints, "{actions}");
    check_thread_goes_on(&lab).await;
}

/// Takes up the thread with the last answer of the script.
async fn check_thread_goes_on(lab: &Lab) {
    let ran = lab.exec_json(&["resume", "--last", "go on"], 0).await;
    assert_eq!(
        ran.event_kinds().last().map(String::as_str),
        Some("turn.completed")
    );
    let input = lab.last_request()["input"].to_string();
    for said in ["the question", "go on"] {
        assert!(input.contains(said), "`{said}` is missing in {input}");
    }
    lab.expect_played();
}

/// The words of every `error` line, and of `turn.failed`, which must repeat the last of them.
#[track_caller]
fn words(lab: &Lab, ran: &Ran) -> Vec<String> {
    let mut errors: Vec<String> = Vec::new();
    for event in ran.events() {
        let text = |value: &Value| lab.normal(value.as_str().unwrap());
        match event["type"].as_str().unwrap() {
            "error" => errors.push(text(&event["message"])),
            "turn.failed" => assert_eq!(
                errors.last(),
                Some(&text(&event["error"]["message"])),
                "the last error and the failure say the same"
            ),
            _ => {}
        }
    }
    errors
}

/// Plays a script that ends well, and compares the number of requests, the notices and the answer.
async fn check_surviving(responses: &[&str], requests: usize, notices: &[&str], answer: &str) {
    let lab = lab(responses).await;
    let ran = lab.exec_json(&["the question"], 0).await;
    assert_eq!(
        lab.requests().len(),
        requests,
        "{responses:?}: {}",
        ran.stdout
    );
    assert_eq!(words(&lab, &ran), notices, "{responses:?}");
    let answers: Vec<Value> = ran
        .events()
        .into_iter()
        .filter(|event| event["item"]["type"] == "agent_message")
        .collect();
    assert_eq!(
        answers.last().map(|event| &event["item"]["text"]),
        Some(&Value::from(answer)),
        "{responses:?}"
    );
    lab.expect_played();
}

/// The same answer so many times.
fn times(number: usize, actions: &str) -> String {
    format!("[[response]]\ntimes = {number}\nactions = [{actions}]\n")
}

/// A lab that allows so many repeats of either kind.
async fn lab_with_retries(responses: &[&str], quiet: &str, visible: &str) -> Lab {
    let lab = lab(responses).await;
    let config = lab
        .provider_config("")
        .replace(
            "request_max_retries = 1",
            &format!("request_max_retries = {quiet}"),
        )
        .replace(
            "stream_max_retries = 1",
            &format!("stream_max_retries = {visible}"),
        );
    lab.write_config(&config);
    lab
}
