//! Streams as the service sends them.

use dovetail_plugin_api::wire::Conversation;

use super::*;

fn run(events: &[Value]) -> Result<Vec<Value>, Error> {
    let request = json!({ "input": [], "tools": [{ "type": "function", "name": "f" }] });
    let mut stream = Stream::new(Answer::to(&Conversation::read(&request)));
    let mut told = Vec::new();
    for event in events {
        told.extend(stream.push(WireEvent {
            name: event["type"].as_str().unwrap_or_default().to_owned(),
            data: event.to_string(),
        })?);
    }
    told.extend(stream.finish()?);
    Ok(told)
}

/// The items and the end, without ids.
#[track_caller]
fn told(events: &[Value]) -> Vec<Value> {
    let mut told = Vec::new();
    for mut event in run(events).expect("the stream is whole") {
        match event["type"].as_str().expect("a type") {
            "response.output_item.done" => {
                let item = event["item"].as_object_mut().expect("an item");
                item.shift_remove("id");
                told.push(Value::Object(item.clone()));
            }
            "response.completed" | "response.failed" | "response.incomplete" => {
                told.push(event["response"].clone());
            }
            _ => {}
        }
    }
    told
}

fn start() -> Value {
    json!({ "type": "message_start", "message": { "id": "msg_1", "content": [], "usage": {
        "input_tokens": 5, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 100, "output_tokens": 1 } } })
}

fn begin(index: u64, block: Value) -> Value {
    json!({ "type": "content_block_start", "index": index, "content_block": block })
}

fn delta(index: u64, delta: Value) -> Value {
    json!({ "type": "content_block_delta", "index": index, "delta": delta })
}

fn end(index: u64) -> Value {
    json!({ "type": "content_block_stop", "index": index })
}

fn stop(reason: &str) -> [Value; 2] {
    [
        json!({ "type": "message_delta", "delta": { "stop_reason": reason }, "usage": { "output_tokens": 9 } }),
        json!({ "type": "message_stop" }),
    ]
}

fn message(text: &str) -> Value {
    json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": text }] })
}

fn usage() -> Value {
    json!({
        "input_tokens": 125, "input_tokens_details": { "cached_tokens": 100, "cache_write_tokens": 20 },
        "output_tokens": 9, "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 134,
    })
}

fn hello() -> Vec<Value> {
    vec![
        start(),
        begin(0, json!({ "type": "text", "text": "" })),
        json!({ "type": "ping" }),
        delta(0, json!({ "type": "text_delta", "text": "Hi" })),
        end(0),
    ]
}

#[test]
fn thinking_text_and_calls_become_items() {
    let mut events = vec![
        start(),
        begin(
            0,
            json!({ "type": "thinking", "thinking": "", "signature": "" }),
        ),
        delta(0, json!({ "type": "thinking_delta", "thinking": "let me" })),
        delta(0, json!({ "type": "signature_delta", "signature": "SIG" })),
        end(0),
        begin(1, json!({ "type": "redacted_thinking", "data": "DATA" })),
        end(1),
        begin(2, json!({ "type": "text", "text": "" })),
        delta(2, json!({ "type": "text_delta", "text": "Looking" })),
        end(2),
        begin(
            3,
            json!({ "type": "tool_use", "id": "toolu_1", "name": "f", "input": {} }),
        ),
        delta(3, json!({ "type": "input_json_delta", "partial_json": "" })),
        delta(
            3,
            json!({ "type": "input_json_delta", "partial_json": "{\"a\"" }),
        ),
        delta(
            3,
            json!({ "type": "input_json_delta", "partial_json": ":1}" }),
        ),
        end(3),
        begin(
            4,
            json!({ "type": "tool_use", "id": "toolu_2", "name": "f", "input": {} }),
        ),
        end(4),
    ];
    events.extend(stop("tool_use"));
    let reasoning = |summary: Value, seal: &str| json!({ "type": "reasoning", "summary": summary, "content": null, "encrypted_content": seal });
    let call = |id: &str, arguments: &str| json!({ "type": "function_call", "name": "f", "arguments": arguments, "call_id": id });
    assert_eq!(
        told(&events),
        [
            reasoning(
                json!([{ "type": "summary_text", "text": "let me" }]),
                "messages:signed:SIG"
            ),
            reasoning(json!([]), "messages:redacted:DATA"),
            message("Looking"),
            call("toolu_1", "{\"a\":1}"),
            call("toolu_2", "{}"),
            json!({ "id": "msg_1", "usage": usage() }),
        ]
    );
}

