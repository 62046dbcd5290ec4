//! Hand-written thread files.

use std::path::{Path, PathBuf};

use dovetail_core::item::{ContentItem, ResponseItem};
use dovetail_store::LoadedThread;
use serde_json::{Value, json};

pub(crate) const A: &str = "01a1fb58-2811-7ea0-9e27-e6be064a83e5";
pub(crate) const B: &str = "01a1fb5a-c45c-75a1-8854-1c7fcf0989f6";
pub(crate) const C: &str = "01a1fb5a-d0d4-78d3-b3bc-1b53eafbc72d";
const TIME: &str = "2026-11-20T23:43:41.091Z";

/// A home with nothing in it.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a thread's file of one day.
    pub(crate) fn write(&self, name: &str, lines: &[Value]) -> PathBuf {
        let day = self.path().join("sessions/2026/11/20");
        std::fs::create_dir_all(&day).expect("directories");
        let path = day.join(format!("rollout-2026-11-20T23-43-41-{name}.jsonl"));
        std::fs::write(&path, text(lines)).expect("a file");
        path
    }

    /// A thread with numbered lines.
    pub(crate) fn thread(&self, id: &str, lines: &[Value]) -> PathBuf {
        self.write(id, &numbered(0, &[&[meta(id, json!({}))], lines].concat()))
    }
}

pub(crate) fn text(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Lines with ordinals from a first one on.
pub(crate) fn numbered(first: usize, lines: &[Value]) -> Vec<Value> {
    let numbered = lines.iter().zip(first..).map(|(line, ordinal)| {
        let mut line = line.clone();
        line["ordinal"] = json!(ordinal);
        line
    });
    numbered.collect()
}

pub(crate) fn line(kind: &str, payload: Value) -> Value {
    json!({"timestamp": TIME, "type": kind, "payload": payload})
}

pub(crate) fn meta(id: &str, more: Value) -> Value {
    let mut payload = json!({"id": id, "cwd": "/p", "source": "exec", "history_mode": "paginated"});
    let more = more.as_object().expect("an object").clone();
    payload.as_object_mut().expect("an object").extend(more);
    line("session_meta", payload)
}

pub(crate) fn message(role: &str, text: &str) -> Value {
    json!({"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]})
}

pub(crate) fn said(role: &str, text: &str) -> Value {
    line("response_item", message(role, text))
}

pub(crate) fn event(kind: &str) -> Value {
    line("event_msg", json!({"type": kind}))
}

/// A whole turn of four lines.
pub(crate) fn turn(text: &str) -> Vec<Value> {
    vec![
        line(
            "event_msg",
            json!({"type": "task_started", "turn_id": format!("turn-{text}")}),
        ),
        said("user", text),
        said("assistant", &text.to_uppercase()),
        event("task_complete"),
    ]
}

pub(crate) fn turns(texts: &[&str]) -> Vec<Value> {
    texts.iter().flat_map(|text| turn(text)).collect()
}

/// The first text of each item.
pub(crate) fn texts(thread: &LoadedThread) -> Vec<&str> {
    thread.items.iter().map(first_text).collect()
}

fn first_text(item: &ResponseItem) -> &str {
    match item {
        ResponseItem::Message { content, .. } => match &content[..] {
            [
                ContentItem::InputText { text } | ContentItem::OutputText { text },
                ..,
            ] => text,
            _ => "",
        },
        _ => "",
    }
}
