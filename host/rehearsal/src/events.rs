//! The events of a Responses stream, as a model's service sends them.

use std::num::NonZeroUsize;

use serde_json::{Value, json};

use crate::script::Usage;

/// Names for the items of one answer: the same script gives the same names each time it is played.
#[derive(Debug)]
pub(crate) struct Names {
    response: String,
    items: usize,
}

impl Names {
    /// Names for the answer to the request with this number, counted from 1.
    pub(crate) fn numbered(number: usize) -> Self {
        Self::of(number.to_string())
    }

    /// Names for an answer that only says that the server is ready.
    pub(crate) fn warm() -> Self {
        Self::of("warm".to_owned())
    }

    fn of(response: String) -> Self {
        Self { response, items: 0 }
    }

    pub(crate) fn response_id(&self) -> String {
        format!("resp_{}", self.response)
    }

    /// The next item's id, such as `msg_3_0`.
    pub(crate) fn item_id(&mut self, prefix: &str) -> String {
        let id = format!("{prefix}_{}_{}", self.response, self.items);
        self.items += 1;
        id
    }

    /// How many items were named so far: the output index of the next one.
    pub(crate) fn index(&self) -> usize {
        self.items
    }
}

fn response(id: &str, model: &str, status: &str) -> Value {
    json!({ "id": id, "object": "response", "status": status, "model": model, "output": [] })
}

pub(crate) fn created(id: &str, model: &str) -> Value {
    json!({ "type": "response.created", "response": response(id, model, "in_progress") })
}

pub(crate) fn completed(
    id: &str,
    model: &str,
    usage: Option<Usage>,
    end_turn: Option<bool>,
) -> Value {
    let mut response = response(id, model, "completed");
    response["usage"] = usage.map_or(Value::Null, |usage| {
        json!({
            "input_tokens": usage.input_tokens,
            "input_tokens_details": { "cached_tokens": usage.cached_input_tokens },
            "output_tokens": usage.output_tokens,
            "output_tokens_details": { "reasoning_tokens": usage.reasoning_output_tokens },
            "total_tokens": usage.input_tokens.saturating_add(usage.output_tokens),
        })
    });
    if let Some(end_turn) = end_turn {
        response["end_turn"] = Value::Bool(end_turn);
    }
    json!({ "type": "response.completed", "response": response })
}

pub(crate) fn failed(id: &str, model: &str, code: &str, message: &str) -> Value {
    let mut response = response(id, model, "failed");
    response["error"] = json!({ "code": code, "message": message });
    json!({ "type": "response.failed", "response": response })
}

pub(crate) fn incomplete(id: &str, model: &str, reason: &str) -> Value {
    let mut response = response(id, model, "incomplete");
    response["incomplete_details"] = json!({ "reason": reason });
    json!({ "type": "response.incomplete", "response": response })
}

/// A whole item: it begins and is done.
pub(crate) fn item(index: usize, item: Value) -> Vec<Value> {
    vec![
        json!({ "type": "response.output_item.added", "output_index": index, "item": item }),
        json!({ "type": "response.output_item.done", "output_index": index, "item": item }),
    ]
}

/// A message, streamed.
pub(crate) fn text(
    names: &mut Names,
    text: &str,
    phase: Option<&str>,
    chunk: NonZeroUsize,
) -> Vec<Value> {
    let (index, id) = (names.index(), names.item_id("msg"));
    let message = |content: Value, status: &str| {
        let mut item = json!({ "type": "message", "id": id, "status": status, "role": "assistant", "content": content });
        if let Some(phase) = phase {
            item["phase"] = Value::String(phase.to_owned());
        }
        item
    };
    let mut events = vec![
        json!({ "type": "response.output_item.added", "output_index": index, "item": message(json!([]), "in_progress") }),
    ];
    events.extend(pieces(text, chunk).map(|delta| {
        json!({
            "type": "response.output_text.delta", "item_id": id, "output_index": index, "content_index": 0,
            "delta": delta,
        })
    }));
    let done = message(
        json!([{ "type": "output_text", "text": text, "annotations": [] }]),
        "completed",
    );
    events
        .push(json!({ "type": "response.output_item.done", "output_index": index, "item": done }));
    events
}

/// Reasoning with its summary, streamed.
pub(crate) fn reasoning(names: &mut Names, summary: &str, chunk: NonZeroUsize) -> Vec<Value> {
    let (index, id) = (names.index(), names.item_id("rs"));
    let item = |summary: Value| json!({ "type": "reasoning", "id": id, "summary": summary, "encrypted_content": "rehearsed" });
    let mut events = vec![
        json!({ "type": "response.output_item.added", "output_index": index, "item": item(json!([])) }),
        json!({
            "type": "response.reasoning_summary_part.added", "item_id": id, "output_index": index,
            "summary_index": 0, "part": { "type": "summary_text", "text": "" },
        }),
    ];
    events.extend(pieces(summary, chunk).map(|delta| {
        json!({
            "type": "response.reasoning_summary_text.delta", "item_id": id, "output_index": index,
            "summary_index": 0, "delta": delta,
        })
    }));
    let done = item(json!([{ "type": "summary_text", "text": summary }]));
    events
        .push(json!({ "type": "response.output_item.done", "output_index": index, "item": done }));
    events
}

/// What is left of a conversation.
pub(crate) fn compaction(names: &mut Names, content: &str) -> Vec<Value> {
    let (index, id) = (names.index(), names.item_id("cmp"));
    let left = json!({ "type": "compaction", "id": id, "encrypted_content": content });
    item(index, left)
}

/// A call of a function tool.
pub(crate) fn function_call(
    names: &mut Names,
    name: &str,
    namespace: Option<&str>,
    arguments: &str,
    call_id: Option<&str>,
) -> Vec<Value> {
    let (index, id) = (names.index(), names.item_id("fc"));
    let mut call =
        json!({ "type": "function_call", "id": id, "status": "completed", "name": name });
    if let Some(namespace) = namespace {
        call["namespace"] = Value::String(namespace.to_owned());
    }
    call["arguments"] = Value::String(arguments.to_owned());
    call["call_id"] = Value::String(call_id.map_or_else(|| format!("call_{id}"), str::to_owned));
    item(index, call)
}

/// A call of a freeform tool.
pub(crate) fn custom_call(
    names: &mut Names,
    name: &str,
    input: &str,
    call_id: Option<&str>,
) -> Vec<Value> {
    let (index, id) = (names.index(), names.item_id("ctc"));
    let call_id = call_id.map_or_else(|| format!("call_{id}"), str::to_owned);
    item(
        index,
        json!({
            "type": "custom_tool_call", "id": id, "status": "completed", "call_id": call_id, "name": name,
            "input": input,
        }),
    )
}

/// Cuts a text into pieces of so many characters; an empty text has no pieces.
fn pieces(text: &str, chunk: NonZeroUsize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .char_indices()
            .nth(chunk.get())
            .map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_pieces(text: &str, chunk: usize, expected: &[&str]) {
        let chunk = NonZeroUsize::new(chunk).expect("tests cut into pieces of one and more");
        assert_eq!(pieces(text, chunk).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        check_pieces("", 3, &[]);
        check_pieces("häß!", 2, &["hä", "ß!"]);
        check_pieces("abc", 2, &["ab", "c"]);
        check_pieces("🏔🏔", 1, &["🏔", "🏔"]);
    }
}
