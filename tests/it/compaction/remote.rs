//! Compaction by the provider's service.

use dovetail_tests::script;

use super::{busy, compacted_lines, compaction, notices_and_failure, remote_lab, sent, shapes};

const PREFIX: &str = "Error running remote compact task: ";

/// Plays answers to the request for a compaction that fail the turn. The conversation must be there as it was, and go on:
/// the next turn compacts it.
async fn check_failing(requests: usize, answer: &str, complaints: &[&str]) {
    let failing = format!("[[response]]\ntimes = {requests}\nactions = [{answer}]\n");
    let (busy, sealed, on) = (busy("run"), compaction("SEALED"), script::answer("on"));
    let lab = remote_lab(&[&busy, &failing, &sealed, &on]).await;
    let ran = lab.exec_json(&["first"], 1).await;
    assert_eq!(lab.requests().len(), 1 + requests, "{answer}");
    let (last, notices) = complaints.split_last().unwrap();
    let failure = format!("{PREFIX}{last}");
    let expected: Vec<&str> = notices.iter().copied().chain([failure.as_str()]).collect();
    assert_eq!(notices_and_failure(&ran), expected, "{answer}");
    assert_eq!(compacted_lines(&lab), 0, "{answer}");

    lab.exec_json(&["resume", "--last", "second"], 0).await;
    let all = sent(&lab);
    let [.., again, turn] = all.as_slice() else {
        panic!("two requests and more")
    };
    assert_eq!(
        shapes(again),
        [
            "instructions",
            "context",
            "environment",
            "user: first",
            "function_call",
            "function_call_output",
            "compaction_trigger"
        ],
        "{answer}"
    );
    assert_eq!(
        shapes(turn),
        [
            "instructions",
            "context",
            "environment",
            "user: first",
            "compaction",
            "user: second"
        ],
        "{answer}"
    );
    lab.expect_played();
}

#[tokio::test]
async fn a_refused_request_fails_the_turn_and_leaves_the_conversation() {
    for (answer, words) in [
        (
            "{ status = 400, body = \"no such thing\" }",
            "no such thing",
        ),
        (
            "{ failed = { code = 'insufficient_quota', message = 'x' } }",
            "Quota exceeded. Check your plan and billing details.",
        ),
        (
            "{ failed = { code = 'context_length_exceeded', message = 'x' } }",
            "Dovetail ran out of room in the model's context window. Start a new thread or shorten this one, then try again.",
        ),
    ] {
        check_failing(1, answer, &[words]).await;
    }
}

#[tokio::test]
async fn exactly_one_compaction_must_come() {
    let expected =
        "Fatal error: remote compaction v2 expected exactly one compaction output item, got";
    check_failing(
        1,
        "{ text = \"I would rather not\" }",
        &[&format!("{expected} 0 from 1 output items")],
    )
    .await;
    check_failing(
        1,
        "{ compaction = \"A\" }, { text = \"and\" }, { compaction = \"B\" }",
        &[&format!("{expected} 2 from 3 output items")],
    )
    .await;
}

#[tokio::test]
async fn a_lost_connection_is_tried_again() {
    let lost = "stream disconnected before completion: odd";
    let notice = format!("Reconnecting... 1/1 ({lost})");
    let failing =
        "{ compaction = \"HALF\" }, { failed = { code = 'server_error', message = 'odd' } }";
    check_failing(2, failing, &[&notice, lost]).await;
}

#[tokio::test]
async fn a_lost_connection_is_tried_again_twice_at_most() {
    let lab = remote_lab(&[
        &busy("run"),
        "[[response]]\ntimes = 3\ncomplete = false\nactions = [{ compaction = \"HALF\" }]\n",
    ])
    .await;
    let config = lab.named_provider_config("mock", "OpenAI", "");
    let config = config.replace("stream_max_retries = 1", "stream_max_retries = 9");
    lab.write_config(&format!("model_auto_compact_token_limit = 4000\n{config}"));
    let ran = lab.exec_json(&["first"], 1).await;
    lab.expect_played();
    let lost = "stream disconnected before completion: stream closed before response.completed";
    assert_eq!(
        notices_and_failure(&ran),
        [
            format!("Reconnecting... 1/2 ({lost})"),
            format!("Reconnecting... 2/2 ({lost})"),
            format!("{PREFIX}{lost}")
        ]
    );
}

#[tokio::test]
async fn items_beside_the_compaction_are_left_out() {
    let answer = script::response("{ text = \"here it is\" }, { compaction = \"SEALED\" }");
    let lab = remote_lab(&[&busy("run"), &answer, &script::answer("done")]).await;
    let ran = lab.exec_json(&["first"], 0).await;
    lab.expect_played();
    assert_eq!(
        shapes(&lab.last_request()),
        [
            "instructions",
            "context",
            "environment",
            "user: first",
            "compaction"
        ]
    );
    assert!(!ran.stdout.contains("here it is"), "{}", ran.stdout);
}

/// The newest output is what made the conversation too long, and the service could not take it either.
#[tokio::test]
async fn outputs_that_do_not_fit_are_left_out_of_the_request() {
    let long = "seq 10000 16000";
    let call = format!(
        "{{ tool_call = \"exec_command\", call_id = \"long\", arguments = {{ cmd = \"{long}\" }} }}"
    );
    let calls = format!("[[response]]\nactions = [{call}, {}]\n", super::FULL);
    let lab = remote_lab(&[&calls, &compaction("SEALED"), &script::answer("done")]).await;
    super::configure(&lab, "OpenAI", "model_context_window = 5000\n");
    lab.exec_json(&["first"], 0).await;
    lab.expect_played();
    let request = &sent(&lab)[1];
    let output = request["input"][5]["output"].as_str().unwrap();
    assert!(output.starts_with("[this output was left out"), "{output}");
    let kept = lab.rollout_lines().iter().any(|line| {
        line["payload"]["output"]
            .as_str()
            .is_some_and(|text| text.contains("15999"))
    });
    assert!(kept, "the file has all of it");
}
