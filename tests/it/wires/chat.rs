//! `wire_api = "chat"`: Chat Completions at a real socket.

use dovetail_tests::ECHO;
use serde_json::{Value, json};

use super::server::{Reply, Server};

const CHAT: &str = "wire_api = \"chat\"";

/// Text, reasoning and two calls, as such servers stream them.
pub(super) const CALLS: [&str; 9] = [
    r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"role":"assistant","content":null,"reasoning_content":"let me "}}]}"#,
    r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"reasoning_content":"look"}}]}"#,
    r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"Look"}}]}"#,
    r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"ing."}}]}"#,
    r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"exec_command","arguments":""}}]}}]}"#,
    r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"exec_command","arguments":"{\"cmd\":\"echo two\"}"}}]}}]}"#,
    r#"{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"cmd\":\"echo one\"}"}}]},"finish_reason":"tool_calls"}]}"#,
    r#"{"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":40}}}"#,
    "[DONE]",
];

/// The final answer.
pub(super) const DONE: [&str; 3] = [
    r#"{"id":"chatcmpl-2","choices":[{"index":0,"delta":{"content":"Both are there."},"finish_reason":"stop"}]}"#,
    r#"{"id":"chatcmpl-2","choices":[],"usage":{"prompt_tokens":150,"completion_tokens":5}}"#,
    "[DONE]",
];

#[tokio::test]
async fn a_turn_with_tools_goes_through_chat_completions() {
    let server = Server::start(vec![Reply::events(&CALLS), Reply::events(&DONE)]).await;
    let lab = server.lab(&format!(
        "{CHAT}\nenv_key = \"VENDOR_KEY\"\nquery_params = {{ api-version = \"1\" }}"
    ));
    let ran = lab.exec_json(&["look twice"], 0).await;
    let usage = ran.events().last().unwrap()["usage"].clone();
    assert_eq!(
        (
            &usage["input_tokens"],
            &usage["cached_input_tokens"],
            &usage["output_tokens"]
        ),
        (&json!(250), &json!(40), &json!(15))
    );

    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    let first = &requests[0];
    assert_eq!(first.path, "/v1/chat/completions?api-version=1");
    assert_eq!(first.header("authorization"), Some("Bearer vendor-secret"));
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert!(!first.has_header_like("x-codex-") && first.header("content-encoding").is_none());
    assert_eq!(first.body["model"], "m-1");
    assert_eq!(
        first.body["stream_options"],
        json!({ "include_usage": true })
    );
    for foreign in [
        "input",
        "store",
        "include",
        "prompt_cache_key",
        "client_metadata",
        "reasoning",
    ] {
        assert_eq!(first.body.get(foreign), None, "{foreign}");
    }
    let roles = |body: &Value| {
        let messages = body["messages"].as_array().unwrap();
        messages
            .iter()
            .map(|message| message["role"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(roles(&first.body), ["system", "user"]);
    let tools = first.body["tools"].as_array().unwrap();
    assert!(tools.iter().all(
        |tool| tool["type"] == "function" && tool["function"]["parameters"]["type"] == "object"
    ));

    let second = &requests[1].body;
    assert_eq!(
        roles(second),
        ["system", "user", "assistant", "tool", "tool"]
    );
    assert_eq!(second["messages"][0], first.body["messages"][0]);
    let call = |id: &str, cmd: &str| json!({ "id": id, "type": "function", "function": { "name": "exec_command", "arguments": format!("{{\"cmd\":\"{cmd}\"}}") } });
    assert_eq!(
        second["messages"][2],
        json!({
            "role": "assistant", "content": "Looking.", "reasoning_content": "let me look",
            "tool_calls": [call("call_a", "echo one"), call("call_b", "echo two")],
        })
    );
    for (at, id, output) in [(3, "call_a", "one"), (4, "call_b", "two")] {
        assert_eq!(second["messages"][at]["tool_call_id"], id);
        let content = second["messages"][at]["content"].as_str().unwrap();
        assert!(content.trim_end().ends_with(output), "{content}");
    }
}

#[tokio::test]
async fn a_patch_goes_to_and_fro_as_a_function() {
    let patch = "*** Begin Patch\n*** Add File: made.txt\n+made\n*** End Patch";
    let arguments = json!({ "input": patch }).to_string();
    let call = json!({ "choices": [{ "delta": { "tool_calls": [
        { "index": 0, "id": "p", "function": { "name": "apply_patch", "arguments": arguments } }] }, "finish_reason": "tool_calls" }] });
    let server = Server::start(vec![
        Reply::events(&[&call.to_string()]),
        Reply::events(&DONE),
    ])
    .await;
    // A model that is known to write patches as plain text.
    let lab = server.lab(CHAT);
    lab.exec(&["-m", "gpt-5.5", "-s", "workspace-write", "make it"])
        .await
        .expect_code(0);
    assert_eq!(
        std::fs::read_to_string(lab.project().join("made.txt")).unwrap(),
        "made\n"
    );
    let requests = server.requests();
    let tools = requests[0].body["tools"].as_array().unwrap();
    let tool = tools
        .iter()
        .find(|tool| tool["function"]["name"] == "apply_patch")
        .unwrap();
    assert_eq!(tool["function"]["parameters"]["required"], json!(["input"]));
    let messages = requests[1].body["messages"].as_array().unwrap();
    let told = &messages[messages.len() - 2]["tool_calls"][0]["function"];
    assert_eq!(
        told,
        &json!({ "name": "apply_patch", "arguments": arguments })
    );
}

#[tokio::test]
async fn however_the_stream_is_cut_the_answer_is_the_same() {
    let mut stdouts = Vec::new();
    for piece in [1, 7, usize::MAX] {
        let replies = vec![
            Reply::events(&CALLS).in_pieces(piece),
            Reply::events(&DONE).in_pieces(piece),
        ];
        let server = Server::start(replies).await;
        let ran = server.lab(CHAT).exec(&["look"]).await.expect_code(0);
        assert_eq!(server.requests().len(), 2);
        stdouts.push(ran.stdout);
    }
    assert_eq!(stdouts, ["Both are there.\n"; 3]);
}

#[tokio::test]
async fn answers_that_are_not_streamed_are_answers_too() {
    let whole = r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"whole"},"finish_reason":"stop"}]}"#;
    for reply in [Reply::json(200, whole), Reply::lines(&[DONE[0]])] {
        let server = Server::start(vec![reply]).await;
        server.lab(CHAT).exec(&["go"]).await.expect_code(0);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_asked_for_again() {
    let server = Server::start(vec![Reply::events(&CALLS[..4]), Reply::events(&DONE)]).await;
    let ran = server.lab(CHAT).exec_json(&["go"], 0).await;
    assert_eq!(server.requests().len(), 2);
    let notices: Vec<String> = ran
        .events()
        .iter()
        .filter(|event| event["type"] == "error")
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        notices,
        [
            "Reconnecting... 1/1 (stream disconnected before completion: the stream ended before the answer did)"
        ]
    );
}

