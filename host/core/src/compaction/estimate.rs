//! How many tokens something is, roughly: for what no server has counted yet.

use std::sync::Arc;

use serde_json::Value;

use crate::item::{ContentItem, OutputPayload, ResponseItem, SummaryPart};
use crate::shorten::BYTES_PER_TOKEN;

/// What an image of usual size costs, whatever its bytes.
const IMAGE_BYTES: u64 = 1_800 * BYTES_PER_TOKEN;

/// The tokens of several items.
pub(crate) fn items_tokens(items: &[Arc<ResponseItem>]) -> u64 {
    items.iter().map(|item| item_tokens(item)).sum()
}

/// The tokens of an item.
pub(crate) fn item_tokens(item: &ResponseItem) -> u64 {
    bytes(item).div_ceil(BYTES_PER_TOKEN)
}

fn bytes(item: &ResponseItem) -> u64 {
    match item {
        ResponseItem::Message { content, .. } => content.iter().map(part_bytes).sum(),
        ResponseItem::Reasoning {
            summary,
            content,
            encrypted_content,
            ..
        } => {
            let summary: u64 = summary
                .iter()
                .map(|SummaryPart::SummaryText { text }| length(text))
                .sum();
            let sealed = encrypted_content.as_deref().map_or(0, sealed_bytes);
            summary + content.as_ref().map_or(0, json_bytes) + sealed
        }
        ResponseItem::FunctionCall {
            name, arguments, ..
        } => length(name) + length(arguments),
        ResponseItem::CustomToolCall { name, input, .. } => length(name) + length(input),
        ResponseItem::FunctionCallOutput { output, .. }
        | ResponseItem::CustomToolCallOutput { output, .. } => match output {
            OutputPayload::Text(text) => length(text),
            OutputPayload::Items(parts) => parts.iter().map(part_bytes).sum(),
        },
        ResponseItem::WebSearchCall { action, .. } => action.as_ref().map_or(0, json_bytes),
        ResponseItem::Other(fields) => match fields.get("encrypted_content") {
            Some(Value::String(sealed)) => sealed_bytes(sealed),
            Some(_) | None => fields.values().map(json_bytes).sum(),
        },
    }
}

fn part_bytes(part: &ContentItem) -> u64 {
    match part {
        ContentItem::InputText { text } | ContentItem::OutputText { text } => length(text),
        ContentItem::Refusal { refusal } => length(refusal),
        ContentItem::InputImage { .. } | ContentItem::InputAudio { .. } => IMAGE_BYTES,
        ContentItem::Other(value) => json_bytes(value),
    }
}

/// What was encrypted is three quarters of its letters.
fn sealed_bytes(sealed: &str) -> u64 {
    length(sealed) / 4 * 3
}

fn json_bytes(value: &Value) -> u64 {
    match value {
        Value::String(text) => length(text),
        Value::Array(values) => values.iter().map(json_bytes).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| length(key) + json_bytes(value))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => BYTES_PER_TOKEN,
    }
}

fn length(text: &str) -> u64 {
    text.len() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(item: Value, tokens: u64) {
        let item: ResponseItem = serde_json::from_value(item).expect("the fixture is an item");
        assert_eq!(item_tokens(&item), tokens);
    }

    #[test]
    fn four_bytes_are_a_token_and_images_have_a_price() {
        let text = json!({"type": "input_text", "text": "12345678"});
        let image = json!({"type": "input_image", "image_url": "data:image/png;base64,AAAA"});
        check(
            json!({"type": "message", "role": "user", "content": [text, image]}),
            1_802,
        );
        check(
            json!({"type": "function_call_output", "call_id": "c", "output": "123456789"}),
            3,
        );
        check(
            json!({"type": "function_call", "call_id": "c", "name": "exec", "arguments": "{}"}),
            2,
        );
    }

    #[test]
    fn what_is_encrypted_counts_as_what_is_in_it() {
        let sealed = "x".repeat(1600);
        check(
            json!({"type": "compaction", "id": "cmp_1", "encrypted_content": sealed}),
            300,
        );
        check(
            json!({"type": "reasoning", "summary": [], "encrypted_content": sealed}),
            300,
        );
    }
}
