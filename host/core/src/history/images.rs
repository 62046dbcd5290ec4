//! Conversations for models that cannot look at images.

use std::sync::Arc;

use super::SharedItems;
use crate::item::{ContentItem, OutputPayload, ResponseItem};

/// What the model reads in the place of an image.
const LEFT_OUT: &str = "[an image was here; this model cannot look at images]";

/// The same items, with a text in the place of every image.
pub(super) fn without(items: &[Arc<ResponseItem>]) -> SharedItems {
    items
        .iter()
        .map(|item| {
            if content_of(item).is_some_and(|content| content.iter().any(is_image)) {
                let mut bare = ResponseItem::clone(item);
                if let Some(content) = content_mut(&mut bare) {
                    for part in content.iter_mut().filter(|part| is_image(part)) {
                        let text = LEFT_OUT.to_owned();
                        *part = ContentItem::InputText { text };
                    }
                }
                Arc::new(bare)
            } else {
                Arc::clone(item)
            }
        })
        .collect()
}

fn is_image(part: &ContentItem) -> bool {
    matches!(part, ContentItem::InputImage { .. })
}

fn content_of(item: &ResponseItem) -> Option<&[ContentItem]> {
    match item {
        ResponseItem::Message { content, .. } => Some(content),
        ResponseItem::FunctionCallOutput { output, .. }
        | ResponseItem::CustomToolCallOutput { output, .. } => match output {
            OutputPayload::Items(items) => Some(items),
            OutputPayload::Text(_) => None,
        },
        ResponseItem::Reasoning { .. }
        | ResponseItem::FunctionCall { .. }
        | ResponseItem::CustomToolCall { .. }
        | ResponseItem::WebSearchCall { .. }
        | ResponseItem::Other(_) => None,
    }
}

fn content_mut(item: &mut ResponseItem) -> Option<&mut Vec<ContentItem>> {
    match item {
        ResponseItem::Message { content, .. } => Some(content),
        ResponseItem::FunctionCallOutput { output, .. }
        | ResponseItem::CustomToolCallOutput { output, .. } => match output {
            OutputPayload::Items(items) => Some(items),
            OutputPayload::Text(_) => None,
        },
        ResponseItem::Reasoning { .. }
        | ResponseItem::FunctionCall { .. }
        | ResponseItem::CustomToolCall { .. }
        | ResponseItem::WebSearchCall { .. }
        | ResponseItem::Other(_) => None,
    }
}
