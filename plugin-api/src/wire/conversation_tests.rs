//! Conversations as other services want them.

use serde_json::json;

use super::*;

fn read(items: Value) -> Conversation {
    Conversation::read(&json!({ "input": items }))
}

fn message(role: &str, text: &str) -> Value {
    json!({ "type": "message", "role": role, "content": [{ "type": "input_text", "text": text }] })
}

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn tool_use(id: &str, arguments: &str) -> ToolUse {
    ToolUse {
        id: id.to_owned(),
        name: "f".to_owned(),
        arguments: arguments.to_owned(),
    }
}

fn result(id: &str, part: Part) -> ToolResult {
    ToolResult {
        call_id: id.to_owned(),
        content: vec![part],
    }
}

fn call(id: &str, arguments: &str) -> Value {
    json!({ "type": "function_call", "name": "f", "arguments": arguments, "call_id": id })
}

fn output(id: &str, output: &str) -> Value {
    json!({ "type": "function_call_output", "call_id": id, "output": output })
}

#[test]
fn instructions_come_first_and_later_ones_are_the_users() {
    let conversation = read(json!([
        message("developer", "a"),
        message("system", "b"),
        message("user", "c"),
        message("developer", "d"),
    ]));
    assert_eq!(conversation.system, "a\n\nb");
    assert_eq!(
        conversation.entries,
        [Entry::User(vec![text("c"), text("d")])]
    );
}

#[test]
fn results_follow_their_calls_whatever_came_between() {
    let conversation = read(json!([
        message("user", "go"),
        { "type": "reasoning", "summary": [{ "type": "summary_text", "text": "hm" }], "encrypted_content": "S" },
        message("assistant", "I will"),
        call("1", "{\"a\":1}"),
        call("2", "{\"a"),
        output("2", "two"),
        message("user", "also"),
        output("1", "one"),
        output("gone", "nobody asked"),
    ]));
    assert_eq!(
        conversation.entries,
        [
            Entry::User(vec![text("go")]),
            Entry::Model(Said {
                thoughts: vec![Thought {
                    text: "hm".to_owned(),
                    seal: Some("S".to_owned()),
                    at: 0,
                }],
                text: "I will".to_owned(),
                calls: vec![
                    tool_use("1", "{\"a\":1}"),
                    tool_use("2", "{\"invalid_arguments\":\"{\\\"a\"}"),
                ],
            }),
            Entry::Results(vec![result("1", text("one")), result("2", text("two"))]),
            Entry::User(vec![text("also")]),
        ]
    );
}

#[test]
fn a_call_without_output_has_an_empty_one() {
    let conversation = read(json!([call("1", "")]));
    assert_eq!(
        conversation.entries,
        [
            Entry::Model(Said {
                calls: vec![tool_use("1", "{}")],
                ..Said::default()
            }),
            Entry::Results(vec![result("1", text("(no output)"))]),
        ]
    );
}

#[test]
fn thinking_after_calls_begins_another_answer() {
    let conversation = read(json!([
        call("1", "{}"),
        { "type": "reasoning", "summary": [], "content": [{ "type": "reasoning_text", "text": "raw" }] },
        call("2", "{}"),
        output("1", "one"),
        output("2", "two"),
    ]));
    let kinds: Vec<usize> = conversation
        .entries
        .iter()
        .map(|entry| match entry {
            Entry::User(_) => 0,
            Entry::Model(said) => said.thoughts.len() + said.calls.len(),
            Entry::Results(results) => 10 * results.len(),
        })
        .collect();
    assert_eq!(kinds, [1, 10, 2, 10]);
}

#[test]
fn what_is_said_after_a_result_is_another_answer() {
    let conversation = read(json!([
        call("1", "{}"),
        output("1", "one"),
        message("assistant", "done"),
        call("2", "{}"),
        output("2", "two"),
        call("3", "{}"),
        output("3", "three"),
    ]));
    let said: Vec<(&str, usize)> = conversation
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Model(said) => Some((said.text.as_str(), said.calls.len())),
            Entry::User(_) | Entry::Results(_) => None,
        })
        .collect();
    assert_eq!(said, [("", 1), ("done", 1), ("", 1)]);
}

#[test]
fn images_and_found_tools_are_parts_of_results() {
    let conversation = read(json!([
        call("1", "{}"),
        { "type": "function_call_output", "call_id": "1", "output": [
            { "type": "input_image", "image_url": "data:x", "detail": "original" }] },
        { "type": "tool_search_call", "call_id": "2", "execution": "client", "arguments": { "query": "q" } },
        { "type": "tool_search_output", "call_id": "2", "tools": [
            { "type": "namespace", "name": "mcp__n", "tools": [{ "type": "function", "name": "s" }] }] },
    ]));
    let image = Part::Image {
        url: "data:x".to_owned(),
        detail: Some("original".to_owned()),
    };
    let found = text("tools that can be called now: mcp__n__s");
    // The second call was made knowing the first one's result.
    for (at, expected) in [(1, result("1", image)), (3, result("2", found))] {
        assert_eq!(conversation.entries[at], Entry::Results(vec![expected]));
    }
    assert_eq!(conversation.tools.tools()[0].name, "mcp__n__s");
}
