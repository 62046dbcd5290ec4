//! Event records as lines of JSON: the form in which an outbox keeps what a sink did not take.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use dovetail_core::ids::{ThreadId, TurnId};
use dovetail_core::plugin::{EventRecord, Field, FieldClass, FieldValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::capability::{class_name, class_named};
use crate::convert::unix_ms;

/// Names of fields are few and fixed in the program. A file that holds more is not ours, and each costs memory for
/// good.
const MOST_NAMES: usize = 1024;
const MOST_NAME: usize = 64;

#[derive(Serialize, Deserialize)]
struct Line {
    breaks: u32,
    id: String,
    sequence: u64,
    kind: String,
    version: u32,
    time_unix_ms: u64,
    thread_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turn_id: Option<String>,
    fields: Vec<LineField>,
}

#[derive(Serialize, Deserialize)]
struct LineField {
    name: String,
    class: String,
    value: LineValue,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LineValue {
    Text(String),
    Int(i64),
    /// None for what JSON has no number for.
    Float(Option<f64>),
    Bool(bool),
    Json(Value),
}

/// Writes a record as one line, with the fields of these classes and the basic ones. `breaks` counts how
/// often its sink broke over it.
pub(crate) fn write(record: &EventRecord, breaks: u32, classes: &[FieldClass]) -> String {
    let kept = |field: &&Field| field.class == FieldClass::Basic || classes.contains(&field.class);
    let line = Line {
        breaks,
        id: record.id.clone(),
        sequence: record.sequence,
        kind: record.kind.clone(),
        version: record.version,
        time_unix_ms: unix_ms(record.time),
        thread_id: record.thread_id.to_string(),
        turn_id: record.turn_id.map(|id| id.to_string()),
        fields: record.fields.iter().filter(kept).map(line_field).collect(),
    };
    let mut text = serde_json::to_string(&line).expect("a line has text keys and no failing parts");
    text.push('\n');
    text
}

/// Reads a line back with its breaks; none for one that is damaged.
pub(crate) fn read(text: &str) -> Option<(EventRecord, u32)> {
    let line: Line = serde_json::from_str(text).ok()?;
    let fields = line.fields.into_iter().map(field).collect::<Option<_>>()?;
    let turn_id = match line.turn_id {
        Some(id) => Some(TurnId::parse(&id).ok()?),
        None => None,
    };
    let record = EventRecord {
        id: line.id,
        sequence: line.sequence,
        kind: line.kind,
        version: line.version,
        time: UNIX_EPOCH.checked_add(Duration::from_millis(line.time_unix_ms))?,
        thread_id: ThreadId::parse(&line.thread_id).ok()?,
        turn_id,
        fields,
    };
    Some((record, line.breaks))
}

fn line_field(field: &Field) -> LineField {
    let value = match &field.value {
        FieldValue::Text(text) => LineValue::Text(text.clone()),
        FieldValue::Int(number) => LineValue::Int(*number),
        FieldValue::Float(number) => LineValue::Float(number.is_finite().then_some(*number)),
        FieldValue::Bool(yes) => LineValue::Bool(*yes),
        FieldValue::Json(value) => LineValue::Json(value.clone()),
    };
    LineField {
        name: field.name.to_owned(),
        class: class_name(field.class).to_owned(),
        value,
    }
}

fn field(line: LineField) -> Option<Field> {
    let value = match line.value {
        LineValue::Text(text) => FieldValue::Text(text),
        LineValue::Int(number) => FieldValue::Int(number),
        LineValue::Float(number) => FieldValue::Float(number.unwrap_or(f64::NAN)),
        LineValue::Bool(yes) => FieldValue::Bool(yes),
        LineValue::Json(value) => FieldValue::Json(value),
    };
    Some(Field {
        name: intern(line.name)?,
        class: class_named(&line.class)?,
        value,
    })
}

/// The one copy of a field's name that lives as long as the program; none past a bound that only a file that is not
/// ours can reach.
fn intern(name: String) -> Option<&'static str> {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    // Nothing panics while holding the lock; a set of names is usable in any state.
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if let Some(known) = names.get(name.as_str()) {
        return Some(known);
    }
    if names.len() >= MOST_NAMES || name.len() > MOST_NAME {
        return None;
    }
    let name: &'static str = name.leak();
    names.insert(name);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> EventRecord {
        let field = |name, class, value| Field { name, class, value };
        EventRecord {
            id: "evt_1".to_owned(),
            sequence: 7,
            kind: "tool.finished".to_owned(),
            version: 1,
            time: UNIX_EPOCH + Duration::from_millis(1_763_000_000_123),
            thread_id: ThreadId::generate(),
            turn_id: Some(TurnId::generate()),
            fields: vec![
                field("ok", FieldClass::Basic, FieldValue::Bool(true)),
                field("count", FieldClass::Basic, FieldValue::Int(-3)),
                field("ratio", FieldClass::Basic, FieldValue::Float(0.1)),
                field(
                    "prompt",
                    FieldClass::Content,
                    FieldValue::Text("a\n\"b\" ü".to_owned()),
                ),
                field(
                    "args",
                    FieldClass::Content,
                    FieldValue::Json(serde_json::json!({"x": [1]})),
                ),
                field(
                    "cwd",
                    FieldClass::Location,
                    FieldValue::Text("/home".to_owned()),
                ),
            ],
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let record = record();
        let text = write(&record, 2, &[FieldClass::Content, FieldClass::Location]);
        assert_eq!(text.matches('\n').count(), 1);
        assert_eq!(read(text.trim_end()), Some((record, 2)));
    }

    #[test]
    fn fields_of_other_classes_are_not_written() {
        let text = write(&record(), 0, &[FieldClass::Location]);
        assert!(!text.contains("prompt") && text.contains("/home"), "{text}");
    }

    #[test]
    fn damage_is_no_record() {
        let whole = write(&record(), 0, &[]);
        for text in [
            "",
            "{}",
            "null",
            &whole[..whole.len() / 2],
            &whole.replace("basic", "other"),
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
