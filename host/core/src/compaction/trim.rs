//! Conversations that no longer fit into the request that is to shorten them.

use std::sync::Arc;

use super::estimate::item_tokens;
use crate::history::SharedItems;
use crate::item::{OutputPayload, ResponseItem};

/// What the model reads in the place of an output that made the conversation too long.
const LEFT_OUT: &str =
    "[this output was left out: with it the conversation does not fit into the model's context]";

/// The items with as many outputs of tools left out as it takes to stay within so many tokens, the newest first: before
/// they came it did fit.
pub(crate) fn trimmed(items: SharedItems, room: u64) -> SharedItems {
    let mut tokens: u64 = items.iter().map(|item| item_tokens(item)).sum();
    if tokens <= room {
        return items;
    }
    let mut fitting: Vec<Arc<ResponseItem>> = items.to_vec();
    for item in fitting.iter_mut().rev() {
        if tokens <= room {
            break;
        }
        let Some(bare) = without_output(item) else {
            continue;
        };
        let (before, after) = (item_tokens(item), item_tokens(&bare));
        if after < before {
            tokens -= before - after;
            *item = Arc::new(bare);
        }
    }
    fitting.into()
}

fn without_output(item: &ResponseItem) -> Option<ResponseItem> {
    let mut bare = match item {
        ResponseItem::FunctionCallOutput { .. } | ResponseItem::CustomToolCallOutput { .. } => {
            item.clone()
        }
        ResponseItem::Message { .. }
        | ResponseItem::Reasoning { .. }
        | ResponseItem::FunctionCall { .. }
        | ResponseItem::CustomToolCall { .. }
        | ResponseItem::WebSearchCall { .. }
        | ResponseItem::Other(_) => return None,
    };
    if let ResponseItem::FunctionCallOutput { output, .. }
    | ResponseItem::CustomToolCallOutput { output, .. } = &mut bare
    {
        *output = OutputPayload::Text(LEFT_OUT.to_owned());
    }
    Some(bare)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn output(text: &str) -> Arc<ResponseItem> {
        let item = json!({"type": "function_call_output", "call_id": "c", "output": text});
        Arc::new(serde_json::from_value(item).expect("the fixture is an item"))
    }

    fn is_there(items: &[Arc<ResponseItem>]) -> Vec<bool> {
        let there = |item: &Arc<ResponseItem>| !matches!(&**item, ResponseItem::FunctionCallOutput { output: OutputPayload::Text(text), .. } if text == LEFT_OUT);
        items.iter().map(there).collect()
    }

    #[test]
    fn the_newest_outputs_go_first_and_no_more_than_needed() {
        let long = || output(&"x".repeat(4000));
        let items: SharedItems = vec![long(), long(), output("short"), long()].into();
        let left = |room| is_there(&trimmed(Arc::clone(&items), room));
        assert_eq!(left(10_000), [true, true, true, true]);
        assert_eq!(left(2_100), [true, true, true, false]);
        assert_eq!(left(1_100), [true, false, true, false]);
        assert_eq!(
            left(0),
            [false, false, true, false],
            "a short one is shorter"
        );
    }
}
