//! Requests as servers get them.

use super::*;

fn sent(request: Value) -> Value {
    body(&request, &Conversation::read(&request), Options::default())
}

fn said(role: &str, content: Value) -> Value {
    json!({ "type": "message", "role": role, "content": content })
}

fn text(text: &str) -> Value {
    json!([{ "type": "input_text", "text": text }])
}

#[test]
fn a_bare_request_has_nothing_that_a_server_might_refuse() {
    let request = json!({
        "model": "m", "stream": true, "store": false, "tools": [], "tool_choice": "auto", "parallel_tool_calls": true,
        "prompt_cache_key": "k", "client_metadata": {}, "include": [], "reasoning": { "summary": "auto" },
        "input": [said("developer", text("Be brief.")), said("user", text("Hi"))],
    });
    assert_eq!(
        sent(request),
        json!({
            "model": "m",
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": "Hi" },
            ],
            "stream": true,
            "stream_options": { "include_usage": true },
        })
    );
}

#[test]
fn options_that_the_user_chose_are_sent() {
    let body = sent(json!({
        "model": "m", "input": [], "service_tier": "flex", "parallel_tool_calls": false,
        "tool_choice": { "type": "function", "name": "s", "namespace": "mcp__n" },
        "tools": [{ "type": "namespace", "name": "mcp__n", "tools": [{ "type": "function", "name": "s", "description": "d", "parameters": { "type": "object" } }] }],
        "reasoning": { "effort": "high" },
        "text": { "verbosity": "low", "format": { "type": "json_schema", "strict": true, "name": "n", "schema": { "type": "object" } } },
    }));
    assert_eq!(body["service_tier"], "flex");
    assert_eq!(body["parallel_tool_calls"], false);
    assert_eq!(body["reasoning_effort"], "high");
    assert_eq!(body["verbosity"], "low");
    assert_eq!(
        body["response_format"],
        json!({ "type": "json_schema", "json_schema": { "name": "n", "strict": true, "schema": { "type": "object" } } })
    );
    assert_eq!(
        body["tools"],
        json!([{ "type": "function", "function": { "name": "mcp__n__s", "description": "d", "parameters": { "type": "object" } } }])
    );
    assert_eq!(
        body["tool_choice"],
        json!({ "type": "function", "function": { "name": "mcp__n__s" } })
    );
}

#[test]
fn what_a_service_put_on_its_calls_goes_back_with_them() {
    let call = |id: &str| json!({ "type": "function_call", "name": "f", "arguments": "{}", "call_id": id });
    let body = sent(json!({ "input": [
        said("user", text("go")),
        { "type": "reasoning", "summary": [], "encrypted_content": "chat-completions:calls:[null,{\"google\":{\"thought_signature\":\"S\"}}]" },
        call("1"), call("2"),
    ] }));
    let told = &body["messages"][1];
    assert_eq!(told["tool_calls"][0].get("extra_content"), None);
    assert_eq!(
        told["tool_calls"][1]["extra_content"],
        json!({ "google": { "thought_signature": "S" } })
    );
    let keys: Vec<&String> = told.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["role", "content", "tool_calls"]);
}

#[test]
fn a_list_of_reasoning_goes_back_with_its_calls() {
    let body = sent(json!({ "input": [
        said("user", text("go")),
        { "type": "reasoning", "summary": [], "encrypted_content": "chat-completions:details:[{\"type\":\"reasoning.encrypted\",\"data\":\"AA\"}]" },
        { "type": "function_call", "name": "f", "arguments": "{}", "call_id": "1" },
    ] }));
    assert_eq!(
        body["messages"][1]["reasoning_details"],
        json!([{ "type": "reasoning.encrypted", "data": "AA" }])
    );
}

#[test]
fn usage_is_not_asked_for_where_that_is_refused() {
    let request = json!({ "input": [said("user", text("go"))] });
    let options = Options {
        stream_options: false,
    };
    let body = body(&request, &Conversation::read(&request), options);
    assert_eq!(body.get("stream_options"), None);
}

