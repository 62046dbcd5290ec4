//! Sinks: a batch in, an answer out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use dovetail_core::ids::{ThreadId, TurnId};
use dovetail_core::plugin::{Ack, EventRecord, Field, FieldClass, FieldValue, Sink};
use dovetail_runtime::capability::class_name;
use serde::Deserialize;
use serde_json::Value;

use crate::report::Report;
use crate::table::Placed;
use crate::text::{Text, differs};
use crate::timing::{Times, fault};

/// The largest batch that the host sends.
const BATCH: usize = 100;
/// How many such batches are sent for the times.
const BATCHES: usize = 10;

/// `[[sink]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkCase {
    pub(crate) name: Option<String>,
    #[serde(default)]
    events: Vec<EventSpec>,
    expect: Expected,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventSpec {
    kind: String,
    id: Option<String>,
    /// Fields that every sink gets.
    #[serde(default)]
    fields: BTreeMap<String, Value>,
    /// Fields of class `content`, which it gets where it asks for them.
    #[serde(default)]
    content: BTreeMap<String, Value>,
    /// Fields of class `location`.
    #[serde(default)]
    location: BTreeMap<String, Value>,
    /// Fields of class `identity`.
    #[serde(default)]
    identity: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expected {
    ack: Option<Answer>,
    /// The ids that it can never take.
    rejected: Option<Vec<String>>,
    error: Option<Text>,
    /// What files in the working directory hold afterwards.
    files: BTreeMap<String, Text>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Accepted,
    Retry,
    Reject,
}

/// Gives a sink batches of every sort.
pub(crate) async fn probe(sink: &dyn Sink, limit: Duration, report: &mut Report) {
    let subscription = sink.subscription();
    let classes: Vec<&str> = subscription
        .classes
        .iter()
        .map(|class| class_name(*class))
        .collect();
    report.facts.push(format!(
        "wants {} with fields of class {}",
        subscription.kinds.join(", "),
        classes.join(", ")
    ));
    if subscription.kinds.is_empty() {
        report.find("subscriptions", "it wants no events, so it gets none");
    }
    if let Err(error) = sink.open().await {
        report.find("open", error.to_string());
        return;
    }
    let mut times = Times::default();
    let batch: Vec<Arc<EventRecord>> = (0..BATCH as u64).map(|at| Arc::new(plain(at))).collect();
    for _ in 0..BATCHES {
        // The same ids over and over: delivery is at least once.
        let answer = times.of(sink.deliver(&batch)).await;
        if let Some(fault) = fault(&answer) {
            report.find("deliver", fault.to_string());
            return;
        }
    }
    report.time("deliver (100 events)", &times, limit);
    for (what, events) in odd_batches() {
        if let Some(fault) = fault(&sink.deliver(&events).await) {
            report.find("deliver", format!("{what}: {fault}"));
        }
    }
}

/// Says goodbye, as the host does at its end.
pub(crate) async fn farewell(sink: &dyn Sink, report: &mut Report) {
    if let Err(error) = sink.close().await {
        report.find("close", error.to_string());
    }
}

fn odd_batches() -> Vec<(&'static str, Vec<Arc<EventRecord>>)> {
    let with = |value| {
        let field = Field {
            name: "x",
            class: FieldClass::Basic,
            value,
        };
        let fields = vec![field];
        vec![Arc::new(EventRecord { fields, ..plain(0) })]
    };
    vec![
        ("an empty batch", Vec::new()),
        ("a number that is none", with(FieldValue::Float(f64::NAN))),
        ("the least number", with(FieldValue::Int(i64::MIN))),
        (
            "a text of 100,000 characters",
            with(FieldValue::Text("x".repeat(100_000))),
        ),
        (
            "control characters",
            with(FieldValue::Text("\u{0}\n\u{1b}[2J\u{202e}".to_owned())),
        ),
        (
            "a document",
            with(FieldValue::Json(
                serde_json::json!({ "a": [null, { "b": 1 }] }),
            )),
        ),
    ]
}

fn plain(at: u64) -> EventRecord {
    EventRecord {
        id: format!("evt_{at}"),
        sequence: at,
        kind: "turn.started".to_owned(),
        version: 1,
        time: UNIX_EPOCH + Duration::from_secs(1_767_225_600),
        thread_id: ThreadId::generate(),
        turn_id: Some(TurnId::generate()),
        fields: vec![Field {
            name: "context_window",
            class: FieldClass::Basic,
            value: FieldValue::Int(1),
        }],
    }
}

/// Runs a case. Says how it differs from what is expected, if it does.
pub(crate) async fn run(sink: &dyn Sink, placed: &Placed<SinkCase>, cwd: &Path) -> Option<String> {
    let expected = &placed.case.expect;
    let events: Vec<Arc<EventRecord>> = placed
        .case
        .events
        .iter()
        .zip(0..)
        .map(|(spec, at)| Arc::new(spec.event(at)))
        .collect();
    let (found, rejected) = match sink.deliver(&events).await {
        Ok(Ack::Accepted) => (Answer::Accepted, Vec::new()),
        Ok(Ack::Retry(_)) => (Answer::Retry, Vec::new()),
        Ok(Ack::Reject(ids)) => (Answer::Reject, ids),
        Err(error) => {
            let words = error.to_string();
            return match &expected.error {
                Some(expected) => expected.differs("error", &words),
                None => Some(format!("it fails: {words}")),
            };
        }
    };
    if expected.error.is_some() {
        return Some(format!("it answers {found:?}, and an error is expected"));
    }
    if let Some(ack) = expected.ack
        && ack != found
    {
        return Some(format!("it answers {found:?}, expected {ack:?}"));
    }
    if let Some(ids) = &expected.rejected
        && *ids != rejected
    {
        return Some(format!("it rejects {rejected:?}, expected {ids:?}"));
    }
    expected.files.iter().find_map(|(file, text)| {
        let found = std::fs::read_to_string(cwd.join(file)).ok();
        differs(Some(text), &format!("file `{file}`"), found.as_deref())
    })
}

impl EventSpec {
    fn event(&self, at: u64) -> EventRecord {
        let groups = [
            (FieldClass::Basic, &self.fields),
            (FieldClass::Content, &self.content),
            (FieldClass::Location, &self.location),
            (FieldClass::Identity, &self.identity),
        ];
        let fields = groups.into_iter().flat_map(|(class, fields)| {
            fields.iter().map(move |(name, value)| Field {
                // Names of fields live as long as the program; a table has few.
                name: name.clone().leak(),
                class,
                value: field_value(value),
            })
        });
        EventRecord {
            id: self.id.clone().unwrap_or_else(|| format!("evt_{at}")),
            kind: self.kind.clone(),
            fields: fields.collect(),
            ..plain(at)
        }
    }
}

fn field_value(value: &Value) -> FieldValue {
    match value {
        Value::String(text) => FieldValue::Text(text.clone()),
        Value::Bool(yes) => FieldValue::Bool(*yes),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => FieldValue::Int(whole),
            (None, any) => FieldValue::Float(any.unwrap_or(f64::NAN)),
        },
        other => FieldValue::Json(other.clone()),
    }
}
