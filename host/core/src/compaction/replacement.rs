//! What a conversation goes on with: the user's newest words, the context as it is now, and what came of the rest.

use std::sync::Arc;

use super::estimate::item_tokens;
use crate::history::is_user_input;
use crate::item::{ContentItem, ResponseItem};
use crate::shorten::{BYTES_PER_TOKEN, without_middle};

/// Tokens of the user's words that stay beside a summary.
pub(crate) const LOCAL_BUDGET: u64 = 20_000;
/// The same beside a compaction by the service.
pub(crate) const REMOTE_BUDGET: u64 = 64_000;

/// The newest of the user's own messages that fit, in their order. The oldest of them may have lost its middle; images
/// are free.
pub(crate) fn newest_messages(items: &[Arc<ResponseItem>], budget: u64) -> Vec<Arc<ResponseItem>> {
    let mut left = budget;
    let mut kept = Vec::new();
    for item in items.iter().rev().filter(|item| is_user_input(item)) {
        if left == 0 {
            break;
        }
        // However short it is, a message is not free.
        let tokens = text_tokens(item).max(1);
        if tokens <= left {
            kept.push(Arc::clone(item));
            left -= tokens;
        } else {
            kept.push(Arc::new(fitted(item, std::mem::take(&mut left))));
        }
    }
    kept.reverse();
    kept
}

/// The new conversation. The context stands right before the newest of the user's words, where there are any: it is as
/// new as they are.
pub(crate) fn replacement(
    mut kept: Vec<Arc<ResponseItem>>,
    context: Vec<Arc<ResponseItem>>,
    rest: Arc<ResponseItem>,
) -> Vec<Arc<ResponseItem>> {
    let newest = kept.pop();
    kept.extend(context);
    kept.extend(newest);
    kept.push(rest);
    kept
}

fn text_tokens(item: &ResponseItem) -> u64 {
    let ResponseItem::Message { content, .. } = item else {
        return item_tokens(item);
    };
    let texts = content.iter().filter_map(text_of);
    texts.map(tokens).sum()
}

/// A message whose texts share a budget, in their order.
fn fitted(item: &ResponseItem, mut left: u64) -> ResponseItem {
    let mut item = item.clone();
    if let ResponseItem::Message { content, .. } = &mut item {
        for part in content {
            let (ContentItem::InputText { text } | ContentItem::OutputText { text }) = part else {
                continue;
            };
            let needed = tokens(text);
            if needed > left {
                *text = without_middle(text, left.saturating_mul(BYTES_PER_TOKEN));
            }
            left = left.saturating_sub(needed);
        }
    }
    item
}

fn text_of(part: &ContentItem) -> Option<&str> {
    match part {
        ContentItem::InputText { text } | ContentItem::OutputText { text } => Some(text),
        ContentItem::InputImage { .. }
        | ContentItem::InputAudio { .. }
        | ContentItem::Refusal { .. }
        | ContentItem::Other(_) => None,
    }
}

fn tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(BYTES_PER_TOKEN)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn item(value: Value) -> Arc<ResponseItem> {
        Arc::new(serde_json::from_value(value).expect("the fixture is an item"))
    }

    fn said(text: &str) -> Arc<ResponseItem> {
        item(
            json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}),
        )
    }

    fn of_kind(role: &str, text: &str, kind: &str) -> Arc<ResponseItem> {
        Arc::new(ResponseItem::message(
            role,
            vec![ContentItem::InputText {
                text: text.to_owned(),
            }],
            &[kind],
        ))
    }

    fn texts(items: &[Arc<ResponseItem>]) -> Vec<String> {
        let text = |item: &Arc<ResponseItem>| match &**item {
            ResponseItem::Message { content, .. } => content
                .iter()
                .filter_map(text_of)
                .collect::<Vec<_>>()
                .join("|"),
            _ => "–".to_owned(),
        };
        items.iter().map(text).collect()
    }

    #[test]
    fn only_the_users_own_words_stay() {
        let items = [
            of_kind("developer", "rules", "permissions.instructions"),
            of_kind(
                "user",
                "<environment_context>",
                "environments.environment_context",
            ),
            said("one"),
            item(
                json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "A"}]}),
            ),
            item(json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"})),
            item(json!({"type": "function_call_output", "call_id": "c", "output": "out"})),
            of_kind("user", "the earlier part", super::super::SUMMARY_KIND),
            of_kind("user", "two", "user.text"),
            of_kind("user", "<turn_aborted>", "generic.turn_aborted"),
        ];
        assert_eq!(texts(&newest_messages(&items, 100)), ["one", "two"]);
    }

    #[test]
    fn the_newest_fit_and_the_oldest_of_them_loses_its_middle() {
        let items = [said("gone"), said(&"x".repeat(40)), said("12345678")];
        let kept = newest_messages(&items, 4);
        assert_eq!(texts(&kept), ["xxxx…8 tokens truncated…xxxx", "12345678"]);
        assert_eq!(texts(&newest_messages(&items, 2)), ["12345678"]);
        assert_eq!(newest_messages(&items, 0), []);
    }

    #[test]
    fn images_are_free_and_stay() {
        let shown = item(json!({"type": "message", "role": "user", "content": [
            {"type": "input_image", "image_url": "data:,"},
            {"type": "input_text", "text": "123456789012"},
            {"type": "input_text", "text": "more"}]}));
        let kept = newest_messages(&[shown], 2);
        let parts = serde_json::to_value(&*kept[0]).expect("items serialize");
        assert_eq!(parts["content"].as_array().map(Vec::len), Some(3));
        assert_eq!(
            texts(&kept),
            ["1234…1 tokens truncated…9012|…1 tokens truncated…"]
        );
    }

    #[test]
    fn the_context_stands_before_the_newest_words() {
        let context = || vec![said("context")];
        let both = replacement(vec![said("a"), said("b")], context(), said("rest"));
        assert_eq!(texts(&both), ["a", "context", "b", "rest"]);
        let none = replacement(Vec::new(), context(), said("rest"));
        assert_eq!(texts(&none), ["context", "rest"]);
    }
}
