//! Compares a request with what its step expects.

use std::borrow::Cow;

use serde_json::Value;

use crate::http::RecordedRequest;
use crate::report::Difference;
use crate::script::{Check, Expectation, Subject};

/// Longer values are cut in reports: the start tells them apart.
const LONGEST_SHOWN: usize = 400;

/// Everything that differs, in the script's order.
pub(crate) fn differences(
    expectations: &[Expectation],
    request: &RecordedRequest,
) -> Vec<Difference> {
    expectations
        .iter()
        .filter_map(|expectation| difference(expectation, request))
        .collect()
}

fn difference(expectation: &Expectation, request: &RecordedRequest) -> Option<Difference> {
    let found = find(&expectation.subject, request);
    if holds(&expectation.check, found.as_ref()) {
        return None;
    }
    let name = name(&expectation.subject);
    let actual = match &found {
        None => format!("{name} is not there"),
        Some(value) if is_credential(&expectation.subject) => {
            format!(
                "{name} is another value ({} bytes, not shown)",
                text_of(value).len()
            )
        }
        Some(value) => format!("{name} is {}", shown(value)),
    };
    Some(Difference {
        expected: format!("{name} {}", wanted(&expectation.check)),
        actual,
    })
}

fn find<'a>(subject: &Subject, request: &'a RecordedRequest) -> Option<Cow<'a, Value>> {
    let text = |text: &str| Cow::Owned(Value::String(text.to_owned()));
    match subject {
        Subject::Method => Some(text(&request.method)),
        Subject::Path => Some(text(&request.path)),
        Subject::Header(name) => request.header(name).map(text),
        Subject::Body(pointer) => request.json.as_ref()?.pointer(pointer).map(Cow::Borrowed),
        Subject::Input => Some(text(&input_text(request.json.as_ref()?))),
        Subject::ToolOutput(call_id) => {
            tool_output(request.json.as_ref()?, call_id).map(|found| text(&found))
        }
        Subject::Tool(name) => tool(request.json.as_ref()?.get("tools")?, name).map(Cow::Borrowed),
    }
}

fn holds(check: &Check, found: Option<&Cow<'_, Value>>) -> bool {
    match (check, found) {
        (Check::Absent, found) => found.is_none(),
        (_, None) => false,
        (Check::Present, Some(_)) => true,
        (Check::Equals(expected), Some(value)) => **value == *expected,
        (Check::Contains(part), Some(value)) => text_of(value).contains(part.as_str()),
        (Check::Matches(regex), Some(value)) => regex.is_match(&text_of(value)),
    }
}

/// A text as it is, anything else as compact JSON.
fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// All text of the conversation, a line each: what was said, called and put out.
fn input_text(body: &Value) -> String {
    let mut lines = Vec::new();
    for item in body
        .get("input")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        for key in ["content", "output", "arguments", "input"] {
            if let Some(value) = item.get(key) {
                collect_text(value, &mut lines);
            }
        }
    }
    lines.join("\n")
}

fn collect_text(value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::String(text) => lines.push(text.clone()),
        Value::Array(parts) => {
            for part in parts {
                lines.extend(part.get("text").and_then(Value::as_str).map(str::to_owned));
            }
        }
        _ => {}
    }
}

fn tool_output(body: &Value, call_id: &str) -> Option<String> {
    let mut outputs = body.get("input")?.as_array()?.iter().filter(|item| {
        let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
        kind.ends_with("_output") && item.get("call_id").and_then(Value::as_str) == Some(call_id)
    });
    let mut lines = Vec::new();
    collect_text(outputs.next_back()?.get("output")?, &mut lines);
    Some(lines.join("\n"))
}

fn tool<'a>(tools: &'a Value, name: &str) -> Option<&'a Value> {
    tools.as_array()?.iter().find_map(|candidate| {
        if candidate.get("name").and_then(Value::as_str) == Some(name) {
            return Some(candidate);
        }
        tool(candidate.get("tools")?, name)
    })
}

fn name(subject: &Subject) -> String {
    match subject {
        Subject::Method => "the method".to_owned(),
        Subject::Path => "the path".to_owned(),
        Subject::Header(name) => format!("header `{name}`"),
        Subject::Body(pointer) => format!("body `{pointer}`"),
        Subject::Input => "the input".to_owned(),
        Subject::ToolOutput(call_id) => format!("the output of `{call_id}`"),
        Subject::Tool(name) => format!("tool `{name}`"),
    }
}

/// Reports go to terminals and logs, so they do not repeat what a client authenticates with.
fn is_credential(subject: &Subject) -> bool {
    matches!(subject, Subject::Header(name) if crate::http::is_credential(name))
}

fn wanted(check: &Check) -> String {
    match check {
        Check::Present => "is there".to_owned(),
        Check::Absent => "is not there".to_owned(),
        Check::Equals(value) => format!("is {}", shown(value)),
        Check::Contains(part) => format!("contains {}", shown(&Value::String(part.clone()))),
        Check::Matches(regex) => format!("matches /{}/", regex.as_str()),
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LONGEST_SHOWN) {
        None => text,
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
    }
}
