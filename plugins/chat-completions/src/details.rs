//! Reasoning as gateways pass it on from several vendors: a list of pieces, readable or not, that has to come back with the
//! calls that it led to.

use serde_json::{Map, Value, json};

/// Texts that come in pieces.
const TEXTS: [&str; 3] = ["text", "summary", "data"];

/// What tells a piece of one entry from that of another.
const MARKS: [&str; 3] = ["type", "index", "id"];

/// The list of one answer, as far as it has come.
#[derive(Debug, Default)]
pub(crate) struct Details(Vec<Map<String, Value>>);

impl Details {
    /// Adds a piece, to the last entry where it goes on with that.
    pub(crate) fn add(&mut self, piece: &Map<String, Value>) {
        match self.0.last_mut().filter(|last| goes_on(last, piece)) {
            Some(last) => join(last, piece),
            None => self.0.push(piece.clone()),
        }
    }

    /// The whole list; none where there was nothing.
    pub(crate) fn take(&mut self) -> Option<Value> {
        let entries = std::mem::take(&mut self.0);
        (!entries.is_empty()).then(|| json!(entries))
    }
}

fn goes_on(last: &Map<String, Value>, piece: &Map<String, Value>) -> bool {
    // Without a number every piece is an entry: nothing else says where one ends.
    let counted = piece.get("index").is_some_and(Value::is_number);
    let given =
        |of: &Map<String, Value>, key: &str| of.get(key).filter(|it| !it.is_null()).cloned();
    counted
        && MARKS.iter().all(|key| {
            let (old, new) = (given(last, key), given(piece, key));
            old == new || *key == "id" && (old.is_none() || new.is_none())
        })
}

fn join(last: &mut Map<String, Value>, piece: &Map<String, Value>) {
    for (key, value) in piece {
        match (last.get_mut(key), value) {
            (_, Value::Null) => {}
            (Some(Value::String(old)), Value::String(more)) if TEXTS.contains(&key.as_str()) => {
                old.push_str(more);
            }
            _ => {
                last.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: Value, expected: Option<Value>) {
        let mut details = Details::default();
        for piece in pieces.as_array().expect("pieces") {
            details.add(piece.as_object().expect("an object"));
        }
        assert_eq!(details.take(), expected);
    }

    #[test]
    fn pieces_of_an_entry_are_put_together() {
        check(
            json!([
                { "type": "reasoning.text", "index": 0, "text": "let ", "signature": null, "format": "f" },
                { "type": "reasoning.text", "index": 0, "text": "me", "id": "r1" },
                { "type": "reasoning.text", "index": 0, "text": "", "signature": "S" },
                { "type": "reasoning.encrypted", "index": 0, "data": "AA" },
                { "type": "reasoning.encrypted", "index": 1, "data": "BB" },
            ]),
            Some(json!([
                { "type": "reasoning.text", "index": 0, "text": "let me", "signature": "S", "format": "f", "id": "r1" },
                { "type": "reasoning.encrypted", "index": 0, "data": "AA" },
                { "type": "reasoning.encrypted", "index": 1, "data": "BB" },
            ])),
        );
    }

    #[test]
    fn what_is_not_counted_stays_apart() {
        let apart = json!([{ "type": "t", "data": "A" }, { "type": "t", "data": "B" }]);
        check(apart.clone(), Some(apart));
        check(json!([]), None);
    }
}
