//! What the history makes of an item that the model said.

use crate::item::ResponseItem;

/// Whether an item of the history is one that was said: the same but for the metadata that it was given, and for its id
/// where it came without one.
pub fn is_kept_form_of(kept: &ResponseItem, said: &ResponseItem) -> bool {
    let (mut kept, mut said) = (kept.clone(), said.clone());
    kept.strip_metadata();
    said.strip_metadata();
    let given = kept.id().filter(|_| said.id().is_none_or(str::is_empty));
    if let Some(given) = given {
        said.set_id(given.to_owned());
    }
    kept == said
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::history::History;
    use crate::ids::TurnId;

    fn item(json: &str) -> ResponseItem {
        serde_json::from_str(json).expect("an item")
    }

    #[test]
    fn what_was_said_is_known_again_in_the_history() {
        for said in [
            r#"{"type":"message","id":"m","role":"assistant","content":[{"type":"output_text","text":"hi"}]}"#,
            r#"{"type":"message","role":"assistant","content":[]}"#,
            r#"{"type":"function_call","id":"","name":"f","arguments":"{}","call_id":"c"}"#,
            r#"{"type":"reasoning","summary":[],"encrypted_content":"x"}"#,
            r#"{"type":"invented","id":"i","more":[1,{"a":null}]}"#,
            r#"{"type":"tool_search_call","call_id":"c"}"#,
        ] {
            let mut history = History::default();
            let kept = history.push(item(said), TurnId::generate(), UNIX_EPOCH);
            assert!(is_kept_form_of(&kept, &item(said)), "{said}");
        }
    }

    #[test]
    fn another_item_is_another() {
        let said = item(r#"{"type":"message","id":"m","role":"assistant","content":[]}"#);
        for other in [
            r#"{"type":"message","id":"n","role":"assistant","content":[]}"#,
            r#"{"type":"message","id":"m","role":"assistant","content":[{"type":"output_text","text":"hi"}]}"#,
            r#"{"type":"message","id":"m","role":"assistant","phase":"commentary","content":[]}"#,
        ] {
            assert!(!is_kept_form_of(&item(other), &said), "{other}");
        }
    }
}
