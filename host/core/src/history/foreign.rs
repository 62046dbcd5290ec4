//! What only its maker can read: encrypted reasoning and compactions are of use to the provider, and often the account,
//! that made them. Another one refuses the whole request because of them.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::item::{ContentItem, ResponseItem};

/// Which provider each turn of a thread ran with.
#[derive(Debug, Clone, Default)]
pub struct ProviderTrail {
    first: Option<Arc<str>>,
    turns: HashMap<String, Arc<str>>,
    /// Of items that do not say their turn.
    items: HashMap<String, Arc<str>>,
}

impl ProviderTrail {
    /// Starts with the provider that the thread was made for, if that is known.
    pub fn new(first: Option<&str>) -> Self {
        Self {
            first: first.filter(|id| !id.is_empty()).map(Arc::from),
            turns: HashMap::new(),
            items: HashMap::new(),
        }
    }

    /// Notes the provider that made what a compaction left, where nobody else did before.
    pub fn compacted(&mut self, items: &[ResponseItem], provider: &Arc<str>) {
        let nameless = items.iter().filter(|item| item.turn_id().is_none());
        for id in nameless.filter_map(ResponseItem::id) {
            self.items
                .entry(id.to_owned())
                .or_insert_with(|| Arc::clone(provider));
        }
    }

    /// Notes the provider of a turn.
    pub fn ran(&mut self, turn_id: &str, provider: &Arc<str>) {
        self.turns.insert(turn_id.to_owned(), Arc::clone(provider));
    }
}

/// What is left of an item for those who cannot decrypt it.
pub(super) enum Unsealed {
    /// All of it.
    Same,
    /// Nothing of use.
    Nothing,
    /// A note in its place.
    Instead(Box<ResponseItem>),
}

/// What the model reads in the place of a compaction that its provider cannot read.
const LOST_COMPACTION: &str = "<earlier_conversation_unavailable>\nAn earlier part of this conversation was condensed by another provider in a form that cannot be read here. Ask for what you need of it.\n</earlier_conversation_unavailable>";

/// Leaves out what was made by another provider and can be read by nobody else. A turn whose provider is not known
/// counts as the one before it.
pub(super) fn readable(
    items: Vec<ResponseItem>,
    trail: &ProviderTrail,
    provider: &str,
) -> Vec<ResponseItem> {
    let all_own = trail.first.as_deref().is_none_or(|first| first == provider)
        && trail.turns.values().all(|ran| &**ran == provider)
        && trail.items.values().all(|made| &**made == provider);
    if all_own {
        return items;
    }
    let mut maker = trail.first.clone();
    let mut kept = Vec::with_capacity(items.len());
    for item in items {
        let ran = item.turn_id().and_then(|turn| trail.turns.get(turn));
        let made = || trail.items.get(item.id()?);
        if let Some(known) = ran.or_else(made) {
            maker = Some(Arc::clone(known));
        }
        if maker.as_deref().is_none_or(|maker| maker == provider) {
            kept.push(item);
            continue;
        }
        match unsealed(&item) {
            // An item of a type of its own making means nothing to others.
            Unsealed::Same if item.is_known() => kept.push(item),
            Unsealed::Same | Unsealed::Nothing => {}
            Unsealed::Instead(note) => kept.push(*note),
        }
    }
    kept
}

/// What is left of an item without what is encrypted in it.
pub(super) fn unsealed(item: &ResponseItem) -> Unsealed {
    match item {
        ResponseItem::Reasoning {
            encrypted_content, ..
        } if encrypted_content
            .as_ref()
            .is_some_and(|text| !text.is_empty()) =>
        {
            Unsealed::Nothing
        }
        ResponseItem::Other(fields) => match ResponseItem::other_kind(fields) {
            "compaction" | "compaction_summary" | "context_compaction"
                if fields
                    .get("encrypted_content")
                    .is_some_and(Value::is_string) =>
            {
                Unsealed::Instead(Box::new(lost_compaction(item)))
            }
            "agent_message" if has_encrypted_part(fields.get("content")) => Unsealed::Nothing,
            _ => Unsealed::Same,
        },
        ResponseItem::Message { .. }
        | ResponseItem::Reasoning { .. }
        | ResponseItem::FunctionCall { .. }
        | ResponseItem::FunctionCallOutput { .. }
        | ResponseItem::CustomToolCall { .. }
        | ResponseItem::CustomToolCallOutput { .. }
        | ResponseItem::WebSearchCall { .. } => Unsealed::Same,
    }
}