#[tokio::test]
async fn failures_are_told_in_the_words_that_fit() {
    let error = |message: &str| format!(r#"{{"error":{{"message":"{message}"}}}}"#);
    let in_stream = error("the request exceeds the available context size");
    let too_long = "ran out of room in the model's context window";
    for (reply, requests, words) in [
        (
            Reply::json(400, &error("maximum context length is 4096 tokens")),
            1,
            too_long,
        ),
        (Reply::events(&[&in_stream]), 1, too_long),
        (
            Reply::json(400, &error("unknown field `x`")),
            1,
            "unknown field `x`",
        ),
        (
            Reply::json(404, &error("model 'm-1' not found")),
            1,
            "model 'm-1' not found",
        ),
        (
            Reply::json(401, &error("bad key")),
            1,
            "401 Unauthorized: bad key",
        ),
        (
            Reply::json(401, "\u{1f}\u{8b}").with_header("content-encoding: gzip"),
            1,
            "401 Unauthorized: its words came in `gzip`, which was not asked for",
        ),
        (
            Reply::json(200, r#"{"status":"ok"}"#),
            2,
            r#"what the server answers is no Chat Completions stream: {"status":"ok"}"#,
        ),
        (Reply::json(200, &error("loading")), 2, "loading"),
        (
            Reply::events(&[r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"length"}]}"#]),
            1,
            "Incomplete response returned, reason: max_output_tokens",
        ),
    ] {
        let server = Server::start(vec![reply.clone(), reply]).await;
        let ran = server.lab(CHAT).exec_json(&["go"], 1).await;
        assert!(ran.failure().contains(words), "{words}: {}", ran.failure());
        assert_eq!(server.requests().len(), requests, "{words}");
    }
}

#[tokio::test]
async fn a_missing_key_fails_before_anything_is_sent() {
    let server = Server::start(vec![Reply::events(&DONE)]).await;
    let mut lab = server.lab(&format!("{CHAT}\nenv_key = \"VENDOR_KEY\""));
    lab.remove_env("VENDOR_KEY");
    let ran = lab.exec_json(&["go"], 1).await;
    assert!(
        ran.failure()
            .starts_with("Missing environment variable: `VENDOR_KEY`."),
        "{}",
        ran.failure()
    );
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn the_token_may_be_a_commands_or_the_shared_logins() {
    let server = Server::start(vec![Reply::events(&DONE), Reply::events(&DONE)]).await;
    let lab = server.lab(&format!(
        "{CHAT}\nauth = {{ command = \"echo\", args = [\"from-command\"] }}"
    ));
    lab.exec(&["go"]).await.expect_code(0);
    let mut lab = server.lab(&format!("{CHAT}\nrequires_openai_auth = true"));
    lab.set_env("CODEX_API_KEY", "shared");
    lab.exec(&["go"]).await.expect_code(0);
    let tokens: Vec<Option<String>> = server
        .requests()
        .iter()
        .map(|request| request.header("authorization").map(str::to_owned))
        .collect();
    assert_eq!(
        tokens,
        [
            Some("Bearer from-command".to_owned()),
            Some("Bearer shared".to_owned())
        ]
    );
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.path == "/v1/chat/completions")
    );
}

