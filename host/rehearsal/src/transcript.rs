//! From what a real service answered to the text of a step.

use std::fmt::Write as _;

use serde_json::Value;

/// What a service answered to one request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// Error bodies are kept this far.
const MAX_ERROR_BODY: usize = 8 * 1024;

impl Answer {
    /// The answer as a `[[response]]`. `redact` removes the client's credentials, should the service repeat them.
    pub(crate) fn to_step(&self, redact: impl Fn(String) -> String) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let actions = if (200..300).contains(&self.status) {
            stream_actions(&text)
        } else {
            vec![self.status_action(&text)]
        };
        let mut step = String::from("[[response]]\nactions = [\n");
        for action in actions {
            // Writing to a string cannot fail.
            let _ = writeln!(step, "    {{ {} }},", redact(action));
        }
        step.push_str("]\n");
        step
    }

    fn status_action(&self, body: &str) -> String {
        let body: String = body.chars().take(MAX_ERROR_BODY).collect();
        let mut action = format!("status = {}, body = {}", self.status, quoted(&body));
        if let Some(retry_after) = &self.retry_after {
            let _ = write!(action, ", retry_after = {}", quoted(retry_after)); // As above.
        }
        action
    }
}

fn stream_actions(text: &str) -> Vec<String> {
    let mut actions = Vec::new();
    for event in events(text) {
        match event["type"].as_str().unwrap_or_default() {
            "response.output_item.done" => actions.push(item_action(&event["item"])),
            "response.failed" => {
                let error = &event["response"]["error"];
                let field = |key: &str| quoted(error[key].as_str().unwrap_or_default());
                actions.push(format!(
                    "failed = {{ code = {}, message = {} }}",
                    field("code"),
                    field("message")
                ));
                return actions;
            }
            "response.incomplete" => {
                let reason = &event["response"]["incomplete_details"]["reason"];
                actions.push(format!(
                    "incomplete = {}",
                    quoted(reason.as_str().unwrap_or("unknown"))
                ));
                return actions;
            }
            "response.completed" => {
                actions.extend(completed_actions(&event["response"]));
                return actions;
            }
            "error" => {
                actions.push(format!("event = {}", quoted(&event.to_string())));
                return actions;
            }
            _ => {}
        }
    }
    actions.push("disconnect = \"now\"".to_owned());
    actions
}

/// The data of each event that is JSON.
fn events(text: &str) -> impl Iterator<Item = Value> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let blocks: Vec<String> = text
        .split("\n\n")
        .map(|block| {
            let lines = block.lines().filter_map(|line| line.strip_prefix("data:"));
            lines
                .map(|data| data.strip_prefix(' ').unwrap_or(data))
                .collect::<Vec<_>>()
                .join("\n")
        })
        .collect();
    // What is no JSON is no event: comments, `[DONE]`, the rest of a broken connection.
    blocks
        .into_iter()
        .filter_map(|data| serde_json::from_str(&data).ok())
}

fn item_action(item: &Value) -> String {
    let text = |key: &str| item[key].as_str();
    let action = match text("type") {
        Some("message") => message_action(item),
        Some("reasoning") => {
            single_text(&item["summary"]).map(|summary| format!("reasoning = {}", quoted(&summary)))
        }
        Some("function_call") => call_action("tool_call", "arguments", item),
        Some("custom_tool_call") => call_action("custom_call", "input", item),
        _ => None,
    };
    action.unwrap_or_else(|| format!("item = {}", quoted(&item.to_string())))
}

fn message_action(item: &Value) -> Option<String> {
    let mut action = format!("text = {}", quoted(&single_text(&item["content"])?));
    if let Some(phase) = item["phase"].as_str() {
        let _ = write!(action, ", phase = {}", quoted(phase)); // Writing to a string cannot fail.
    }
    Some(action)
}

fn call_action(verb: &str, input: &str, item: &Value) -> Option<String> {
    let mut action = format!("{verb} = {}", quoted(item["name"].as_str()?));
    if let Some(namespace) = item["namespace"].as_str() {
        if verb != "tool_call" {
            return None;
        }
        let _ = write!(action, ", namespace = {}", quoted(namespace)); // As above.
    }
    let (call_id, input_text) = (item["call_id"].as_str()?, item[input].as_str()?);
    let _ = write!(
        action,
        ", call_id = {}, {input} = {}",
        quoted(call_id),
        quoted(input_text)
    ); // As above.
    Some(action)
}

/// The text of content that is nothing but text; an empty one cannot be told from content that is something else.
fn single_text(parts: &Value) -> Option<String> {
    let parts = parts.as_array()?;
    let texts: Option<Vec<&str>> = parts.iter().map(|part| part["text"].as_str()).collect();
    texts
        .filter(|texts| !texts.is_empty())
        .map(|texts| texts.concat())
}

fn completed_actions(response: &Value) -> Vec<String> {
    let mut actions = Vec::new();
    let usage = &response["usage"];
    if usage.is_object() {
        let count = |value: &Value| value.as_u64().unwrap_or_default();
        actions.push(format!(
            "usage = {{ input_tokens = {}, cached_input_tokens = {}, output_tokens = {}, reasoning_output_tokens = {} }}",
            count(&usage["input_tokens"]),
            count(&usage["input_tokens_details"]["cached_tokens"]),
            count(&usage["output_tokens"]),
            count(&usage["output_tokens_details"]["reasoning_tokens"]),
        ));
    }
    if let Some(end_turn) = response["end_turn"].as_bool() {
        actions.push(format!("end_turn = {end_turn}"));
    }
    actions
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