#[test]
fn every_reason_to_stop_has_its_end() {
    let ended = |reason: &str| {
        let mut events = hello();
        events.extend(stop(reason));
        told(&events).pop().expect("an end")
    };
    let whole = json!({ "id": "msg_1", "usage": usage() });
    for reason in ["end_turn", "tool_use", "stop_sequence", "something_new"] {
        assert_eq!(ended(reason), whole);
    }
    assert_eq!(ended("pause_turn")["end_turn"], false);
    let cut = |reason: &str| json!({ "incomplete_details": { "reason": reason } });
    assert_eq!(ended("max_tokens"), cut("max_output_tokens"));
    assert_eq!(ended("refusal"), cut("content_filter"));
    assert_eq!(
        ended("model_context_window_exceeded")["error"]["code"],
        "context_length_exceeded"
    );
}

#[test]
fn a_call_that_was_cut_off_is_not_made() {
    let mut events = vec![
        start(),
        begin(
            0,
            json!({ "type": "tool_use", "id": "t", "name": "f", "input": {} }),
        ),
        delta(
            0,
            json!({ "type": "input_json_delta", "partial_json": "{\"a" }),
        ),
    ];
    events.extend(stop("max_tokens"));
    assert_eq!(
        told(&events),
        [json!({ "incomplete_details": { "reason": "max_output_tokens" } })]
    );
}

#[test]
fn a_stream_that_just_ends_is_worth_another_try_and_an_error_says_its_words() {
    assert!(matches!(run(&hello()), Err(Error::Retryable { .. })));
    let mut events = hello();
    events.push(json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } }));
    assert_eq!(
        told(&events)[1],
        json!({ "error": { "type": "overloaded_error", "message": "Overloaded" } })
    );
}

#[test]
fn an_answer_that_was_not_streamed_is_read_too() {
    let events = [
        json!({ "type": "message", "id": "msg_1", "stop_reason": "tool_use", "content": [
        { "type": "text", "text": "Hi" }, { "type": "tool_use", "id": "t", "name": "f", "input": { "a": 1 } } ] }),
    ];
    let told = told(&events);
    assert_eq!(told[0], message("Hi"));
    assert_eq!(told[1]["arguments"], "{\"a\":1}");
}

#[test]
fn blocks_that_never_end_have_an_end() {
    let mut events = vec![start()];
    events.extend((0..10_000).map(|index| begin(index, json!({ "type": "tool_use", "id": "t" }))));
    assert!(matches!(run(&events), Err(Error::Invalid(_))));
}

proptest::proptest! {
    #[test]
    fn nothing_that_a_server_sends_breaks_it(
        events in proptest::collection::vec((0..8_usize, 0..4_u64, "[a-z{}\":\\[\\],]{0,8}"), 0..24)
    ) {
        let events: Vec<Value> = events
            .into_iter()
            .map(|(kind, index, text)| match kind {
                0 => begin(index, json!({ "type": "text", "text": text })),
                1 => begin(index, json!({ "type": "tool_use", "id": text, "name": text })),
                2 => begin(index, json!({ "type": "thinking", "thinking": text })),
                3 => delta(index, json!({ "type": "input_json_delta", "partial_json": text })),
                4 => delta(index, json!({ "type": "signature_delta", "signature": text })),
                5 => end(index),
                6 => stop(&text)[0].clone(),
                _ => json!({ "type": text, "message": text, "delta": null }),
            })
            .collect();
        if let Ok(told) = run(&events) {
            proptest::prop_assert!(told.iter().all(|event| event["type"].is_string()));
        }
    }
}
