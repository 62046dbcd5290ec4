//! How full the model's context is: what its service counted last, and what came since.

use std::sync::Arc;

use super::estimate::items_tokens;
use crate::item::ResponseItem;

/// Follows how many tokens a conversation has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gauge {
    /// The last count; none before the first.
    counted: Option<u64>,
    /// How many items of the history are in it.
    items: usize,
    /// What the first request of the window had.
    prefix: Option<u64>,
}

impl Gauge {
    /// Takes up a conversation whose last count was kept. What the model did not write itself came after it.
    pub(crate) fn resumed(counted: Option<u64>, history: &[Arc<ResponseItem>]) -> Self {
        let last = history.iter().rposition(|item| is_by_the_model(item));
        Self {
            counted,
            items: last.map_or(0, |last| last + 1),
            prefix: None,
        }
    }

    /// Takes what the service counted for a request and its answer, all of which is in the history by now.
    pub(crate) fn counted(&mut self, read: u64, total: u64, items: usize) {
        self.prefix.get_or_insert(read);
        self.counted = Some(total);
        self.items = items;
    }

    /// The service says that there is no more room.
    pub(crate) fn full(&mut self, window: u64, items: usize) {
        self.counted = Some(window);
        self.items = items;
    }

    /// The history was replaced by one of so many tokens.
    pub(crate) fn replaced(&mut self, tokens: u64, items: usize) {
        *self = Self {
            counted: Some(tokens),
            items,
            prefix: None,
        };
    }

    /// The tokens by now; none where nothing was ever counted.
    pub(crate) fn tokens(&self, history: &[Arc<ResponseItem>]) -> u64 {
        let Some(counted) = self.counted else {
            return 0;
        };
        let since = history.get(self.items..).unwrap_or_default();
        counted.saturating_add(items_tokens(since))
    }

    /// What the first request of the window had, as far as that is known.
    pub(crate) fn prefix(&self) -> Option<u64> {
        self.prefix
    }
}

fn is_by_the_model(item: &ResponseItem) -> bool {
    match item {
        ResponseItem::Message { role, .. } => role == "assistant",
        ResponseItem::Reasoning { .. }
        | ResponseItem::FunctionCall { .. }
        | ResponseItem::CustomToolCall { .. }
        | ResponseItem::WebSearchCall { .. } => true,
        ResponseItem::FunctionCallOutput { .. } | ResponseItem::CustomToolCallOutput { .. } => {
            false
        }
        ResponseItem::Other(fields) => ResponseItem::other_kind(fields) != "tool_search_output",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn history(texts: &[(&str, &str)]) -> Vec<Arc<ResponseItem>> {
        let message = |(role, text): &(&str, &str)| {
            let kind = if *role == "assistant" {
                "output_text"
            } else {
                "input_text"
            };
            let item =
                json!({"type": "message", "role": role, "content": [{"type": kind, "text": text}]});
            Arc::new(serde_json::from_value(item).expect("the fixture is an item"))
        };
        texts.iter().map(message).collect()
    }

    #[test]
    fn what_came_after_the_last_count_is_estimated() {
        let said = history(&[
            ("user", "12345678"),
            ("assistant", "ab"),
            ("user", "12345678"),
        ]);
        let mut gauge = Gauge::default();
        assert_eq!(gauge.tokens(&said), 0, "nobody has counted yet");
        gauge.counted(90, 100, 2);
        assert_eq!((gauge.tokens(&said), gauge.prefix()), (102, Some(90)));
        gauge.counted(110, 120, 3);
        assert_eq!((gauge.tokens(&said), gauge.prefix()), (120, Some(90)));
        gauge.full(1000, 3);
        assert_eq!(gauge.tokens(&said), 1000);
        gauge.replaced(7, 1);
        assert_eq!((gauge.tokens(&said[..1]), gauge.prefix()), (7, None));
    }

    #[test]
    fn a_conversation_that_is_taken_up_was_counted_with_its_last_answer() {
        let said = history(&[("user", "a"), ("assistant", "b"), ("user", "12345678")]);
        assert_eq!(Gauge::resumed(Some(100), &said).tokens(&said), 102);
        assert_eq!(Gauge::resumed(None, &said).tokens(&said), 0);
    }
}
