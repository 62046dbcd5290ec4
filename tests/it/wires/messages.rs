//! `wire_api = "messages"` at a real socket.

use serde_json::json;

use super::server::{Reply, Server};

const MESSAGES: &str = "wire_api = \"messages\"\nenv_key = \"VENDOR_KEY\"";

/// Thinking, text and two calls.
pub(super) const CALLS: [&str; 18] = [
    r#"message_start|{"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":10,"cache_read_input_tokens":80,"cache_creation_input_tokens":10,"output_tokens":1}}}"#,
    r#"content_block_start|{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
    r#"content_block_delta|{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"let me "}}"#,
    r#"content_block_delta|{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"look"}}"#,
    r#"content_block_delta|{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"SIG="}}"#,
    r#"content_block_stop|{"type":"content_block_stop","index":0}"#,
    r#"content_block_start|{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
    r#"ping|{"type":"ping"}"#,
    r#"content_block_delta|{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Looking."}}"#,
    r#"content_block_stop|{"type":"content_block_stop","index":1}"#,
    r#"content_block_start|{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"call_a","name":"exec_command","input":{}}}"#,
    r#"content_block_delta|{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"cmd\":\"echo "}}"#,
    r#"content_block_delta|{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"one\"}"}}"#,
    r#"content_block_stop|{"type":"content_block_stop","index":2}"#,
    r#"content_block_start|{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"call_b","name":"exec_command","input":{"cmd":"echo two"}}}"#,
    r#"content_block_stop|{"type":"content_block_stop","index":3}"#,
    r#"message_delta|{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":10}}"#,
    r#"message_stop|{"type":"message_stop"}"#,
];

/// The final answer.
pub(super) const DONE: [&str; 6] = [
    r#"message_start|{"type":"message_start","message":{"id":"msg_2","usage":{"input_tokens":150,"output_tokens":1}}}"#,
    r#"content_block_start|{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    r#"content_block_delta|{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Both are there."}}"#,
    r#"content_block_stop|{"type":"content_block_stop","index":0}"#,
    r#"message_delta|{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#,
    r#"message_stop|{"type":"message_stop"}"#,
];

#[tokio::test]
async fn a_turn_with_tools_and_thinking_goes_through_messages() {
    let server = Server::start(vec![Reply::events(&CALLS), Reply::events(&DONE)]).await;
    let lab = server.lab(&format!("{MESSAGES}\nmax_output_tokens = 9000"));
    let ran = lab
        .exec_json(&["-c", "model_reasoning_effort=high", "look twice"], 0)
        .await;
    let usage = ran.events().last().unwrap()["usage"].clone();
    assert_eq!(
        (
            &usage["input_tokens"],
            &usage["cached_input_tokens"],
            &usage["output_tokens"]
        ),
        (&json!(250), &json!(80), &json!(15))
    );
    let requests = server.requests();
    let (first, second) = (&requests[0], &requests[1]);
    assert_eq!(first.path, "/v1/messages");
    assert_eq!(first.header("x-api-key"), Some("vendor-secret"));
    assert_eq!(first.header("authorization"), None);
    assert_eq!(first.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(first.body["max_tokens"], 9000);
    assert_eq!(
        first.body["thinking"],
        json!({ "type": "enabled", "budget_tokens": 4904 })
    );
    assert_eq!(
        first.body["system"][0]["cache_control"],
        json!({ "type": "ephemeral" })
    );
    assert_eq!(second.body["system"], first.body["system"]);
    let used = |id: &str, cmd: &str| json!({ "type": "tool_use", "id": id, "name": "exec_command", "input": { "cmd": cmd } });
    assert_eq!(
        second.body["messages"][1],
        json!({ "role": "assistant", "content": [
            { "type": "thinking", "thinking": "let me look", "signature": "SIG=" },
            { "type": "text", "text": "Looking." },
            used("call_a", "echo one"),
            used("call_b", "echo two"),
        ] })
    );
    let results = second.body["messages"][2]["content"].as_array().unwrap();
    for (result, (id, output)) in results.iter().zip([("call_a", "one"), ("call_b", "two")]) {
        assert_eq!(
            (&result["type"], &result["tool_use_id"]),
            (&json!("tool_result"), &json!(id))
        );
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.trim_end().ends_with(output), "{text}");
    }
    assert_eq!(results.len(), 2);
    assert_eq!(second.body["thinking"], first.body["thinking"]);
}

#[tokio::test]
async fn a_service_that_is_overloaded_is_asked_again_and_then_said_to_be() {
    let overloaded =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let refused = || Reply::json(529, overloaded);
    let server = Server::start(vec![refused(), Reply::events(&DONE)]).await;
    server.lab(MESSAGES).exec(&["go"]).await.expect_code(0);
    assert_eq!(server.requests().len(), 2);

    let in_stream = format!("error|{overloaded}");
    let server = Server::start(vec![
        Reply::events(&[CALLS[0], &in_stream]),
        Reply::events(&DONE),
    ])
    .await;
    server.lab(MESSAGES).exec(&["go"]).await.expect_code(0);
    assert_eq!(server.requests().len(), 2);

    let server = Server::start(vec![refused(), refused(), refused(), refused()]).await;
    let ran = server.lab(MESSAGES).exec_json(&["go"], 1).await;
    assert!(ran.failure().contains("at capacity"), "{}", ran.failure());
}

#[tokio::test]
async fn failures_are_told_in_the_words_that_fit() {
    let error = |kind: &str, message: &str| {
        format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#)
    };
    // A service that counts requests is asked once more, after a pause.
    for (reply, requests, words) in [
        (
            Reply::json(
                400,
                &error(
                    "invalid_request_error",
                    "prompt is too long: 9 tokens > 8 maximum",
                ),
            ),
            1,
            "ran out of room in the model's context window",
        ),
        (
            Reply::json(401, &error("authentication_error", "invalid x-api-key")),
            1,
            "invalid x-api-key",
        ),
        (
            Reply::json(429, &error("rate_limit_error", "slower")),
            2,
            "429 Too Many Requests",
        ),
    ] {
        let server = Server::start(vec![reply; 3]).await;
        let ran = server.lab(MESSAGES).exec_json(&["go"], 1).await;
        assert!(ran.failure().contains(words), "{words}: {}", ran.failure());
        assert_eq!(server.requests().len(), requests, "{words}");
        assert!(!ran.stdout.contains("vendor-secret"));
    }
}

#[tokio::test]
async fn a_wrong_setting_is_named() {
    let server = Server::start(vec![]).await;
    let lab = server.lab(&format!("{MESSAGES}\nmax_output_tokens = \"many\""));
    lab.exec(&["go"]).await.expect_code(1).expect_errors(&[
        "model_providers.vendor: max_output_tokens must be a whole number above 0",
    ]);
}
