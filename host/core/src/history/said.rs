//! What the user said, as opposed to what is sent in the user's name.

use crate::item::{ContentItem, ResponseItem};

/// The beginnings of texts that are sent in the user's name, for messages that do not say what they are.
const NOT_SAID: &[&str] = &[
    "<environment_context>",
    "<user_instructions>",
    "<turn_aborted>",
    "# AGENTS.md instructions for ",
    // Summaries of existing clients begin so.
    "Another language model started to solve this problem",
];

/// Whether the user said it.
pub fn is_user_input(item: &ResponseItem) -> bool {
    let ResponseItem::Message {
        role,
        content,
        metadata,
        ..
    } = item
    else {
        return false;
    };
    if role != "user" {
        return false;
    }
    match metadata
        .as_ref()
        .and_then(|metadata| metadata.content_item_kinds.as_ref())
    {
        Some(kinds) => kinds
            .iter()
            .any(|kind| kind == "user.text" || kind == "user.image"),
        // Older files do not say what a message is.
        None => !content
            .iter()
            .any(|part| matches!(part, ContentItem::InputText { text } if is_not_said(text))),
    }
}

fn is_not_said(text: &str) -> bool {
    NOT_SAID
        .iter()
        .any(|start| text.trim_start().starts_with(start))
}
