//! The blob `x-codex-turn-metadata`: fields in the order existing clients send them, absent rather than null.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use super::{RequestKind, RequestSnapshot, unix_ms};

/// The only agent of a thread, until agents have names.
const ROOT_AGENT: &str = "/root";

impl RequestSnapshot {
    /// The blob as ASCII JSON: it travels in a header, where other bytes get lost.
    pub fn turn_metadata(&self) -> String {
        let text = serde_json::to_string(self).expect("a snapshot has only string keys");
        if text.is_ascii() {
            text
        } else {
            escape_non_ascii(&text)
        }
    }

    /// What MCP calls carry: no installation id, no window, no request kind.
    pub fn mcp_metadata(&self, version: &str) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or(Value::Null);
        if let Some(fields) = value.as_object_mut() {
            for hidden in [
                "installation_id",
                "window_id",
                "window_number",
                "context_window_id",
                "request_kind",
                "history_initialization",
                "agent_name",
                "root_turn_id",
                "analytics_enabled",
            ] {
                fields.shift_remove(hidden);
            }
            fields.insert(
                "codex_version".to_owned(),
                Value::String(version.to_owned()),
            );
        }
        value
    }

    /// Client extras and our own two, sorted by key. A compaction says neither model nor effort.
    fn all_extras(&self) -> BTreeMap<&str, Value> {
        let mut extras: BTreeMap<&str, Value> = self
            .extras
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        if matches!(self.kind, RequestKind::Compaction(_)) {
            return extras;
        }
        extras.insert("model", Value::String(self.model.clone()));
        if let Some(effort) = &self.reasoning_effort {
            extras.insert("reasoning_effort", Value::String(effort.clone()));
        }
        extras
    }

    fn serialize_identity<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let identity = &self.identity;
        map.serialize_entry("installation_id", &identity.installation_id)?;
        map.serialize_entry("session_id", &identity.session_id)?;
        map.serialize_entry("thread_id", &identity.thread_id)?;
        map.serialize_entry("agent_name", ROOT_AGENT)?;
        map.serialize_entry("turn_id", &self.turn_id_text())?;
        map.serialize_entry("window_id", &identity.window())?;
        map.serialize_entry("window_number", &identity.window_number)?;
        map.serialize_entry("context_window_id", &identity.context_window_id)
    }

    fn serialize_lineage<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let lineage = &self.identity.lineage;
        if let Some(fork) = &lineage.forked_from {
            map.serialize_entry("forked_from_thread_id", &fork.thread_id)?;
            if let Some(ordinal) = fork.ordinal_exclusive {
                map.serialize_entry("forked_from_ordinal_exclusive", &ordinal)?;
            }
        }
        if let Some(parent) = &lineage.parent_thread_id {
            map.serialize_entry("parent_thread_id", parent)?;
        }
        if let Some(turn) = &self.turn {
            if let Some(parent) = &turn.parent {
                map.serialize_entry("parent_turn_id", &parent.turn_id)?;
            }
            map.serialize_entry("root_turn_id", &turn.root())?;
        }
        if let Some(kind) = &lineage.subagent {
            map.serialize_entry("subagent_kind", kind.label())?;
        }
        Ok(())
    }
}

impl Serialize for RequestSnapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.kind != RequestKind::Memory {
            self.serialize_identity(&mut map)?;
        }
        map.serialize_entry("request_kind", self.kind.as_str())?;
        map.serialize_entry("history_initialization", &self.history_initialization)?;
        self.serialize_lineage(&mut map)?;
        if let Some(source) = &self.identity.thread_source {
            map.serialize_entry("thread_source", source)?;
        }
        if let Some(trigger) = self.turn.as_ref().and_then(|turn| turn.trigger.as_ref()) {
            map.serialize_entry("turn_trigger", trigger)?;
        }
        map.serialize_entry("sandbox", self.sandbox)?;
        map.serialize_entry("sandbox_mode", &self.sandbox_mode)?;
        map.serialize_entry("auto_review_enabled", &false)?;
        let node_repl = self.node_repl;
        map.serialize_entry(
            "node_repl_auto_review_required",
            &node_repl.auto_review_required,
        )?;
        map.serialize_entry("node_repl_disabled", &node_repl.disabled)?;
        if !self.workspaces.is_empty() {
            map.serialize_entry("workspaces", &self.workspaces)?;
        }
        if let Some(turn) = &self.turn {
            map.serialize_entry("turn_started_at_unix_ms", &unix_ms(turn.started_at))?;
        }
        map.serialize_entry("analytics_enabled", &self.analytics_enabled)?;
        if let RequestKind::Compaction(compaction) = &self.kind {
            map.serialize_entry("compaction", compaction)?;
        }
        for (key, value) in self.all_extras() {
            map.serialize_entry(key, &value)?;
        }
        map.end()
    }
}

fn escape_non_ascii(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len() + 32);
    for c in text.chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{unit:04x}").expect("writing to a string cannot fail");
            }
        }
    }
    escaped
}