#[test]
fn reasoning_that_stood_in_the_text_goes_back_there() {
    let body = sent(json!({ "input": [
        said("user", text("go")),
        { "type": "reasoning", "summary": [{ "type": "summary_text", "text": "hm" }], "encrypted_content": "chat-completions:content" },
        said("assistant", text("I will")),
        { "type": "function_call", "name": "f", "arguments": "{}", "call_id": "1" },
    ] }));
    assert_eq!(
        body["messages"][1]["content"],
        "<think>\nhm\n</think>\n\nI will"
    );
}

#[test]
fn reasoning_that_was_a_part_of_the_content_goes_back_as_one() {
    let body = sent(json!({ "input": [
        said("user", text("go")),
        { "type": "reasoning", "summary": [{ "type": "summary_text", "text": "hm" }], "encrypted_content": "chat-completions:content[]" },
        { "type": "function_call", "name": "f", "arguments": "{}", "call_id": "1" },
    ] }));
    assert_eq!(
        body["messages"][1]["content"],
        json!([{ "type": "thinking", "thinking": [{ "type": "text", "text": "hm" }] }])
    );
    assert_eq!(body["messages"][1].get("content[]"), None);
}

#[test]
fn reasoning_goes_back_with_its_calls_under_its_own_name() {
    let reasoning = |seal: Option<&str>| json!({ "type": "reasoning", "summary": [{ "type": "summary_text", "text": "hm" }], "encrypted_content": seal });
    let call = |id: &str| json!({ "type": "function_call", "name": "f", "arguments": "{\"a\": 1}", "call_id": id });
    let output =
        |id: &str| json!({ "type": "function_call_output", "call_id": id, "output": "done" });
    let body = sent(json!({ "input": [
        said("user", text("go")),
        reasoning(Some("chat-completions:reasoning")), call("1"), call("2"), output("1"), output("2"),
        reasoning(None), call("3"), output("3"),
        reasoning(Some("chat-completions:reasoning")), said("assistant", text("done")),
    ] }));
    let called = |id: &str| json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{\"a\": 1}" } });
    let result = |id: &str| json!({ "role": "tool", "tool_call_id": id, "content": "done" });
    assert_eq!(
        body["messages"],
        json!([
            { "role": "user", "content": "go" },
            { "role": "assistant", "content": null, "reasoning": "hm", "tool_calls": [called("1"), called("2")] },
            result("1"),
            result("2"),
            { "role": "assistant", "content": null, "tool_calls": [called("3")] },
            result("3"),
            { "role": "assistant", "content": "done" },
        ])
    );
}

#[test]
fn images_of_results_are_shown_by_the_user() {
    let image = json!({ "type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "original" });
    let shown = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AA==", "detail": "high" } });
    let body = sent(json!({ "input": [
        said("user", json!([{ "type": "input_text", "text": "look" }, image])),
        { "type": "custom_tool_call", "name": "p", "input": "*** x", "call_id": "1" },
        { "type": "custom_tool_call_output", "call_id": "1", "output": [image] },
    ] }));
    assert_eq!(
        body["messages"],
        json!([
            { "role": "user", "content": [{ "type": "text", "text": "look" }, shown] },
            { "role": "assistant", "content": null, "tool_calls": [
                { "id": "1", "type": "function", "function": { "name": "p", "arguments": "{\"input\":\"*** x\"}" } }] },
            { "role": "tool", "tool_call_id": "1", "content": "(see the next message)" },
            { "role": "user", "content": [{ "type": "text", "text": "What the tool call `1` shows:" }, shown] },
        ])
    );
}

#[test]
fn sound_is_sent_as_its_format_and_data() {
    assert_eq!(
        part(&Part::Audio("data:audio/mpeg;base64,QQ==".to_owned())),
        json!({ "type": "input_audio", "input_audio": { "data": "QQ==", "format": "mp3" } })
    );
    assert_eq!(
        part(&Part::Audio("https://a.example/x".to_owned()))["type"],
        "text"
    );
}