fn has_encrypted_part(content: Option<&Value>) -> bool {
    content
        .and_then(Value::as_array)
        .is_some_and(|parts| parts.iter().any(|part| part["type"] == "encrypted_content"))
}

/// The note has an id that depends on the item alone, so that caches recognise it although it is kept nowhere.
fn lost_compaction(item: &ResponseItem) -> ResponseItem {
    let id = Uuid::new_v5(
        &Uuid::NAMESPACE_OID,
        item.id().unwrap_or_default().as_bytes(),
    );
    let text = LOST_COMPACTION.to_owned();
    let mut note = ResponseItem::message(
        "developer",
        vec![ContentItem::InputText { text }],
        &["generic.unreadable_compaction"],
    );
    note.set_id(format!("msg_{}", id.hyphenated()));
    note
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(value: Value) -> ResponseItem {
        serde_json::from_value(value).expect("the fixture is an item")
    }

    fn reasoning(turn: &str) -> ResponseItem {
        item(
            json!({"type": "reasoning", "id": format!("rs_{turn}"), "summary": [], "encrypted_content": "ENC",
            "internal_chat_message_metadata_passthrough": {"turn_id": turn}}),
        )
    }

    fn ids(items: &[ResponseItem]) -> Vec<&str> {
        items.iter().filter_map(ResponseItem::id).collect()
    }

    /// A thread that began at `a` and had a turn `t2` at `b`.
    fn trail() -> ProviderTrail {
        let mut trail = ProviderTrail::new(Some("a"));
        trail.ran("t1", &Arc::from("a"));
        trail.ran("t2", &Arc::from("b"));
        trail
    }

    #[test]
    fn each_provider_gets_the_reasoning_that_it_made_itself() {
        let items = || vec![reasoning("t1"), reasoning("t2")];
        assert_eq!(ids(&readable(items(), &trail(), "a")), ["rs_t1"]);
        assert_eq!(ids(&readable(items(), &trail(), "b")), ["rs_t2"]);
        assert_eq!(ids(&readable(items(), &trail(), "c")), Vec::<&str>::new());
    }

    #[test]
    fn reasoning_in_plain_text_stays() {
        let plain = item(json!({"type": "reasoning", "id": "rs_1", "summary": [],
            "content": [{"type": "reasoning_text", "text": "hm"}], "encrypted_content": null}));
        assert_eq!(ids(&readable(vec![plain], &trail(), "c")), ["rs_1"]);
    }

    #[test]
    fn a_foreign_compaction_becomes_a_note_that_is_always_the_same() {
        let compaction =
            || item(json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "ENC"}));
        let first = readable(vec![compaction()], &trail(), "c");
        assert_eq!(first, readable(vec![compaction()], &trail(), "c"));
        let text = serde_json::to_string(&first).expect("items serialize");
        assert!(
            text.contains("condensed by another provider") && !text.contains("ENC"),
            "{text}"
        );
        assert_eq!(readable(vec![compaction()], &trail(), "a"), [compaction()]);
    }

    #[test]
    fn a_compaction_that_says_no_turn_is_that_of_the_provider_that_made_it() {
        let said = item(
            json!({"type": "message", "id": "msg_1", "role": "user", "content": [],
            "internal_chat_message_metadata_passthrough": {"turn_id": "t1"}}),
        );
        let sealed = item(json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "ENC"}));
        let items = vec![said, sealed];
        let mut trail = trail();
        trail.compacted(&items, &Arc::from("b"));
        trail.compacted(&items, &Arc::from("c"));
        assert_eq!(readable(items.clone(), &trail, "b"), items);
        assert_ne!(readable(items.clone(), &trail, "a"), items);
    }

    #[test]
    fn items_of_unknown_types_go_back_to_their_maker_alone() {
        let hologram = || {
            item(json!({"type": "hologram", "id": "h_1", "depth": 3,
                "internal_chat_message_metadata_passthrough": {"turn_id": "t2"}}))
        };
        assert_eq!(readable(vec![hologram()], &trail(), "b"), [hologram()]);
        assert_eq!(readable(vec![hologram()], &trail(), "a"), []);
    }

    #[test]
    fn where_nothing_is_known_nothing_is_left_out() {
        let items = vec![reasoning("t1"), reasoning("t2")];
        assert_eq!(
            readable(items.clone(), &ProviderTrail::default(), "c"),
            items
        );
    }
}
