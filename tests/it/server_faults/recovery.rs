//! What a retry keeps, and how often a credential is recovered.

use dovetail_tests::{Lab, script};

use super::{check_thread_goes_on, times, words};
use crate::lab;

/// The provider's table with a command that prints a new token every time.
fn with_command(lab: &Lab) {
    let program = "#!/bin/sh\necho run >> runs; echo t-$(wc -l < runs)\n";
    let command = lab.write("token.sh", program);
    let auth = format!(
        "auth = {{ command = \"/bin/sh\", args = [\"{}\"] }}",
        command.display()
    );
    lab.write_config(
        &lab.provider_config(&auth)
            .replace("env_key = \"REHEARSAL_KEY\"\n", ""),
    );
}

const REFUSED: &str = "{ status = 401, body = { error = { message = 'expired' } } }";

#[tokio::test]
async fn a_credential_is_recovered_once_per_turn_whatever_comes_between() {
    let lab = lab(&[
        &times(1, REFUSED),
        &script::command("c", "true"),
        &times(1, REFUSED),
        &script::answer("well again"),
    ])
    .await;
    with_command(&lab);
    let ran = lab.exec_json(&["the question"], 1).await;
    assert_eq!(
        words(&lab, &ran),
        ["unexpected status 401 Unauthorized: expired, url: http://127.0.0.1:<port>/v1/responses"]
    );
    let sent: Vec<String> = lab
        .requests()
        .iter()
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(sent, ["Bearer t-1", "Bearer t-2", "Bearer t-2"]);
    check_thread_goes_on(&lab).await;
}

#[tokio::test]
async fn a_refused_credential_does_not_use_up_the_repeats() {
    let lab = lab(&[
        &times(2, "{ status = 502 }"),
        &times(1, REFUSED),
        &times(1, "{ status = 429 }"),
        &script::answer("well again"),
    ])
    .await;
    with_command(&lab);
    // One quiet repeat and one visible one (502, 502), then a recovery; nothing is left for the 429.
    let ran = lab.exec_json(&["the question"], 1).await;
    let said = words(&lab, &ran);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("Reconnecting... 1/1 (unexpected status 502 "),
        "{said:?}"
    );
    assert_eq!(
        said[1],
        "exceeded retry limit, last status: 429 Too Many Requests"
    );
    check_thread_goes_on(&lab).await;
}

#[tokio::test]
async fn an_answered_request_gives_the_next_one_fresh_repeats() {
    let broken = times(1, "{ failed = { code = 'odd', message = 'x' } }");
    let lab = lab(&[
        &broken,
        &script::command("c", "true"),
        &broken,
        &script::answer("done"),
    ])
    .await;
    let ran = lab.exec_json(&["go"], 0).await;
    let notice = "Reconnecting... 1/1 (stream disconnected before completion: x)";
    assert_eq!(words(&lab, &ran), [notice, notice]);
    lab.expect_played();
}

#[tokio::test]
async fn calls_of_a_broken_stream_finish_once_and_everything_finished_is_sent() {
    let broken = r#"
[[response]]
complete = false
actions = [
    { reasoning = "**Plan**" },
    { text = "I'll look.", phase = "commentary" },
    { tool_call = "exec_command", call_id = "c", arguments = { cmd = "echo run >> runs; echo done" } },
    { tool_call = "no_such_tool", call_id = "d" },
    { event = { type = "response.output_item.added", item = { type = "message", id = "m", role = "assistant", content = [] } } },
    { event = { type = "response.output_text.delta", item_id = "m", delta = "this was never finished" } },
]
"#;
    let lab = lab(&[broken, &script::answer("ok")]).await;
    let ran = lab
        .exec_json(&["-s", "workspace-write", "the question"], 0)
        .await;
    assert_eq!(
        words(&lab, &ran),
        [
            "Reconnecting... 1/1 (stream disconnected before completion: stream closed before response.completed)"
        ]
    );
    assert_eq!(
        std::fs::read_to_string(lab.project().join("runs")).unwrap(),
        "run\n"
    );
    assert_eq!(
        ran.event_kinds(),
        [
            "thread.started",
            "turn.started",
            "item.completed reasoning",
            "item.completed agent_message",
            "item.started command_execution",
            "item.completed command_execution",
            "error",
            "item.completed agent_message",
            "turn.completed",
        ]
    );
    assert!(lab.output_of("c").contains("exited with code 0"));
    assert_eq!(lab.output_of("d"), "unsupported call: no_such_tool");
    let input = lab.last_request()["input"].clone();
    let kinds: Vec<&str> = input
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["type"].as_str().unwrap())
        .skip_while(|kind| *kind == "message")
        .collect();
    assert_eq!(
        kinds,
        [
            "reasoning",
            "message",
            "function_call",
            "function_call",
            "function_call_output",
            "function_call_output"
        ]
    );
    assert!(!input.to_string().contains("this was never finished"));
    lab.expect_played();
}
