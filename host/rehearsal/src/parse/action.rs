//! Actions: one key says which, the others belong to it.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Deserialize;

use super::value::{json_object, keys, text_or_json};
use crate::script::{Action, Disconnect, Usage};

/// The key that says which action a table is.
const VERBS: [&str; 21] = [
    "text",
    "reasoning",
    "compaction",
    "tool_call",
    "custom_call",
    "item",
    "event",
    "usage",
    "end_turn",
    "headers",
    "status",
    "failed",
    "incomplete",
    "disconnect",
    "close",
    "ping",
    "garbage",
    "split",
    "delay_ms",
    "gate",
    "hang",
];

/// Characters per delta where the script does not say: about what a model sends.
const DEFAULT_CHUNK: NonZeroUsize = NonZeroUsize::new(12).expect("twelve is not zero");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawText {
    text: String,
    phase: Option<String>,
    chunk: Option<NonZeroUsize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReasoning {
    reasoning: String,
    chunk: Option<NonZeroUsize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCompaction {
    compaction: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawToolCall {
    tool_call: String,
    namespace: Option<String>,
    arguments: Option<toml::Value>,
    call_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCustomCall {
    custom_call: String,
    input: String,
    call_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStatus {
    status: u16,
    body: Option<toml::Value>,
    retry_after: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFailed {
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUsage {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    cached_input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    #[serde(default)]
    reasoning_output_tokens: u64,
}

pub(super) fn parse_action(value: toml::Value) -> Result<Action, String> {
    let table = value
        .as_table()
        .ok_or("an action is a table such as `{ text = \"hello\" }`")?;
    let Some(verb) = VERBS.into_iter().find(|verb| table.contains_key(*verb)) else {
        let known = VERBS.map(|verb| format!("`{verb}`")).join(", ");
        return Err(format!("an action has one of these keys: {known}"));
    };
    parse_verb(verb, value).map_err(|what| format!("`{verb}`: {what}"))
}

fn parse_verb(verb: &str, value: toml::Value) -> Result<Action, String> {
    Ok(match verb {
        "text" => {
            let raw: RawText = keys(value)?;
            Action::Text {
                text: raw.text,
                phase: raw.phase,
                chunk: raw.chunk.unwrap_or(DEFAULT_CHUNK),
            }
        }
        "reasoning" => {
            let raw: RawReasoning = keys(value)?;
            Action::Reasoning {
                summary: raw.reasoning,
                chunk: raw.chunk.unwrap_or(DEFAULT_CHUNK),
            }
        }
        "tool_call" => {
            let raw: RawToolCall = keys(value)?;
            let arguments = raw.arguments.map_or_else(|| "{}".to_owned(), text_or_json);
            let (name, namespace, call_id) = (raw.tool_call, raw.namespace, raw.call_id);
            Action::FunctionCall {
                name,
                namespace,
                arguments,
                call_id,
            }
        }
        "compaction" => {
            let raw: RawCompaction = keys(value)?;
            Action::Compaction {
                content: raw.compaction,
            }
        }
        "custom_call" => {
            let raw: RawCustomCall = keys(value)?;
            Action::CustomCall {
                name: raw.custom_call,
                input: raw.input,
                call_id: raw.call_id,
            }
        }
        "status" => {
            let raw: RawStatus = keys(value)?;
            let body = raw.body.map_or_else(String::new, text_or_json);
            Action::Status {
                status: status_code(raw.status)?,
                body,
                retry_after: raw.retry_after.map(text_or_json),
            }
        }
        _ => parse_single(verb, only_value(verb, value)?)?,
    })
}

pub(super) fn status_code(status: u16) -> Result<u16, String> {
    if (200..=599).contains(&status) {
        Ok(status)
    } else {
        Err(format!("{status} is no status code from 200 to 599"))
    }
}

/// Actions that are one key with one value.
fn parse_single(verb: &str, value: toml::Value) -> Result<Action, String> {
    Ok(match verb {
        "item" => Action::Item(json_object(value)?),
        "event" => Action::Event(json_object(value)?),
        "usage" => {
            let raw: RawUsage = keys(value)?;
            Action::Usage(Usage {
                input_tokens: raw.input_tokens,
                cached_input_tokens: raw.cached_input_tokens,
                output_tokens: raw.output_tokens,
                reasoning_output_tokens: raw.reasoning_output_tokens,
            })
        }
        "end_turn" => Action::EndTurn(keys(value)?),
        "headers" => Action::Headers(parse_headers(value)?),
        "failed" => {
            let raw: RawFailed = keys(value)?;
            Action::Failed {
                code: raw.code,
                message: raw.message,
            }
        }
        "incomplete" => Action::Incomplete(keys(value)?),
        "disconnect" => Action::Disconnect(parse_disconnect(value)?),
        "close" => Action::Close(keys(value)?),
        "ping" => flag(value).map(|()| Action::Ping)?,
        "garbage" => Action::Garbage(parse_garbage(value)?),
        "split" => Action::Split(keys(value)?),
        "delay_ms" => Action::Delay(Duration::from_millis(keys(value)?)),
        "gate" => flag(value).map(|()| Action::Gate)?,
        "hang" => flag(value).map(|()| Action::Hang)?,
        other => return Err(format!("there is no action `{other}`")),
    })
}

/// The value of an action that has no other keys.
fn only_value(verb: &str, value: toml::Value) -> Result<toml::Value, String> {
    let toml::Value::Table(mut table) = value else {
        return Err("an action is a table".to_owned());
    };
    let value = table.remove(verb).ok_or("the value is missing")?;
    match table.keys().next() {
        None => Ok(value),
        Some(other) => Err(format!("`{other}` does not belong here")),
    }
}

fn flag(value: toml::Value) -> Result<(), String> {
    match value {
        toml::Value::Boolean(true) => Ok(()),
        other => Err(format!("expected `true`, found `{other}`")),
    }
}

pub(super) fn parse_headers(value: toml::Value) -> Result<Vec<(String, String)>, String> {
    let toml::Value::Table(table) = value else {
        return Err("expected a table of names and values".to_owned());
    };
    table
        .into_iter()
        .map(|(name, value)| {
            let text = text_or_json(value);
            let clean = |text: &str| !text.is_empty() && !text.contains(['\r', '\n', '\0']);
            if clean(&name) && (text.is_empty() || clean(&text)) {
                Ok((name, text))
            } else {
                Err(format!("`{name}` is no header that can be sent"))
            }
        })
        .collect()
}

fn parse_disconnect(value: toml::Value) -> Result<Disconnect, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct After {
        after_bytes: u64,
    }
    match &value {
        toml::Value::String(text) if text == "now" => Ok(Disconnect::Now),
        toml::Value::String(text) if text == "mid_event" => Ok(Disconnect::MidEvent),
        toml::Value::Table(_) => {
            keys::<After>(value).map(|after| Disconnect::AfterBytes(after.after_bytes))
        }
        other => Err(format!(
            "expected \"now\", \"mid_event\" or {{ after_bytes = 100 }}, found {other}"
        )),
    }
}

fn parse_garbage(value: toml::Value) -> Result<Vec<u8>, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Hex {
        hex: String,
    }
    let toml::Value::String(text) = value else {
        let digits: Vec<u32> = keys::<Hex>(value)?
            .hex
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| {
                c.to_digit(16)
                    .ok_or_else(|| format!("`{c}` is no hexadecimal digit"))
            })
            .collect::<Result<_, _>>()?;
        if !digits.len().is_multiple_of(2) {
            return Err("`hex` needs two digits per byte".to_owned());
        }
        // Two digits below 16 always fit into a byte.
        return Ok(digits
            .chunks(2)
            .map(|pair| (pair[0] * 16 + pair[1]) as u8)
            .collect());
    };
    Ok(text.into_bytes())
}
