//! A request in the shape that all such servers take. What only some know is sent only where the user asks for it: many
//! refuse a request because of one key.

use dovetail_plugin_api::wire::{Conversation, Entry, Part, Said, ToolNames, ToolResult};
use serde_json::{Value, json};

use crate::chunk::IN_PARTS;
use crate::options::Options;
use crate::stream::{IN_TEXT, OF_CALLS, OF_DETAILS, REASONING_SEAL};
use crate::thinking;

pub(crate) fn body(request: &Value, conversation: &Conversation, options: Options) -> Value {
    let mut body = json!({
        "model": request["model"],
        "messages": messages(conversation),
        "stream": true,
    });
    if options.stream_options {
        body["stream_options"] = json!({ "include_usage": true });
    }
    let tools = tools(&conversation.tools);
    if !tools.is_empty() {
        body["tools"] = Value::Array(tools);
        body["tool_choice"] = tool_choice(&request["tool_choice"], &conversation.tools);
        // True is what servers do anyway.
        if request["parallel_tool_calls"] == false {
            body["parallel_tool_calls"] = json!(false);
        }
    }
    if let Some(effort) = request["reasoning"]["effort"].as_str() {
        body["reasoning_effort"] = json!(effort);
    }
    if let Some(verbosity) = request["text"]["verbosity"].as_str() {
        body["verbosity"] = json!(verbosity);
    }
    if let Some(format) = request["text"]["format"].as_object() {
        body["response_format"] = json!({
            "type": "json_schema",
            "json_schema": {
                "name": format.get("name"),
                "strict": format.get("strict"),
                "schema": format.get("schema"),
            },
        });
    }
    if let Some(tier) = request["service_tier"].as_str() {
        body["service_tier"] = json!(tier);
    }
    body
}

fn tools(names: &ToolNames) -> Vec<Value> {
    let tool = |tool: &dovetail_plugin_api::wire::OfferedTool| {
        json!({
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        })
    };
    names.tools().iter().map(tool).collect()
}

/// `auto`, `none` and `required` are the same here; a tool is named in another way.
fn tool_choice(choice: &Value, names: &ToolNames) -> Value {
    match choice {
        Value::String(word) => json!(word),
        Value::Object(fields) => {
            let text = |key: &str| fields.get(key).and_then(Value::as_str);
            let name = names.name_of(text("namespace"), text("name").unwrap_or_default());
            json!({ "type": "function", "function": { "name": name } })
        }
        _ => json!("auto"),
    }
}

fn messages(conversation: &Conversation) -> Vec<Value> {
    let mut messages = Vec::new();
    if !conversation.system.is_empty() {
        messages.push(json!({ "role": "system", "content": conversation.system }));
    }
    for entry in &conversation.entries {
        match entry {
            Entry::User(parts) => {
                messages.push(json!({ "role": "user", "content": content(parts) }))
            }
            Entry::Model(said) => messages.extend(assistant(said)),
            Entry::Results(results) => results_into(&mut messages, results),
        }
    }
    messages
}

/// None where nothing is left that such servers understand.
fn assistant(said: &Said) -> Option<Value> {
    if said.text.is_empty() && said.calls.is_empty() {
        return None;
    }
    // Without text the key is there all the same: templates of models look for it.
    let text = (!said.text.is_empty()).then_some(&said.text);
    let mut message = json!({ "role": "assistant", "content": text });
    if said.calls.is_empty() {
        return Some(message);
    }
    // Models that think between calls lose their thread without their thoughts; after an answer nobody needs them.
    for (field, thought) in thoughts(said) {
        let (key, value) = match field {
            IN_TEXT => ("content", json!(tagged(&thought, &said.text))),
            IN_PARTS => ("content", in_parts(&thought, &said.text)),
            field => (field, json!(thought)),
        };
        message[key] = value;
    }
    if let Some(details) = sealed(said, OF_DETAILS) {
        message["reasoning_details"] = details;
    }
    let extras = sealed(said, OF_CALLS).unwrap_or_default();
    let calls = said.calls.iter().enumerate().map(|(at, call)| {
        let mut told = json!({
            "id": call.id,
            "type": "function",
            "function": { "name": call.name, "arguments": call.arguments },
        });
        if let Some(extra) = extras.get(at).filter(|extra| extra.is_object()) {
            told["extra_content"] = extra.clone();
        }
        told
    });
    message["tool_calls"] = calls.collect();
    Some(message)
}

