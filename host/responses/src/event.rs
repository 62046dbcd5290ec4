//! From the data of one event to what it says. Deltas, which are nearly all there is, are read in one pass with no
//! copy but that of the text itself.

use std::borrow::Cow;

use dovetail_core::event::RateLimits;
use dovetail_core::item::ResponseItem;
use dovetail_core::usage::TokenUsage;
use memchr::memchr2;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::{limits, usage};

/// What an event says.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// The response began.
    Created,
    /// An item began.
    ItemAdded {
        /// Its type.
        kind: String,
        /// Its id; may be empty.
        id: String,
    },
    /// A piece of a message.
    Text(String),
    /// A piece of a reasoning summary.
    Reasoning(String),
    /// A further part of a reasoning summary begins.
    ReasoningBreak,
    /// An item is done.
    ItemDone(Box<ResponseItem>),
    /// An item is done, and cannot be read for this reason.
    ItemLost(String),
    /// Rate limits.
    RateLimits(RateLimits),
    /// The response is complete.
    Completed {
        /// Its id.
        response_id: String,
        /// What it used.
        usage: Option<TokenUsage>,
        /// Whether the model wants to end its turn, where it says so.
        end_turn: Option<bool>,
    },
    /// The response failed. In the shape of an HTTP error's body, `{"error": …}`, whatever event carried it.
    Failed(String),
    /// The response is incomplete, for this reason.
    Incomplete(String),
    /// Nothing that matters here.
    Ignored,
}

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    delta: Cow<'a, str>,
}

#[derive(Deserialize)]
struct SummaryPart {
    #[serde(default)]
    summary_index: u64,
}

#[derive(Deserialize)]
struct Added<'a> {
    #[serde(borrow)]
    item: AddedItem<'a>,
}

#[derive(Deserialize)]
struct AddedItem<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Done {
    item: ResponseItem,
}

#[derive(Deserialize)]
struct Completed<'a> {
    #[serde(borrow, default)]
    response: Option<CompletedResponse<'a>>,
}

#[derive(Default, Deserialize)]
struct CompletedResponse<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(default)]
    end_turn: Option<bool>,
}

#[derive(Deserialize)]
struct Failed<'a> {
    #[serde(borrow, default)]
    response: Option<FailedResponse<'a>>,
}

#[derive(Deserialize)]
struct FailedResponse<'a> {
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    incomplete_details: Option<IncompleteDetails>,
}

#[derive(Deserialize)]
struct IncompleteDetails {
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Problem<'a> {
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Reads an event. Types that are not known are `Ignored`.
///
/// # Errors
/// When the data is not what its type promises.
pub fn decode(data: &[u8]) -> Result<Signal, serde_json::Error> {
    Ok(match &*kind(data)? {
        "response.output_text.delta" => Signal::Text(delta(data)?),
        "response.reasoning_summary_text.delta" => Signal::Reasoning(delta(data)?),
        "response.reasoning_summary_part.added" => {
            let part: SummaryPart = serde_json::from_slice(data)?;
            if part.summary_index > 0 {
                Signal::ReasoningBreak
            } else {
                Signal::Ignored
            }
        }
        "response.output_item.added" => {
            let Added { item } = serde_json::from_slice(data)?;
            Signal::ItemAdded {
                kind: item.kind.into_owned(),
                id: item.id.map_or_else(String::new, Cow::into_owned),
            }
        }
        "response.output_item.done" => {
            let Done { item } = serde_json::from_slice(data)?;
            check_whole(&item)?;
            Signal::ItemDone(Box::new(item))
        }
        "response.created" => Signal::Created,
        "response.completed" => completed(data)?,
        "response.failed" => {
            let failed: Failed<'_> = serde_json::from_slice(data)?;
            Signal::Failed(error_body(
                failed.response.and_then(|response| response.error),
            ))
        }
        "response.incomplete" => {
            let incomplete: Failed<'_> = serde_json::from_slice(data)?;
            let details = incomplete
                .response
                .and_then(|response| response.incomplete_details);
            Signal::Incomplete(
                details
                    .and_then(|details| details.reason)
                    .unwrap_or_else(|| "unknown".to_owned()),
            )
        }
        "error" => problem(data)?,
        "codex.rate_limits" => {
            limits::from_event(data)?.map_or(Signal::Ignored, Signal::RateLimits)
        }
        // Among them the deltas of raw reasoning, which is not shown, and of tool input: `output_item.done` has the
        // whole of it, and nothing may run before that.
        _ => Signal::Ignored,
    })
}

/// The event's type. Services write it first, so it is read without reading the rest; if not, the data is read twice.
fn kind(data: &[u8]) -> Result<Cow<'_, str>, serde_json::Error> {
    if let Some(kind) = leading_kind(data) {
        return Ok(Cow::Borrowed(kind));
    }
    let tag: Tag<'_> = serde_json::from_slice(data)?;
    match (tag.kind, tag.error) {
        (Some(kind), _) => Ok(kind),
        // Some servers end a stream with their error as they would send it in the place of one.
        (None, Some(IgnoredAny)) => Ok(Cow::Borrowed("error")),
        (None, None) => Err(serde::de::Error::missing_field("type")),
    }
}

