//! A request in the shape of this API: a system text beside the conversation, content in blocks, roles in turn.

use dovetail_plugin_api::wire::{Conversation, Entry, OfferedTool, Said, ToolNames, ToolResult};
use serde_json::{Map, Value, json};

use crate::block;
use crate::options::Options;
use crate::thinking::{self, Way};

pub(crate) fn body(request: &Value, conversation: &Conversation, options: &Options) -> Value {
    let mut messages = messages(&conversation.entries);
    let mut body = json!({
        "model": request["model"],
        "max_tokens": options.max_tokens,
        "stream": true,
    });
    let mut system = conversation.system.clone();
    if let Some(schema) = request["text"]["format"].get("schema") {
        if !system.is_empty() {
            system.push_str("\n\n");
        }
        system.push_str("Your final answer is one JSON value that matches this JSON Schema, and nothing else:\n");
        system.push_str(&schema.to_string());
    }
    if let Some(mut system) = block::text(&system) {
        cache(&mut system);
        body["system"] = json!([system]);
    }
    let model = request["model"].as_str().unwrap_or_default();
    let effort = request["reasoning"]["effort"].as_str();
    match options.thinking.unwrap_or_else(|| Way::of(model)) {
        Way::Adaptive => {
            if let Some((thinking, config)) = thinking::adaptive(model, effort) {
                body["thinking"] = thinking;
                body["output_config"] = config;
            }
        }
        Way::Budget => {
            let budget = options.budget(effort);
            if let Some(budget) = budget.filter(|_| may_think(&messages)) {
                body["thinking"] = json!({ "type": "enabled", "budget_tokens": budget });
            }
        }
    }
    if let Some(last) = messages
        .last_mut()
        .and_then(|message| message["content"].as_array_mut()?.last_mut())
    {
        cache(last);
    }
    body["messages"] = Value::Array(messages);
    if !conversation.tools.tools().is_empty() {
        body["tools"] = conversation.tools.tools().iter().map(tool).collect();
        body["tool_choice"] = tool_choice(request, &conversation.tools);
    }
    body
}

/// What comes up to here is worth keeping: the next request begins with it.
fn cache(block: &mut Value) {
    block["cache_control"] = json!({ "type": "ephemeral" });
}

fn tool(tool: &OfferedTool) -> Value {
    json!({ "name": tool.name, "description": tool.description, "input_schema": tool.parameters })
}

fn tool_choice(request: &Value, names: &ToolNames) -> Value {
    let mut choice = match &request["tool_choice"] {
        Value::String(word) if word == "none" => return json!({ "type": "none" }),
        Value::String(word) if word == "required" => json!({ "type": "any" }),
        Value::Object(fields) => {
            let text = |key: &str| fields.get(key).and_then(Value::as_str);
            let name = names.name_of(text("namespace"), text("name").unwrap_or_default());
            json!({ "type": "tool", "name": name })
        }
        _ => json!({ "type": "auto" }),
    };
    if request["parallel_tool_calls"] == false {
        choice["disable_parallel_tool_use"] = json!(true);
    }
    choice
}

fn messages(entries: &[Entry]) -> Vec<Value> {
    let mut messages: Vec<Value> = Vec::new();
    for entry in entries {
        let (role, content) = match entry {
            Entry::User(parts) => ("user", block::content(parts)),
            Entry::Model(said) => ("assistant", assistant(said)),
            Entry::Results(results) => ("user", results.iter().map(result).collect()),
        };
        if content.is_empty() {
            continue;
        }
        let same = messages.last_mut().filter(|last| last["role"] == role);
        match same.and_then(|last| last["content"].as_array_mut()) {
            Some(before) => before.extend(content),
            None => messages.push(json!({ "role": role, "content": content })),
        }
    }
    // The user begins, or the service does not.
    if messages
        .first()
        .is_some_and(|first| first["role"] != "user")
    {
        let text = json!([{ "type": "text", "text": "(the conversation goes on)" }]);
        messages.insert(0, json!({ "role": "user", "content": text }));
    }
    messages
}

fn assistant(said: &Said) -> Vec<Value> {
    let mut content = Vec::new();
    let mut told = 0;
    for thought in &said.thoughts {
        content.extend(text_between(&said.text, told, thought.at));
        content.extend(block::thinking(thought));
        told = thought.at;
    }
    content.extend(text_between(&said.text, told, said.text.len()));
    content.extend(said.calls.iter().map(|call| {
        // Arguments are an object, always.
        let input = serde_json::from_str(&call.arguments).unwrap_or_else(|_| Map::new());
        json!({ "type": "tool_use", "id": block::tool_id(&call.id), "name": call.name, "input": input })
    }));
    let only_thoughts = said.text.trim().is_empty() && said.calls.is_empty();
    if only_thoughts {
        // Thinking that led to nothing is not taken back.
        content.clear();
    }
    content
}

/// What was said between two thoughts.
fn text_between(text: &str, from: usize, to: usize) -> Option<Value> {
    let piece = text.get(from..to)?;
    block::text(match from {
        0 => piece,
        // The blank line that keeps it apart from what was said before is nobody's.
        _ => piece.trim_start_matches('\n'),
    })
}

fn result(result: &ToolResult) -> Value {
    json!({
        "type": "tool_result",
        "tool_use_id": block::tool_id(&result.call_id),
        "content": block::content(&result.content),
    })
}

/// Whether the model may think with a budget: in the middle of a turn it may only where it did so at the turn's start, which it did not
/// where another service, or less effort, began the turn.
fn may_think(messages: &[Value]) -> bool {
    let kind = |message: &Value| message["content"][0]["type"].as_str().map(str::to_owned);
    let mut open = messages.iter().rev();
    let results_last = open
        .next()
        .is_some_and(|last| kind(last).as_deref() == Some("tool_result"));
    if !results_last {
        return true;
    }
    open.next()
        .and_then(kind)
        .is_some_and(|first| matches!(first.as_str(), "thinking" | "redacted_thinking"))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
