//! One chunk of a stream, read with the liberties that servers take: keys that are missing or null, single values in the
//! place of lists, whole messages in the place of deltas.

use dovetail_plugin_api::wire::Usage;
use serde_json::{Map, Value};

/// The key of reasoning that is a part of the content.
pub(crate) const IN_PARTS: &str = "content[]";

/// What a chunk says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Chunk<'c> {
    /// The response's id.
    pub(crate) id: Option<&'c str>,
    /// The error that it is, if it is one.
    pub(crate) error: Option<&'c Value>,
    /// Pieces of the answer, in their order.
    pub(crate) pieces: Vec<Piece<'c>>,
    /// Why the model stopped, once it did.
    pub(crate) finish_reason: Option<&'c str>,
    /// Whether it is the whole answer and not a piece of it: nothing follows that could say why the model stopped.
    pub(crate) is_whole: bool,
    /// Whether it is anything that such servers send.
    pub(crate) is_known: bool,
    /// What was used so far.
    pub(crate) usage: Option<Usage>,
}

/// A piece of the answer.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece<'c> {
    /// Reasoning, and the key it came under.
    Reasoning(&'static str, &'c str),
    /// Text.
    Text(&'c str),
    /// A piece of the list of reasoning that comes back with the calls.
    Detail(&'c Map<String, Value>),
    /// A fragment of a call.
    Call(Fragment<'c>),
}

/// A fragment of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fragment<'c> {
    /// Which call, where the server counts.
    pub(crate) index: Option<u64>,
    /// The call's id; not empty.
    pub(crate) id: Option<&'c str>,
    /// The function's name, or a piece of it; not empty.
    pub(crate) name: Option<&'c str>,
    /// A piece of the arguments.
    pub(crate) arguments: std::borrow::Cow<'c, str>,
    /// What the service wants back with the call; an object.
    pub(crate) extra: Option<&'c Value>,
}

impl<'c> Chunk<'c> {
    /// Reads one. Only the first choice counts: more were not asked for.
    pub(crate) fn read(json: &'c Value) -> Self {
        let mut chunk = Self {
            id: text(&json["id"]),
            error: error(json),
            usage: usage(json),
            ..Self::default()
        };
        chunk.is_known = json["choices"].is_array() || chunk.usage.is_some();
        let choices = one_or_more(&json["choices"]);
        let first = choices
            .iter()
            .find(|choice| choice["index"].as_u64().unwrap_or(0) == 0);
        let Some(choice) = first else {
            return chunk;
        };
        chunk.finish_reason = text(&choice["finish_reason"]);
        chunk.is_whole = choice["message"].is_object() && !choice["delta"].is_object();
        let message = match chunk.is_whole {
            true => &choice["message"],
            false => &choice["delta"],
        };
        chunk.reasoning(message);
        let details = one_or_more(&message["reasoning_details"]).iter();
        let details = details.filter_map(Value::as_object);
        chunk.pieces.extend(details.map(Piece::Detail));
        chunk.content(&message["content"]);
        chunk
            .pieces
            .extend(text(&message["refusal"]).map(Piece::Text));
        let calls = one_or_more(&message["tool_calls"]).iter();
        chunk
            .pieces
            .extend(calls.map(|call| Piece::Call(fragment(call))));
        if message["function_call"].is_object() {
            // What calls looked like before there could be several.
            chunk.pieces.push(Piece::Call(Fragment {
                index: Some(0),
                id: None,
                ..function(&message["function_call"])
            }));
        }
        chunk
    }

    fn reasoning(&mut self, message: &'c Value) {
        for field in ["reasoning_content", "reasoning", "thinking"] {
            if let Some(piece) = text(&message[field]) {
                // Servers that send both send the same twice.
                self.pieces.push(Piece::Reasoning(field, piece));
                return;
            }
        }
    }

    /// A text, or parts of text and thinking.
    fn content(&mut self, content: &'c Value) {
        if let Some(piece) = text(content) {
            self.pieces.push(Piece::Text(piece));
        }
        for part in content.as_array().into_iter().flatten() {
            self.pieces.extend(text(&part["text"]).map(Piece::Text));
            if let Some(piece) = text(&part["thinking"]) {
                self.pieces
                    .push(Piece::Reasoning("reasoning_content", piece));
            }
            for thought in part["thinking"].as_array().into_iter().flatten() {
                let piece = text(&thought["text"]);
                self.pieces
                    .extend(piece.map(|piece| Piece::Reasoning(IN_PARTS, piece)));
            }
        }
    }
}

/// A text that is not empty.
fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

fn one_or_more(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        Value::Object(_) => std::slice::from_ref(value),
        _ => &[],
    }
}

/// An error in the place of a chunk: under `error`, or as the object itself.
fn error(json: &Value) -> Option<&Value> {
    let under = json.get("error").filter(|error| !error.is_null());
    under.or_else(|| (json["object"] == "error").then_some(json))
}

