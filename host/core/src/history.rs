//! The conversation: append-only, and the one place where items get ids.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::ids::TurnId;
use crate::item::{ItemMetadata, OutputPayload, ResponseItem};

/// The items of a thread, as the model will see them.
#[derive(Debug, Clone, Default)]
pub struct History {
    items: Vec<Arc<ResponseItem>>,
}

/// What the model reads in the place of an output that was lost with its process.
const LOST_OUTPUT: &str = "aborted";

impl History {
    /// Takes up a conversation that was kept on disk.
    pub fn resume(items: Vec<ResponseItem>) -> Self {
        Self {
            items: items.into_iter().map(Arc::new).collect(),
        }
    }

    /// Appends an item: gives it an id if it has none, and stamps it with its turn.
    pub fn push(
        &mut self,
        mut item: ResponseItem,
        turn_id: TurnId,
        now: SystemTime,
    ) -> Arc<ResponseItem> {
        item.ensure_id();
        stamp(&mut item, turn_id, now);
        let item = Arc::new(item);
        self.items.push(Arc::clone(&item));
        item
    }

    /// All items.
    pub fn items(&self) -> &[Arc<ResponseItem>] {
        &self.items
    }

    /// The items as a request may hold them: every call has an output, and every output a call.
    ///
    /// A process that died between a call and its output leaves a gap that servers refuse.
    pub fn for_request(&self) -> Arc<[Arc<ResponseItem>]> {
        let calls: HashSet<&str> = self.items.iter().filter_map(|item| call_of(item)).collect();
        let outputs: HashSet<&str> = self
            .items
            .iter()
            .filter_map(|item| output_of(item))
            .collect();
        if calls == outputs {
            return self.items.iter().map(Arc::clone).collect();
        }
        let mut items = Vec::with_capacity(self.items.len() + 1);
        for item in &self.items {
            if output_of(item).is_some_and(|id| !calls.contains(id)) {
                continue;
            }
            items.push(Arc::clone(item));
            if call_of(item).is_some_and(|id| !outputs.contains(id)) {
                items.extend(lost_output(item).map(Arc::new));
            }
        }
        items.into()
    }
}

fn call_of(item: &ResponseItem) -> Option<&str> {
    match item {
        ResponseItem::FunctionCall { call_id, .. }
        | ResponseItem::CustomToolCall { call_id, .. } => Some(call_id),
        ResponseItem::Message { .. }
        | ResponseItem::Reasoning { .. }
        | ResponseItem::FunctionCallOutput { .. }
        | ResponseItem::CustomToolCallOutput { .. }
        | ResponseItem::WebSearchCall { .. }
        | ResponseItem::Other(_) => None,
    }
}

fn output_of(item: &ResponseItem) -> Option<&str> {
    match item {
        ResponseItem::FunctionCallOutput { call_id, .. }
        | ResponseItem::CustomToolCallOutput { call_id, .. } => Some(call_id),
        ResponseItem::Message { .. }
        | ResponseItem::Reasoning { .. }
        | ResponseItem::FunctionCall { .. }
        | ResponseItem::CustomToolCall { .. }
        | ResponseItem::WebSearchCall { .. }
        | ResponseItem::Other(_) => None,
    }
}

/// The output for a call whose own output was lost.
fn lost_output(call: &ResponseItem) -> Option<ResponseItem> {
    let output = OutputPayload::Text(LOST_OUTPUT.to_owned());
    match call {
        ResponseItem::FunctionCall { call_id, .. } => Some(ResponseItem::FunctionCallOutput {
            id: None,
            call_id: call_id.clone(),
            output,
            metadata: None,
        }),
        ResponseItem::CustomToolCall { call_id, .. } => Some(ResponseItem::CustomToolCallOutput {
            id: None,
            call_id: call_id.clone(),
            name: None,
            output,
            metadata: None,
        }),
        ResponseItem::Message { .. }
        | ResponseItem::Reasoning { .. }
        | ResponseItem::FunctionCallOutput { .. }
        | ResponseItem::CustomToolCallOutput { .. }
        | ResponseItem::WebSearchCall { .. }
        | ResponseItem::Other(_) => None,
    }
}

fn stamp(item: &mut ResponseItem, turn_id: TurnId, now: SystemTime) {
    let timed = match item {
        ResponseItem::Message { role, .. } => role != "assistant",
        ResponseItem::FunctionCallOutput { .. } | ResponseItem::CustomToolCallOutput { .. } => true,
        ResponseItem::Reasoning { .. }
        | ResponseItem::FunctionCall { .. }
        | ResponseItem::CustomToolCall { .. }
        | ResponseItem::WebSearchCall { .. }
        | ResponseItem::Other(_) => false,
    };
    let kinds = match item {
        ResponseItem::Message { role, content, .. } if role == "assistant" => {
            Some(vec!["unknown".to_owned(); content.len()])
        }
        _ => None,
    };
    let Some(slot) = item.metadata_mut() else {
        return;
    };
    let metadata = slot.get_or_insert_with(ItemMetadata::default);
    metadata.turn_id.get_or_insert_with(|| turn_id.to_string());
    if metadata.content_item_kinds.is_none() {
        metadata.content_item_kinds = kinds;
    }
    if timed {
        // A clock before 1970 is not worth a field.
        metadata.create_time = metadata.create_time.or_else(|| {
            now.duration_since(UNIX_EPOCH)
                .ok()
                .map(|since| since.as_secs_f64())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> ResponseItem {
        ResponseItem::FunctionCall {
            id: None,
            name: "exec_command".to_owned(),
            namespace: None,
            arguments: "{}".to_owned(),
            call_id: id.to_owned(),
            metadata: None,
        }
    }

    fn output(id: &str) -> ResponseItem {
        ResponseItem::FunctionCallOutput {
            id: None,
            call_id: id.to_owned(),
            output: OutputPayload::Text("out".to_owned()),
            metadata: None,
        }
    }

    #[track_caller]
    fn check_request(items: Vec<ResponseItem>, expected: &[(&str, &str)]) {
        let history = History::resume(items);
        let shape: Vec<(String, String)> = history
            .for_request()
            .iter()
            .map(|item| match &**item {
                ResponseItem::FunctionCall { call_id, .. } => ("call".to_owned(), call_id.clone()),
                ResponseItem::FunctionCallOutput {
                    call_id, output, ..
                } => (output.text(), call_id.clone()),
                other => (format!("{other:?}"), String::new()),
            })
            .collect();
        let shape: Vec<(&str, &str)> = shape
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        assert_eq!(shape, expected);
    }

    #[test]
    fn a_call_without_output_gets_one() {
        check_request(
            vec![call("a"), call("b"), output("b")],
            &[("call", "a"), ("aborted", "a"), ("call", "b"), ("out", "b")],
        );
    }

    #[test]
    fn an_output_without_call_is_left_out() {
        check_request(
            vec![output("x"), call("a"), output("a")],
            &[("call", "a"), ("out", "a")],
        );
    }

    #[test]
    fn pushed_items_are_stamped_once() {
        let turn = TurnId::generate();
        let mut history = History::default();
        let item = history.push(
            output("a"),
            turn,
            UNIX_EPOCH + std::time::Duration::from_millis(1500),
        );
        let mut item = (*item).clone();
        assert!(item.id().is_some_and(|id| id.starts_with("fco_")));
        let metadata = item
            .metadata_mut()
            .cloned()
            .flatten()
            .expect("metadata was stamped");
        assert_eq!(metadata.turn_id, Some(turn.to_string()));
        assert_eq!(metadata.create_time, Some(1.5));
    }
}