/// Fails where a message or a call lacks what makes it one. Kept as an item of an unknown type it would be sent back, and
/// services refuse every request with half a call in it.
fn check_whole(item: &ResponseItem) -> Result<(), serde_json::Error> {
    let ResponseItem::Other(fields) = item else {
        return Ok(());
    };
    let text = |name: &str| fields.get(name).and_then(serde_json::Value::as_str);
    let kind = text("type").unwrap_or_default();
    let texts: &[&str] = match kind {
        "message" => &["role"],
        "function_call" => &["name", "arguments", "call_id"],
        "custom_tool_call" => &["name", "input", "call_id"],
        _ => return Ok(()),
    };
    let why = match texts.iter().find(|name| text(name).is_none()) {
        Some(name) => format!("a `{kind}` has no text `{name}`"),
        None => format!("a `{kind}` is not what it should be"),
    };
    Err(serde::de::Error::custom(why))
}

/// Reads an event that [`decode`] could not: what is lost with it.
pub(crate) fn lost(data: &[u8], error: &serde_json::Error) -> Option<Signal> {
    let is_item = kind(data).is_ok_and(|kind| kind == "response.output_item.done");
    is_item.then(|| Signal::ItemLost(error.to_string()))
}

fn leading_kind(data: &[u8]) -> Option<&str> {
    let rest = data.strip_prefix(b"{\"type\":")?;
    let rest = rest
        .strip_prefix(b" ")
        .unwrap_or(rest)
        .strip_prefix(b"\"")?;
    let end = memchr2(b'"', b'\\', rest)?;
    let plain = rest[end] == b'"';
    std::str::from_utf8(&rest[..end]).ok().filter(|_| plain) // Otherwise the whole is read, and says what is wrong.
}

fn delta(data: &[u8]) -> Result<String, serde_json::Error> {
    let Delta { delta } = serde_json::from_slice(data)?;
    Ok(delta.into_owned())
}

fn completed(data: &[u8]) -> Result<Signal, serde_json::Error> {
    let completed: Completed<'_> = serde_json::from_slice(data)?;
    let response = completed.response.unwrap_or_default();
    let usage = response
        .usage
        .map_or(Ok(None), |json| usage::parse(json.get()))
        .unwrap_or_else(|error| {
            // A service that counts in its own way has answered all the same.
            tracing::warn!(%error, "the usage of a response cannot be read");
            None
        });
    Ok(Signal::Completed {
        response_id: response.id.map_or_else(String::new, Cow::into_owned),
        usage,
        end_turn: response.end_turn,
    })
}

fn problem(data: &[u8]) -> Result<Signal, serde_json::Error> {
    let problem: Problem<'_> = serde_json::from_slice(data)?;
    if problem.error.is_some() {
        return Ok(Signal::Failed(error_body(problem.error)));
    }
    // The older form has the fields of the error in the event itself.
    let _whole: IgnoredAny = serde_json::from_slice(data)?;
    Ok(Signal::Failed(format!(
        "{{\"error\":{}}}",
        String::from_utf8_lossy(data)
    )))
}