/// Reasoning goes back under the name that it came with; a server that uses another would refuse it.
fn thoughts(said: &Said) -> Vec<(&str, String)> {
    let mut fields: Vec<(&str, String)> = Vec::new();
    for thought in &said.thoughts {
        let seal = thought.seal.as_deref().unwrap_or_default();
        let field = seal.strip_prefix(REASONING_SEAL);
        let of_others = |field: &&str| field.starts_with(OF_CALLS) || field.starts_with(OF_DETAILS);
        let Some(field) = field.filter(|field| !of_others(field)) else {
            continue;
        };
        match fields.iter_mut().find(|(known, _)| *known == field) {
            Some((_, text)) => text.push_str(&thought.text),
            None => fields.push((field, thought.text.clone())),
        }
    }
    fields
}

/// A text behind the reasoning that stood in it.
fn tagged(thought: &str, text: &str) -> String {
    format!(
        "{}\n{thought}\n{}\n\n{text}",
        thinking::BEGIN,
        thinking::END
    )
}

/// The same as parts of the content.
fn in_parts(thought: &str, text: &str) -> Value {
    let thinking = json!([{ "type": "text", "text": thought }]);
    let mut parts = vec![json!({ "type": "thinking", "thinking": thinking })];
    if !text.is_empty() {
        parts.push(json!({ "type": "text", "text": text }));
    }
    Value::Array(parts)
}

/// What the service wants back with its calls, as it came.
fn sealed(said: &Said, kind: &str) -> Option<Value> {
    let mut seals = said.thoughts.iter().filter_map(|it| it.seal.as_deref());
    let own = seals.find_map(|seal| seal.strip_prefix(REASONING_SEAL)?.strip_prefix(kind))?;
    serde_json::from_str(own).ok() // What cannot be read is none of ours.
}

/// Results are text; what they show follows as the user's.
fn results_into(messages: &mut Vec<Value>, results: &[ToolResult]) {
    let mut shown = Vec::new();
    for result in results {
        let (texts, others): (Vec<&Part>, Vec<&Part>) = result
            .content
            .iter()
            .partition(|part| matches!(part, Part::Text(_)));
        let mut text = joined(texts.into_iter());
        if !others.is_empty() {
            if text.is_empty() {
                text.push_str("(see the next message)");
            }
            shown.push(json!({ "type": "text", "text": format!("What the tool call `{}` shows:", result.call_id) }));
            shown.extend(others.into_iter().map(part));
        }
        messages.push(json!({ "role": "tool", "tool_call_id": result.call_id, "content": text }));
    }
    if !shown.is_empty() {
        messages.push(json!({ "role": "user", "content": shown }));
    }
}

/// One text where it is only text: not every server takes a list.
fn content(parts: &[Part]) -> Value {
    if parts.iter().all(|part| matches!(part, Part::Text(_))) {
        json!(joined(parts.iter()))
    } else {
        parts.iter().map(part).collect()
    }
}

fn joined<'p>(parts: impl Iterator<Item = &'p Part>) -> String {
    let texts = parts.filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Image { .. } | Part::Audio(_) => None,
    });
    texts.collect::<Vec<_>>().join("\n\n")
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({ "type": "text", "text": text }),
        Part::Image { url, detail } => {
            let mut image = json!({ "url": url });
            match detail.as_deref() {
                Some("original") => image["detail"] = json!("high"),
                Some(detail) => image["detail"] = json!(detail),
                None => {}
            }
            json!({ "type": "image_url", "image_url": image })
        }
        Part::Audio(url) => match audio(url) {
            Some((format, data)) => {
                json!({ "type": "input_audio", "input_audio": { "data": data, "format": format } })
            }
            None => json!({ "type": "text", "text": "(sound that cannot be sent)" }),
        },
    }
}

/// The format and the data of `data:audio/<format>;base64,<data>`.
fn audio(url: &str) -> Option<(&str, &str)> {
    let (kind, data) = url.strip_prefix("data:audio/")?.split_once(";base64,")?;
    let format = match kind {
        "mpeg" => "mp3",
        "x-wav" | "wave" => "wav",
        other => other,
    };
    Some((format, data))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