#[tokio::test]
async fn hostile_servers_cost_a_turn_and_no_more() {
    let nameless = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
    let server = Server::start(vec![Reply::events(&["{garbage", "null", "[[]]", nameless])]).await;
    let ran = server.lab(CHAT).exec_json(&["go"], 0).await;
    assert!(ran.stdout.contains("has no text `name`"), "{}", ran.stdout);

    let many: Vec<String> = (0..400)
        .map(|index| format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":{index},"id":"c{index}","function":{{"name":"exec_command"}}}}]}}}}]}}"#))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let server = Server::start(vec![Reply::events(&many)]).await;
    let ran = server.lab(CHAT).exec_json(&["go"], 1).await;
    assert!(
        ran.failure().contains("more tool calls than a model makes"),
        "{}",
        ran.failure()
    );
    assert_eq!(server.requests().len(), 1);

    let fragment = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"nope","arguments":" "}}]}}]}"#;
    let mut fragments = vec![fragment; 50_000];
    fragments.push(r#"{"choices":[{"finish_reason":"tool_calls"}]}"#);
    let server = Server::start(vec![Reply::events(&fragments), Reply::events(&DONE)]).await;
    server.lab(CHAT).exec(&["go"]).await.expect_code(0);
    let told = server.requests()[1].body["messages"].to_string();
    assert!(told.contains("unsupported call: nope"), "{told}");
}

#[tokio::test]
async fn tools_of_plugins_are_functions_too() {
    let call = json!({ "choices": [{ "delta": { "tool_calls": [
        { "index": 0, "id": "e", "function": { "name": "mcp__echo__echo", "arguments": "{\"t\":\"hi\"}" } }] }, "finish_reason": "tool_calls" }] });
    let server = Server::start(vec![
        Reply::events(&[&call.to_string()]),
        Reply::events(&DONE),
    ])
    .await;
    let lab = server.lab(CHAT);
    lab.install(&ECHO).await;
    lab.exec(&["echo it"]).await.expect_code(0);
    let requests = server.requests();
    let tools = requests[0].body["tools"].to_string();
    assert!(tools.contains("mcp__echo__echo"), "{tools}");
    let messages = requests[1].body["messages"].as_array().unwrap();
    let [told, result] = &messages[messages.len() - 2..] else {
        panic!("a call and its result: {messages:?}");
    };
    assert_eq!(told["tool_calls"][0]["function"]["name"], "mcp__echo__echo");
    assert_eq!(result["tool_call_id"], "e");
    let text = result["content"].as_str().unwrap();
    assert!(text.contains("echo:{\"t\": \"hi\"}"), "{text}");
}
