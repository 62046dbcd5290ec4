//! Requests as the service gets them.

use super::*;

fn sent(request: Value) -> Value {
    body(&request, &Conversation::read(&request), &Options::default())
}

fn said(role: &str, text: &str) -> Value {
    json!({ "type": "message", "role": role, "content": [{ "type": "input_text", "text": text }] })
}

fn cached(mut block: Value) -> Value {
    cache(&mut block);
    block
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn reasoning(seal: &str) -> Value {
    json!({ "type": "reasoning", "summary": [{ "type": "summary_text", "text": "hm" }], "encrypted_content": seal })
}

fn call(id: &str) -> Value {
    json!({ "type": "function_call", "name": "f", "arguments": "{\"a\":1}", "call_id": id })
}

fn output(id: &str) -> Value {
    json!({ "type": "function_call_output", "call_id": id, "output": "done" })
}

#[test]
fn the_system_text_stands_beside_the_conversation_and_what_comes_back_is_cached() {
    let request = json!({
        "model": "m", "tools": [], "tool_choice": "auto", "parallel_tool_calls": true,
        "input": [said("developer", "Be brief."), said("user", "Hi"), said("user", " ")],
    });
    assert_eq!(
        sent(request),
        json!({
            "model": "m",
            "max_tokens": 32000,
            "stream": true,
            "system": [cached(text("Be brief."))],
            "messages": [{ "role": "user", "content": [cached(text("Hi"))] }],
        })
    );
}

#[test]
fn calls_results_and_signed_thinking_go_back_in_blocks() {
    let body = sent(json!({ "input": [
        said("user", "go"),
        reasoning("messages:signed:SIG"), said("assistant", "I will"), call("1"), call("2"),
        output("1"), output("2"),
        said("user", "thanks"),
    ] }));
    let used = |id: &str| json!({ "type": "tool_use", "id": id, "name": "f", "input": { "a": 1 } });
    let result =
        |id: &str| json!({ "type": "tool_result", "tool_use_id": id, "content": [text("done")] });
    assert_eq!(
        body["messages"],
        json!([
            { "role": "user", "content": [text("go")] },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "hm", "signature": "SIG" }, text("I will"), used("1"), used("2")] },
            { "role": "user", "content": [result("1"), result("2"), cached(text("thanks"))] },
        ])
    );
}

#[test]
fn options_have_their_words_here() {
    let options = |choice: Value| {
        let body = sent(json!({
            "input": [said("user", "x")], "parallel_tool_calls": false, "tool_choice": choice,
            "tools": [{ "type": "function", "name": "f", "description": "d", "parameters": { "type": "object" } }],
            "reasoning": { "effort": "high" },
        }));
        assert_eq!(
            body["thinking"],
            json!({ "type": "enabled", "budget_tokens": 16384 })
        );
        assert_eq!(
            body["tools"],
            json!([{ "name": "f", "description": "d", "input_schema": { "type": "object" } }])
        );
        body["tool_choice"].clone()
    };
    let alone = "disable_parallel_tool_use";
    assert_eq!(
        options(json!("auto")),
        json!({ "type": "auto", alone: true })
    );
    assert_eq!(
        options(json!("required")),
        json!({ "type": "any", alone: true })
    );
    assert_eq!(options(json!("none")), json!({ "type": "none" }));
    assert_eq!(
        options(json!({ "type": "function", "name": "f" })),
        json!({ "type": "tool", "name": "f", alone: true })
    );
}

#[test]
fn a_schema_is_a_part_of_the_instructions() {
    let body = sent(
        json!({ "input": [said("user", "x")], "text": { "format": { "type": "json_schema", "schema": { "type": "object" } } } }),
    );
    let system = body["system"][0]["text"].as_str().expect("a text");
    assert!(system.ends_with("{\"type\":\"object\"}"), "{system}");
}

#[test]
fn a_turn_that_began_without_thinking_goes_on_without() {
    let thinks = |items: &[Value]| {
        let body = sent(json!({ "input": items, "reasoning": { "effort": "low" } }));
        body.get("thinking").is_some()
    };
    let go = said("user", "go");
    assert!(thinks(&[
        go.clone(),
        reasoning("messages:signed:S"),
        call("1"),
        output("1")
    ]));
    assert!(!thinks(&[go.clone(), call("1"), output("1")]));
    assert!(!thinks(&[
        go.clone(),
        reasoning("chat-completions:reasoning"),
        call("1"),
        output("1")
    ]));
    assert!(thinks(&[
        go.clone(),
        call("1"),
        output("1"),
        said("assistant", "x"),
        go
    ]));
}

#[test]
fn newer_models_are_asked_for_effort_and_given_no_budget() {
    let request = |model: &str| {
        json!({ "model": model, "reasoning": { "effort": "high" },
            "input": [said("user", "go"), call("1"), output("1")] })
    };
    let body = sent(request("claude-opus-4-8"));
    assert_eq!(
        (&body["thinking"], &body["output_config"]),
        (
            &json!({ "type": "adaptive", "display": "summarized" }),
            &json!({ "effort": "high" })
        )
    );
    let older = sent(request("claude-sonnet-4-5"));
    assert_eq!(
        (older.get("thinking"), older.get("output_config")),
        (None, None)
    );
}

#[test]
fn thinking_between_texts_stays_where_it_was() {
    let thinking =
        |signature: &str| json!({ "type": "thinking", "thinking": "hm", "signature": signature });
    let body = sent(json!({ "input": [
        said("user", "go"),
        reasoning("messages:signed:1"), said("assistant", "one"),
        reasoning("messages:signed:2"), said("assistant", "two"), call("1"), output("1"),
    ] }));
    let content = body["messages"][1]["content"].as_array().expect("blocks");
    assert_eq!(
        content[..4],
        [thinking("1"), text("one"), thinking("2"), text("two")]
    );
}

#[test]
fn roles_take_turns_and_the_user_begins() {
    let body = sent(json!({ "input": [
        said("assistant", "hello"), reasoning("messages:signed:S"),
        said("user", "a"), said("developer", "b"),
    ] }));
    let roles: Vec<&str> = body["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .filter_map(|message| message["role"].as_str())
        .collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
}
