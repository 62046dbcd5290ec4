//! Streams that are not what they should be.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{check_surviving, lab_with_retries, words};
use crate::lab;
use crate::raw_server::RawServer;
use dovetail_tests::script;

#[tokio::test]
async fn garbage_between_events_is_skipped() {
    let chaos = r#"
[[response]]
actions = [
    { split = 1 },
    { garbage = { hex = "ef bb bf" } },
    { garbage = "data: {this is no JSON\n\n" },
    { garbage = { hex = "64 61 74 61 3a ff 0a 0a" } },
    { garbage = ": a comment\r\n\r\nevent: unknown.kind\rdata: {\"type\":\"unknown.kind\"}\r\r" },
    { event = { type = "response.output_text.delta", delta = "belongs to nothing" } },
    { event = { type = "response.output_item.done", item = 7 } },
    { garbage = "data: {\"type\":\ndata: \"response.in_progress\"}\n\n" },
    { text = "Grüße aus dem Chaos 🌪", chunk = 1 },
]
"#;
    check_surviving(&[chaos], 1, &[], "Grüße aus dem Chaos 🌪").await;
}

#[tokio::test]
async fn a_call_that_cannot_be_read_is_mentioned() {
    let broken = r#"
[[response]]
actions = [
    { event = { type = "response.output_item.done", item = { type = "function_call", name = "exec_command", arguments = "{}" } } },
    { event = { type = "response.output_item.done", item = { type = "function_call", name = "exec_command", arguments = { cmd = "ls" }, call_id = "c" } } },
    { text = "on" },
]
"#;
    let lab = lab(&[broken, &script::answer("and on")]).await;
    let ran = lab.exec_json(&["go"], 0).await;
    let items = ran.events().into_iter().map(|event| event["item"].clone());
    let said: Vec<_> = items.filter(|item| !item.is_null()).collect();
    let lost = "a part of the model's answer cannot be read and is left out: a `function_call` has no text";
    assert_eq!(said[0]["message"], format!("{lost} `call_id`"));
    assert_eq!(said[1]["message"], format!("{lost} `arguments`"));
    assert_eq!(said[2]["text"], "on");
    // Sent back, half a call would have every later request refused.
    lab.exec_json(&["resume", "--last", "go on"], 0).await;
    let input = lab.last_request()["input"].to_string();
    assert!(!input.contains("function_call"), "{input}");
}

#[tokio::test]
async fn every_known_event_is_taken_for_what_it_is() {
    let known = r#"
[[response]]
actions = [
    { event = { type = "response.created", response = { id = "r" } } },
    { event = { type = "response.in_progress", response = { id = "r" } } },
    { event = { type = "response.output_item.added", item = { type = "reasoning", id = "rs_1", summary = [] } } },
    { event = { type = "response.reasoning_summary_part.added", summary_index = 0 } },
    { event = { type = "response.reasoning_summary_text.delta", delta = "think", summary_index = 0 } },
    { event = { type = "response.reasoning_summary_part.added", summary_index = 1 } },
    { event = { type = "response.reasoning_text.delta", delta = "raw", content_index = 0 } },
    { event = { type = "response.output_item.done", item = { type = "reasoning", id = "rs_1", summary = [{ type = "summary_text", text = "think" }] } } },
    { event = { type = "response.output_item.added", item = { type = "custom_tool_call", id = "ctc_1", call_id = "p", name = "no_such", input = "" } } },
    { event = { type = "response.custom_tool_call_input.delta", delta = "some" } },
    { event = { type = "response.output_item.done", item = { type = "custom_tool_call", id = "ctc_1", call_id = "p", name = "no_such", input = "some" } } },
    { event = { type = "response.output_item.added", item = { type = "function_call", id = "fc_1", call_id = "f", name = "no_such", arguments = "" } } },
    { event = { type = "response.function_call_arguments.delta", delta = "{}" } },
    { event = { type = "response.output_item.done", item = { type = "function_call", id = "fc_1", call_id = "f", name = "no_such", arguments = "{}" } } },
    { event = { type = "codex.rate_limits", rate_limits = { primary = { used_percent = 5 } } } },
    { event = { type = "invented.tomorrow", payload = [1, 2] } },
]

[[response]]
expect = [
    { tool_output = "p", equals = "unsupported custom tool call: no_such" },
    { tool_output = "f", equals = "unsupported call: no_such" },
]
actions = [{ text = "all seen" }]
"#;
    check_surviving(&[known], 2, &[], "all seen").await;
}

#[tokio::test]
async fn an_event_without_end_is_cut_off() {
    let endless = RawServer::start(|mut stream| async move {
        let mut request = [0; 64 * 1024];
        let read = stream.read(&mut request).await.unwrap();
        assert!(read > 0, "the client asks");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ";
        stream.write_all(head.as_bytes()).await.unwrap();
        // Until the client has had enough.
        while stream.write_all(&[b'x'; 64 * 1024]).await.is_ok() {}
        stream
    })
    .await;
    let lab = lab_with_retries(&[&script::answer("well again")], "0", "0").await;
    let url = format!(
        "model_providers.rehearsal.base_url=http://{}",
        endless.address()
    );
    let ran = lab.exec_json(&["-c", &url, "the question"], 1).await;
    assert_eq!(
        words(&lab, &ran),
        ["stream disconnected before completion: an event is longer than 33554432 bytes"]
    );
    super::check_thread_goes_on(&lab).await;
}
