//! What two JSON values differ in, place by place, so that each difference can be looked up in a list of known ones.

use serde_json::Value;

/// A difference between two values.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Where: keys with dots between them, elements of lists by what they are: `body.tools[function view_image]`.
    pub place: String,
    /// What is there; none where there is nothing.
    pub theirs: Option<Value>,
    /// What is here; none where there is nothing.
    pub ours: Option<Value>,
}

/// All differences. Elements of lists are matched by what they are rather than by their number, keys of objects must be
/// in the same order, and a text of theirs that ends with `…` stands for all texts that begin like it.
pub fn changes(theirs: &Value, ours: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(String::new(), theirs, ours, &mut changes);
    changes
}

fn compare(place: String, theirs: &Value, ours: &Value, changes: &mut Vec<Change>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let inner = |key: &str| match place.as_str() {
                "" => key.to_owned(),
                place => format!("{place}.{key}"),
            };
            for (key, value) in theirs {
                match ours.get(key) {
                    Some(other) => compare(inner(key), value, other, changes),
                    None => changes.push(Change::new(inner(key), Some(value), None)),
                }
            }
            for (key, value) in ours.iter().filter(|(key, _)| !theirs.contains_key(*key)) {
                changes.push(Change::new(inner(key), None, Some(value)));
            }
            let common = |one: &serde_json::Map<String, Value>,
                          other: &serde_json::Map<String, Value>| {
                let keys = one.keys().filter(|key| other.contains_key(*key));
                keys.cloned().collect::<Vec<String>>()
            };
            let orders = (common(theirs, ours), common(ours, theirs));
            if orders.0 != orders.1 {
                let (theirs, ours) = (Value::from(orders.0), Value::from(orders.1));
                changes.push(Change::new(inner("#order"), Some(&theirs), Some(&ours)));
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            for (label, one, other) in matched(theirs, ours) {
                let place = format!("{place}[{label}]");
                match (one, other) {
                    (Some(one), Some(other)) => compare(place, one, other, changes),
                    (one, other) => changes.push(Change::new(place, one, other)),
                }
            }
        }
        (Value::String(theirs), Value::String(ours)) if begins_like(theirs, ours) => {}
        (theirs, ours) if theirs == ours => {}
        (theirs, ours) => changes.push(Change::new(place, Some(theirs), Some(ours))),
    }
}

impl Change {
    fn new(place: String, theirs: Option<&Value>, ours: Option<&Value>) -> Self {
        Self {
            place,
            theirs: theirs.cloned(),
            ours: ours.cloned(),
        }
    }
}

fn begins_like(theirs: &str, ours: &str) -> bool {
    theirs
        .strip_suffix('…')
        .is_some_and(|start| ours.starts_with(start))
}

type Matched<'v> = (String, Option<&'v Value>, Option<&'v Value>);

/// Pairs the elements of two lists, along the longest sequence of labels that both have.
fn matched<'v>(theirs: &'v [Value], ours: &'v [Value]) -> Vec<Matched<'v>> {
    let labels = |values: &[Value]| values.iter().map(label).collect::<Vec<String>>();
    let (left, right) = (labels(theirs), labels(ours));
    // `common[i][j]` is the length of that sequence from `i` and `j` on.
    let mut common = vec![vec![0_usize; right.len() + 1]; left.len() + 1];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            common[i][j] = if left[i] == right[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < left.len() || j < right.len() {
        if i < left.len() && j < right.len() && left[i] == right[j] {
            pairs.push((left[i].clone(), Some(&theirs[i]), Some(&ours[j])));
            (i, j) = (i + 1, j + 1);
        } else if j == right.len() || (i < left.len() && common[i + 1][j] >= common[i][j + 1]) {
            pairs.push((left[i].clone(), Some(&theirs[i]), None));
            i += 1;
        } else {
            pairs.push((right[j].clone(), None, Some(&ours[j])));
            j += 1;
        }
    }
    pairs
}

/// What an element is, in words.
fn label(value: &Value) -> String {
    let Some(fields) = value.as_object() else {
        return value.as_str().map_or_else(|| "_".to_owned(), str::to_owned);
    };
    let mut words = Vec::new();
    for (part, keys) in [
        (Some(value), &["type", "role", "name", "call_id"][..]),
        (fields.get("item"), &["type", "command"]),
        (fields.get("payload"), &["type", "role", "name"]),
        (
            fields
                .get("payload")
                .and_then(|payload| payload.get("item")),
            &["type"],
        ),
    ] {
        let part = part.and_then(Value::as_object);
        words.extend(
            keys.iter()
                .filter_map(|key| part?.get(*key)?.as_str())
                .map(str::to_owned),
        );
    }
    // Parts of the context are told apart by the tag they begin with.
    let tag = fields.get("text").and_then(Value::as_str).and_then(|text| {
        let end = text.strip_prefix('<')?.find('>')?;
        Some(text[..end + 2].to_owned())
    });
    words.extend(tag);
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(theirs: Value, ours: Value, places: &[&str]) {
        let found: Vec<String> = changes(&theirs, &ours)
            .into_iter()
            .map(|change| change.place)
            .collect();
        assert_eq!(found, places);
    }

    #[test]
    fn values_are_compared_place_by_place() {
        check(json!({"a": {"b": [1]}}), json!({"a": {"b": [1]}}), &[]);
        check(
            json!({"a": {"b": 1, "c": 2}}),
            json!({"a": {"b": 2, "d": 3}}),
            &["a.b", "a.c", "a.d"],
        );
        check(
            json!({"a": 1, "b": 2}),
            json!({"b": 2, "a": 1}),
            &["#order"],
        );
    }

    #[test]
    fn elements_are_matched_by_what_they_are() {
        let function =
            |name: &str, text: &str| json!({"type": "function", "name": name, "text": text});
        let theirs = json!([function("a", "x"), function("b", "x"), function("c", "x")]);
        let ours = json!([function("a", "y"), function("c", "x"), function("d", "x")]);
        check(
            theirs,
            ours,
            &["[function a].text", "[function b]", "[function d]"],
        );
    }

    #[test]
    fn a_text_that_is_cut_stands_for_its_beginning() {
        check(json!("<tag>…"), json!("<tag>all of it</tag>"), &[]);
        check(json!("<tag>…"), json!("<other>"), &[""]);
    }
}
