//! Streams as servers send them.

use dovetail_plugin_api::wire::Conversation;

use super::*;

fn stream() -> Stream {
    let request = json!({ "input": [], "tools": [
        { "type": "function", "name": "exec_command" },
        { "type": "custom", "name": "apply_patch" },
    ] });
    Stream::new(Answer::to(&Conversation::read(&request)))
}

fn run(chunks: &[&str]) -> Result<Vec<Value>, Error> {
    let mut stream = stream();
    let mut events = Vec::new();
    for data in chunks {
        events.extend(stream.push(WireEvent {
            name: String::new(),
            data: (*data).to_owned(),
        })?);
    }
    events.extend(stream.finish()?);
    Ok(events)
}

/// The items and the end, without ids.
#[track_caller]
fn told(chunks: &[&str]) -> Vec<Value> {
    let mut told = Vec::new();
    for mut event in run(chunks).expect("the stream is whole") {
        match event["type"].as_str().expect("a type") {
            "response.output_item.done" => {
                let item = event["item"].as_object_mut().expect("an item");
                item.shift_remove("id");
                told.push(Value::Object(item.clone()));
            }
            "response.completed" => told.push(event["response"]["usage"].clone()),
            "response.failed" | "response.incomplete" => told.push(event["response"].clone()),
            _ => {}
        }
    }
    told
}

fn message(text: &str) -> Value {
    json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": text }] })
}

fn call(id: &str, arguments: &str) -> Value {
    json!({ "type": "function_call", "name": "exec_command", "arguments": arguments, "call_id": id })
}

const TEXT: &str =
    r#"{"id":"r","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USED: &str = r#"{"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1}}"#;

#[test]
fn an_answer_ends_in_every_way_that_servers_know() {
    let used = json!({
        "input_tokens": 2, "input_tokens_details": { "cached_tokens": 0, "cache_write_tokens": 0 },
        "output_tokens": 1, "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 3,
    });
    assert_eq!(
        told(&[TEXT, STOP, USED, DONE]),
        [message("Hi"), used.clone()]
    );
    assert_eq!(told(&[TEXT, STOP, USED]), [message("Hi"), used]);
    for end in [&[STOP][..], &[DONE], &[STOP, DONE]] {
        assert_eq!(told(&[&[TEXT], end].concat()), [message("Hi"), Value::Null]);
    }
}

#[test]
fn a_stream_that_just_ends_is_worth_another_try() {
    for chunks in [&[TEXT][..], &[], &[DONE], &["garbage", DONE], &["null"]] {
        assert!(
            matches!(run(chunks), Err(Error::Retryable { .. })),
            "{chunks:?}"
        );
    }
}

#[test]
fn calls_in_fragments_and_reasoning_become_items() {
    let chunks = [
        r#"{"choices":[{"delta":{"role":"assistant","content":"","reasoning":"let "}}]}"#,
        r#"{"choices":[{"delta":{"reasoning":"me"}}]}"#,
        "{broken",
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"exec_command","arguments":""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"cmd\":"}},{"index":1,"id":"b","function":{"name":"exec_command"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"ls\"}"}}]}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
        DONE,
    ];
    let reasoning = json!({
        "type": "reasoning", "summary": [{ "type": "summary_text", "text": "let me" }], "content": null,
        "encrypted_content": "chat-completions:reasoning",
    });
    assert_eq!(
        told(&chunks),
        [
            reasoning,
            call("a", r#"{"cmd":"ls"}"#),
            call("b", "{}"),
            Value::Null
        ]
    );
}

#[test]
fn a_patch_is_plain_text_again() {
    let chunk = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"p","function":{"name":"apply_patch","arguments":"{\"input\":\"*** Begin Patch\"}"}}]},"finish_reason":"tool_calls"}]}"#;
    let patch = json!({
        "type": "custom_tool_call", "status": "completed", "call_id": "p", "name": "apply_patch",
        "input": "*** Begin Patch",
    });
    assert_eq!(told(&[chunk]), [patch, Value::Null]);
}

#[test]
fn what_was_cut_off_is_no_call() {
    let cut = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"exec_command","arguments":"{\"cmd\":\"rm"}}]},"finish_reason":"length"}]}"#;
    assert_eq!(
        told(&[TEXT, cut]),
        [
            message("Hi"),
            json!({ "incomplete_details": { "reason": "max_output_tokens" } })
        ]
    );
}

#[test]
fn a_call_without_a_name_is_told_as_it_came() {
    let nameless = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
    assert_eq!(
        told(&[nameless]),
        [
            json!({ "type": "function_call", "arguments": "{}", "call_id": "a" }),
            Value::Null
        ]
    );
}

#[test]
fn errors_in_the_stream_end_it() {
    for error in [
        r#"{"error":{"message":"out of memory","code":500}}"#,
        r#"{"error":"out of memory"}"#,
    ] {
        let told = told(&[TEXT, error, STOP]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["error"]["message"], "out of memory");
    }
}

