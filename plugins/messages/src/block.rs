//! Content as blocks, and the seals that carry thinking from a response to the next request.

use dovetail_plugin_api::wire::{Part, Thought};
use serde_json::{Value, json};

/// A signature follows; the text is in the open.
const SIGNED: &str = "messages:signed:";
/// What follows is all there is: thinking that the service keeps to itself.
const REDACTED: &str = "messages:redacted:";

/// The seal of thinking with this signature.
pub(crate) fn signed(signature: &str) -> String {
    format!("{SIGNED}{signature}")
}

/// The seal of thinking that nobody can read.
pub(crate) fn redacted(data: &str) -> String {
    format!("{REDACTED}{data}")
}

/// Thinking as the service wants it back: exactly as it came. None for what another wire made.
pub(crate) fn thinking(thought: &Thought) -> Option<Value> {
    let seal = thought.seal.as_deref()?;
    if let Some(signature) = seal.strip_prefix(SIGNED) {
        return Some(
            json!({ "type": "thinking", "thinking": thought.text, "signature": signature }),
        );
    }
    let data = seal.strip_prefix(REDACTED)?;
    Some(json!({ "type": "redacted_thinking", "data": data }))
}

/// A text block; none for what is blank, which the service refuses.
pub(crate) fn text(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({ "type": "text", "text": text }))
}

/// Content of a user or of a tool.
pub(crate) fn content(parts: &[Part]) -> Vec<Value> {
    parts.iter().filter_map(part).collect()
}

fn part(part: &Part) -> Option<Value> {
    match part {
        Part::Text(words) => text(words),
        Part::Image { url, .. } => Some(json!({ "type": "image", "source": source(url) })),
        Part::Audio(_) => text("(sound, which this service does not take)"),
    }
}

fn source(url: &str) -> Value {
    let inline = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"));
    match inline {
        Some((media_type, data)) => {
            json!({ "type": "base64", "media_type": media_type, "data": data })
        }
        None => json!({ "type": "url", "url": url }),
    }
}

/// Ids may have letters, digits, `_` and `-`; those of other services may have more.
pub(crate) fn tool_id(id: &str) -> String {
    let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    id.chars()
        .map(|c| if usable(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinking_goes_back_as_it_came_and_that_of_others_does_not() {
        let thought = |seal: Option<String>| Thought {
            text: "hm".to_owned(),
            seal,
            at: 0,
        };
        assert_eq!(
            thinking(&thought(Some(signed("S")))),
            Some(json!({ "type": "thinking", "thinking": "hm", "signature": "S" }))
        );
        assert_eq!(
            thinking(&thought(Some(redacted("D")))),
            Some(json!({ "type": "redacted_thinking", "data": "D" }))
        );
        assert_eq!(thinking(&thought(Some("gAAAA".to_owned()))), None);
        assert_eq!(thinking(&thought(None)), None);
    }

    #[test]
    fn images_are_inline_or_addresses() {
        assert_eq!(
            source("data:image/png;base64,AA=="),
            json!({ "type": "base64", "media_type": "image/png", "data": "AA==" })
        );
        assert_eq!(
            source("https://a.example/x.png"),
            json!({ "type": "url", "url": "https://a.example/x.png" })
        );
    }

    #[test]
    fn ids_of_others_become_usable() {
        assert_eq!(tool_id("call_1-a"), "call_1-a");
        assert_eq!(tool_id("functions.f:0"), "functions_f_0");
    }
}
