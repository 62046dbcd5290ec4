//! Conversations for models that cannot look at images, and for services that refuse one of them.

use std::sync::Arc;

use super::SharedItems;
use crate::item::{ContentItem, OutputPayload, ResponseItem};

/// What the model reads in the place of an image.
const NOT_SEEN: &str = "[an image was here; this model cannot look at images]";
/// The same where the service refuses the image.
const REFUSED: &str =
    "[an image was here; the model's service cannot use an image of this conversation]";

/// The same items, with a text in the place of every image.
pub(super) fn without(items: &[Arc<ResponseItem>]) -> SharedItems {
    let bare = |item: &Arc<ResponseItem>| match bare(item, NOT_SEEN) {
        Some(bare) => Arc::new(bare),
        None => Arc::clone(item),
    };
    items.iter().map(bare).collect()
}

/// Puts a text in the place of every image. Says whether there was any.
pub(super) fn forget(items: &mut [Arc<ResponseItem>]) -> bool {
    let mut any = false;
    for item in items {
        if let Some(bare) = bare(item, REFUSED) {
            *item = Arc::new(bare);
            any = true;
        }
    }
    any
}

/// Whether there is an image in an item.
pub(super) fn in_item(item: &ResponseItem) -> bool {
    content_of(item).is_some_and(|content| content.iter().any(is_image))
}

/// The item with a text in the place of its images; none if it has none.
fn bare(item: &ResponseItem, text: &str) -> Option<ResponseItem> {
    if !in_item(item) {
        return None;
    }
    let mut bare = item.clone();
    for part in content_mut(&mut bare)?
        .iter_mut()
        .filter(|part| is_image(part))
    {
        let text = text.to_owned();
        *part = ContentItem::InputText { text };
    }
    Some(bare)
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
