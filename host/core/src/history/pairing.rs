//! Calls and their outputs: each call has exactly one, behind it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

use super::SharedItems;
use crate::item::{ItemMetadata, OutputPayload, PASSTHROUGH, ResponseItem};

/// What the model reads in the place of an output that was lost with its process.
const LOST_OUTPUT: &str = "aborted";

/// The part that an item has in a call, with the call's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallPart<'a> {
    /// It asks for one.
    Call(&'a str),
    /// It answers one.
    Output(&'a str),
    /// It has none.
    None,
}

/// The items with a stand-in for every output that is missing, and without outputs that answer nothing.
pub(super) fn paired(items: &[Arc<ResponseItem>]) -> SharedItems {
    // Some models use an id for a call again once it is answered, so an id may be open more than once.
    let mut open: HashMap<&str, VecDeque<usize>> = HashMap::new();
    let mut orphans: HashSet<usize> = HashSet::new();
    for (at, item) in items.iter().enumerate() {
        match call_part(item) {
            CallPart::Call(id) => open.entry(id).or_default().push_back(at),
            CallPart::Output(id) => {
                if open.get_mut(id).and_then(VecDeque::pop_front).is_none() {
                    orphans.insert(at);
                }
            }
            CallPart::None => {}
        }
    }
    let unanswered: HashSet<usize> = open.into_values().flatten().collect();
    if unanswered.is_empty() && orphans.is_empty() {
        return items.iter().map(Arc::clone).collect();
    }
    let mut whole = Vec::with_capacity(items.len() + unanswered.len());
    for (at, item) in items.iter().enumerate() {
        if orphans.contains(&at) {
            continue;
        }
        whole.push(Arc::clone(item));
        if unanswered.contains(&at) {
            whole.extend(lost_output(item).map(Arc::new));
        }
    }
    whole.into()
}

/// Whether an item is the output of a call.
pub(super) fn is_output(item: &ResponseItem) -> bool {
    matches!(call_part(item), CallPart::Output(_))
}

/// The part that an item has in a call of ours.
pub fn call_part(item: &ResponseItem) -> CallPart<'_> {
    match item {
        ResponseItem::FunctionCall { call_id, .. }
        | ResponseItem::CustomToolCall { call_id, .. } => CallPart::Call(call_id),
        ResponseItem::FunctionCallOutput { call_id, .. }
        | ResponseItem::CustomToolCallOutput { call_id, .. } => CallPart::Output(call_id),
        ResponseItem::Other(fields) => {
            let Some(id) = fields.get("call_id").and_then(Value::as_str) else {
                return CallPart::None;
            };
            match ResponseItem::other_kind(fields) {
                "local_shell_call" => CallPart::Call(id),
                // The service answers its own searches.
                "tool_search_call" if fields.get("execution") != Some(&json!("server")) => {
                    CallPart::Call(id)
                }
                "tool_search_output" if fields.get("execution") != Some(&json!("server")) => {
                    CallPart::Output(id)
                }
                _ => CallPart::None,
            }
        }
        ResponseItem::Message { .. }
        | ResponseItem::Reasoning { .. }
        | ResponseItem::WebSearchCall { .. } => CallPart::None,
    }
}

/// The output for a call whose own output was lost. It belongs to the turn of its call.
fn lost_output(call: &ResponseItem) -> Option<ResponseItem> {
    let turn_id = call.turn_id().map(str::to_owned);
    let metadata = turn_id.map(|turn_id| ItemMetadata {
        turn_id: Some(turn_id),
        ..ItemMetadata::default()
    });
    let output = OutputPayload::Text(LOST_OUTPUT.to_owned());
    let CallPart::Call(call_id) = call_part(call) else {
        return None;
    };
    let call_id = call_id.to_owned();
    match call {
        ResponseItem::CustomToolCall { .. } => Some(ResponseItem::CustomToolCallOutput {
            id: None,
            call_id,
            name: None,
            output,
            metadata,
        }),
        ResponseItem::Other(fields) if ResponseItem::other_kind(fields) == "tool_search_call" => {
            let mut output = json!({
                "type": "tool_search_output", "call_id": call_id, "status": "completed", "execution": "client", "tools": [],
            });
            if let Some(metadata) = fields.get(PASSTHROUGH) {
                output[PASSTHROUGH] = json!({ "turn_id": metadata["turn_id"] });
            }
            match output {
                Value::Object(fields) => Some(ResponseItem::Other(fields)),
                _ => None,
            }
        }
        _ => Some(ResponseItem::FunctionCallOutput {
            id: None,
            call_id,
            output,
            metadata,
        }),
    }
}
