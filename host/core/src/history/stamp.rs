//! What items are stamped with when they enter the history.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::ids::TurnId;
use crate::item::{ItemMetadata, PASSTHROUGH, ResponseItem};

/// Stamps an item with its turn and its time, where it has none. What the item carries already is kept.
pub(super) fn stamp(item: &mut ResponseItem, turn_id: TurnId, now: SystemTime) {
    let time = is_timed(item).then(|| seconds(now)).flatten();
    let kinds = match item {
        ResponseItem::Message { role, content, .. } if role == "assistant" => {
            Some(vec!["unknown".to_owned(); content.len()])
        }
        _ => None,
    };
    if let ResponseItem::Other(fields) = item {
        stamp_other(fields, turn_id, time);
        return;
    }
    let Some(slot) = item.metadata_mut() else {
        return;
    };
    let metadata = slot.get_or_insert_with(ItemMetadata::default);
    metadata.turn_id.get_or_insert_with(|| turn_id.to_string());
    if metadata.content_item_kinds.is_none() {
        metadata.content_item_kinds = kinds;
    }
    metadata.create_time = metadata.create_time.or(time);
}

/// Stamps a message of the host's with its turn alone.
pub(super) fn stamp_turn(item: &mut ResponseItem, turn_id: TurnId) {
    if let ResponseItem::Message { metadata, .. } = item {
        let metadata = metadata.get_or_insert_with(ItemMetadata::default);
        metadata.turn_id.get_or_insert_with(|| turn_id.to_string());
    }
}

/// Items of types that are known to carry metadata; others stay as they came.
fn stamp_other(fields: &mut Map<String, Value>, turn_id: TurnId, time: Option<f64>) {
    let carries = matches!(
        ResponseItem::other_kind(fields),
        "agent_message"
            | "local_shell_call"
            | "tool_search_call"
            | "tool_search_output"
            | "image_generation_call"
            | "compaction"
            | "compaction_summary"
            | "context_compaction"
            | "additional_tools"
    );
    if !carries {
        return;
    }
    let metadata = fields
        .entry(PASSTHROUGH)
        .or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(metadata) = metadata else {
        return;
    };
    metadata
        .entry("turn_id")
        .or_insert_with(|| Value::String(turn_id.to_string()));
    if let Some(time) = time {
        metadata
            .entry("create_time")
            .or_insert_with(|| Value::from(time));
    }
}

fn is_timed(item: &ResponseItem) -> bool {
    match item {
        ResponseItem::Message { role, .. } => role != "assistant",
        ResponseItem::FunctionCallOutput { .. } | ResponseItem::CustomToolCallOutput { .. } => true,
        ResponseItem::Other(fields) => ResponseItem::other_kind(fields) == "tool_search_output",
        ResponseItem::Reasoning { .. }
        | ResponseItem::FunctionCall { .. }
        | ResponseItem::CustomToolCall { .. }
        | ResponseItem::WebSearchCall { .. } => false,
    }
}

/// A clock before 1970 is not worth a field.
fn seconds(now: SystemTime) -> Option<f64> {
    let since = now.duration_since(UNIX_EPOCH).ok()?;
    Some(since.as_secs_f64())
}