fn error_body(error: Option<&RawValue>) -> String {
    format!("{{\"error\":{}}}", error.map_or("null", RawValue::get))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(data: &str, expected: Signal) {
        assert_eq!(
            decode(data.as_bytes()).expect("it is an event"),
            expected,
            "{data}"
        );
    }

    #[test]
    fn types_are_found_wherever_they_stand() {
        let text = || Signal::Text("a\n\"ü".to_owned());
        check(
            r#"{"type":"response.output_text.delta","delta":"a\n\"ü"}"#,
            text(),
        );
        check(
            r#"{"type": "response.output_text.delta", "delta": "a\n\"\u00fc"}"#,
            text(),
        );
        check(
            r#"{"delta":"a\n\"ü","type":"response.output_text.delta"}"#,
            text(),
        );
        check(
            r#" {"type":"response.output\u005ftext.delta","delta":"a\n\"ü"}"#,
            text(),
        );
        check(
            r#"{"type":"response.in_progress","response":{}}"#,
            Signal::Ignored,
        );
    }

    #[test]
    fn reasoning_and_items() {
        check(
            r#"{"type":"response.reasoning_summary_text.delta","delta":"x","summary_index":0}"#,
            Signal::Reasoning("x".to_owned()),
        );
        check(
            r#"{"type":"response.reasoning_summary_part.added","summary_index":0}"#,
            Signal::Ignored,
        );
        check(
            r#"{"type":"response.reasoning_summary_part.added","summary_index":1}"#,
            Signal::ReasoningBreak,
        );
        check(
            r#"{"type":"response.output_item.added","item":{"type":"message","content":[]}}"#,
            Signal::ItemAdded {
                kind: "message".to_owned(),
                id: String::new(),
            },
        );
        let call =
            r#"{"type":"function_call","id":"fc_1","name":"x","arguments":"{","call_id":"c"}"#;
        check(
            &format!(r#"{{"type":"response.output_item.done","item":{call}}}"#),
            Signal::ItemDone(Box::new(serde_json::from_str(call).expect("an item"))),
        );
    }

    #[test]
    fn ends() {
        let end = |usage, end_turn| Signal::Completed {
            response_id: "r".to_owned(),
            usage,
            end_turn,
        };
        check(
            r#"{"type":"response.completed","response":{"id":"r","usage":null}}"#,
            end(None, None),
        );
        check(
            r#"{"type":"response.completed","response":{"id":"r","usage":{"input_tokens":-1}}}"#,
            end(None, None),
        );
        let used = TokenUsage {
            input_tokens: 1,
            total_tokens: 1,
            ..TokenUsage::default()
        };
        check(
            r#"{"type":"response.completed","response":{"id":"r","usage":{"input_tokens":1},"end_turn":false}}"#,
            end(Some(used), Some(false)),
        );
        check(
            r#"{"type":"response.completed"}"#,
            Signal::Completed {
                response_id: String::new(),
                usage: None,
                end_turn: None,
            },
        );
        check(
            r#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"}}}"#,
            Signal::Incomplete("max_output_tokens".to_owned()),
        );
        check(
            r#"{"type":"response.incomplete"}"#,
            Signal::Incomplete("unknown".to_owned()),
        );
    }

    #[test]
    fn failures_have_one_shape() {
        let body = || Signal::Failed(r#"{"error":{"code":"a"}}"#.to_owned());
        check(
            r#"{"type":"response.failed","response":{"error":{"code":"a"}}}"#,
            body(),
        );
        check(
            r#"{"type":"error","status":429,"error":{"code":"a"}}"#,
            body(),
        );
        check(r#"{"error":{"code":"a"}}"#, body());
        check(
            r#"{"type":"error","code":"a"}"#,
            Signal::Failed(r#"{"error":{"type":"error","code":"a"}}"#.to_owned()),
        );
        check(
            r#"{"type":"response.failed"}"#,
            Signal::Failed(r#"{"error":null}"#.to_owned()),
        );
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        for data in [
            &b""[..],
            b"[DONE]",
            b"{\"type\":\"response.output_text.delta\"}",
            b"{\"type\":\"response.output_text.delta\",\"delta\":\"\xff\"}",
            b"{\"type\":\"response.completed\",\"response\":{",
            b"{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":{},\"call_id\":\"c\"}}",
            b"{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"message\",\"role\":\"assistant\",\"content\":\"hi\"}}",
            b"{\"type\":3}",
            b"{\"delta\":\"x\"}",
        ] {
            assert!(decode(data).is_err(), "{}", String::from_utf8_lossy(data));
        }
    }
}