#[test]
fn many_fragments_of_one_call_are_one_call_and_many_calls_are_refused() {
    let fragment = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"exec_command","arguments":" "}}]}}]}"#;
    let mut stream = stream();
    let mut push = |data: String| {
        stream.push(WireEvent {
            name: String::new(),
            data,
        })
    };
    for _ in 0..20_000 {
        assert_eq!(push(fragment.to_owned()), Ok(vec![]));
    }
    let refused = (1..).find_map(|index| {
        push(
            fragment
                .replace("\"index\":0", &format!("\"index\":{index}"))
                .replace("\"a\"", &format!("\"a{index}\"")),
        )
        .err()
    });
    assert!(matches!(refused, Some(Error::Invalid(_))), "{refused:?}");
}

proptest::proptest! {
    #[test]
    fn nothing_that_a_server_sends_breaks_it(chunks in proptest::collection::vec(
        "(\\{\"(choices|error|usage|id)\":(\\[\\{\"(delta|message|index|finish_reason)\":(null|1|\"x\"|\\{\"(content|tool_calls|reasoning)\":(null|\"t\"|\\[1\\]|\\[\\{\"index\":-1\\}\\])\\})\\}\\]|null|[0-9]|\"e\"|\\{\\})\\})|\\[DONE\\]|.{0,12}",
        0..12,
    )) {
        let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
        if let Ok(events) = run(&chunks) {
            proptest::prop_assert!(events.iter().all(|event| event["type"].is_string()));
        }
    }
}

#[test]
fn reasoning_in_the_text_is_told_as_reasoning() {
    let thought = json!({ "type": "reasoning", "summary": [{ "type": "summary_text", "text": "hm" }], "content": null,
        "encrypted_content": "chat-completions:content" });
    let delta = |text: &str| json!({ "choices": [{ "delta": { "content": text } }] }).to_string();
    let (begin, end) = (delta("<think>\nhm\n</th"), delta("ink>\n\nHi"));
    assert_eq!(
        told(&[&begin, &end, STOP, DONE]),
        [thought.clone(), message("Hi"), Value::Null]
    );
    let cut = r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#;
    assert_eq!(told(&[&delta("<think>hm"), cut])[0], thought);
}

#[test]
fn what_calls_come_with_is_kept_for_the_next_request() {
    let first = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","extra_content":{"google":{"thought_signature":"S"}},"function":{"name":"exec_command","arguments":"{}"}}]}}]}"#;
    let second = r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"exec_command","arguments":"{}"}}]}}]}"#;
    let seal = json!({ "type": "reasoning", "summary": [], "content": null,
        "encrypted_content": "chat-completions:calls:[{\"google\":{\"thought_signature\":\"S\"}},null]" });
    assert_eq!(
        told(&[TEXT, first, second, STOP, DONE]),
        [
            message("Hi"),
            seal,
            call("a", "{}"),
            call("b", "{}"),
            Value::Null
        ]
    );
}

#[test]
fn a_list_of_reasoning_is_kept_where_calls_follow() {
    let piece = |text: &str| {
        let details = json!([{ "type": "reasoning.text", "index": 0, "text": text }]);
        json!({ "choices": [{ "delta": { "reasoning": text, "reasoning_details": details } }] })
            .to_string()
    };
    let made = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"exec_command","arguments":"{}"}}]}}]}"#;
    let reasoning = |summary: Value, seal: &str| json!({ "type": "reasoning", "summary": summary, "content": null, "encrypted_content": seal });
    let thought = reasoning(
        json!([{ "type": "summary_text", "text": "hm, yes" }]),
        "chat-completions:reasoning",
    );
    let (hm, yes) = (piece("hm, "), piece("yes"));
    assert_eq!(
        told(&[&hm, &yes, made, STOP, DONE]),
        [
            thought.clone(),
            reasoning(
                json!([]),
                r#"chat-completions:details:[{"type":"reasoning.text","index":0,"text":"hm, yes"}]"#
            ),
            call("a", "{}"),
            Value::Null
        ]
    );
    assert_eq!(
        told(&[&hm, &yes, TEXT, STOP, DONE]),
        [thought, message("Hi"), Value::Null]
    );
}

#[test]
fn calls_behind_the_reason_to_stop_are_made() {
    let late = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"exec_command","arguments":"{}"}}]}}]}"#;
    assert_eq!(
        told(&[TEXT, STOP, late, DONE]),
        [message("Hi"), call("a", "{}"), Value::Null]
    );
}

#[test]
fn a_whole_answer_needs_no_reason_to_stop() {
    for end in ["", r#","finish_reason":null"#] {
        let whole = format!(r#"{{"choices":[{{"message":{{"content":"Hi"}}{end}}}]}}"#);
        assert_eq!(told(&[&whole]), [message("Hi"), Value::Null]);
    }
}

#[test]
fn what_is_no_such_stream_is_shown() {
    let error = run(&[r#"{"status":"ok"}"#]).expect_err("no answer");
    assert_eq!(
        error,
        Error::retryable(
            r#"what the server answers is no Chat Completions stream: {"status":"ok"}"#
        )
    );
    let error = run(&["null", TEXT]).expect_err("cut short");
    assert_eq!(
        error,
        Error::retryable("the stream ended before the answer did")
    );
}