fn fragment(call: &Value) -> Fragment<'_> {
    let function_of = if call["function"].is_object() {
        &call["function"]
    } else {
        call
    };
    Fragment {
        index: call["index"].as_u64(),
        id: text(&call["id"]),
        extra: Some(&call["extra_content"]).filter(|extra| extra.is_object()),
        ..function(function_of)
    }
}

fn function(function: &Value) -> Fragment<'_> {
    let arguments = match &function["arguments"] {
        Value::String(text) => text.as_str().into(),
        object @ Value::Object(_) => object.to_string().into(),
        _ => "".into(),
    };
    Fragment {
        index: None,
        id: None,
        name: text(&function["name"]),
        arguments,
        extra: None,
    }
}

fn usage(json: &Value) -> Option<Usage> {
    let own = |at: &Value| at.is_object().then(|| at.clone());
    let usage = own(&json["usage"]).or_else(|| own(&json["x_groq"]["usage"]))?;
    let count = |value: &Value| value.as_u64();
    Some(Usage {
        input: count(&usage["prompt_tokens"]).unwrap_or(0),
        cached: count(&usage["prompt_tokens_details"]["cached_tokens"])
            .or_else(|| count(&usage["prompt_cache_hit_tokens"]))
            .unwrap_or(0),
        cache_write: 0,
        output: count(&usage["completion_tokens"]).unwrap_or(0),
        reasoning: count(&usage["completion_tokens_details"]["reasoning_tokens"]).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call<'c>(
        index: Option<u64>,
        id: Option<&'c str>,
        name: Option<&'c str>,
        arguments: &'c str,
    ) -> Piece<'c> {
        Piece::Call(Fragment {
            index,
            id,
            name,
            arguments: arguments.into(),
            extra: None,
        })
    }

    #[track_caller]
    fn check(json: Value, pieces: &[Piece<'_>]) {
        assert_eq!(Chunk::read(&json).pieces, pieces, "{json}");
    }

    #[test]
    fn deltas_are_read_in_every_shape() {
        let delta = |delta: Value| json!({ "choices": [{ "index": 0, "delta": delta }] });
        check(
            delta(json!({ "content": "a", "role": "assistant" })),
            &[Piece::Text("a")],
        );
        check(delta(json!({ "content": null, "tool_calls": null })), &[]);
        check(delta(Value::Null), &[]);
        check(json!({ "choices": [] }), &[]);
        check(json!({ "choices": null }), &[]);
        check(json!([1, "x"]), &[]);
        check(
            json!({ "choices": [{ "index": 1, "delta": { "content": "other" } }] }),
            &[],
        );
        check(
            delta(json!({ "reasoning": "r", "reasoning_content": "r", "content": "" })),
            &[Piece::Reasoning("reasoning_content", "r")],
        );
        check(
            delta(
                json!({ "content": [{ "type": "thinking", "thinking": [{ "type": "text", "text": "t" }] }, { "type": "text", "text": "x" }] }),
            ),
            &[Piece::Reasoning(IN_PARTS, "t"), Piece::Text("x")],
        );
        check(
            json!({ "choices": [{ "message": { "content": "whole", "refusal": "no" }, "finish_reason": "stop" }] }),
            &[Piece::Text("whole"), Piece::Text("no")],
        );
        check(
            delta(json!({ "thinking": "t" })),
            &[Piece::Reasoning("thinking", "t")],
        );
    }

    #[test]
    fn calls_are_read_in_every_shape() {
        let delta = |delta: Value| json!({ "choices": [{ "delta": delta }] });
        check(
            delta(
                json!({ "tool_calls": [{ "index": 1, "id": "c", "type": "function", "function": { "name": "f", "arguments": "{" } }] }),
            ),
            &[call(Some(1), Some("c"), Some("f"), "{")],
        );
        check(
            delta(
                json!({ "tool_calls": { "id": "", "function": { "name": null, "arguments": { "a": 1 } } } }),
            ),
            &[call(None, None, None, "{\"a\":1}")],
        );
        check(
            delta(json!({ "function_call": { "name": "f", "arguments": "{}" } })),
            &[call(Some(0), None, Some("f"), "{}")],
        );
    }

    #[test]
    fn usage_and_errors_are_where_servers_put_them() {
        let used = json!({ "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12,
            "prompt_tokens_details": { "cached_tokens": 4 }, "completion_tokens_details": { "reasoning_tokens": 2 } } });
        let expected = Usage {
            input: 9,
            cached: 4,
            cache_write: 0,
            output: 3,
            reasoning: 2,
        };
        assert_eq!(Chunk::read(&used).usage, Some(expected));
        assert_eq!(Chunk::read(&json!({ "usage": null })).usage, None);
        let error = json!({ "error": { "message": "no" }, "choices": [] });
        assert_eq!(Chunk::read(&error).error, Some(&json!({ "message": "no" })));
        let error = json!({ "object": "error", "message": "no" });
        assert_eq!(Chunk::read(&error).error, Some(&error));
        assert_eq!(Chunk::read(&json!({ "error": null })).error, None);
    }
}
