//! Who asks, for what: one snapshot per request, rendered three ways.
//!
//! The headers, the flat `client_metadata` and the `x-codex-turn-metadata` blob all come from the same value, so they
//! cannot disagree. Client extras enrich the blob and never replace a field of ours.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use crate::ids::{ThreadId, TurnId, WindowId};

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// A turn.
    Turn,
    /// Warming a connection.
    Prewarm,
    /// Compacting.
    Compaction,
}

/// How the conversation in this process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryInitialization {
    /// From nothing.
    New,
    /// From a file.
    ColdResume,
    /// From another thread's file.
    ColdFork,
}

/// Facts about a git work tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WorkspaceFacts {
    /// Remote name to URL, credentials removed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub associated_remote_urls: BTreeMap<String, String>,
    /// The commit that is checked out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_git_commit_hash: Option<String>,
    /// Whether anything is uncommitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_changes: Option<bool>,
}

/// The snapshot.
#[derive(Debug, Clone)]
pub struct RequestSnapshot {
    /// Stable per home directory.
    pub installation_id: String,
    /// The root thread of the session.
    pub session_id: ThreadId,
    /// This thread.
    pub thread_id: ThreadId,
    /// This turn.
    pub turn_id: TurnId,
    /// How many compactions came before.
    pub window_number: u64,
    /// The window's own id.
    pub context_window_id: WindowId,
    /// What the request is for.
    pub request_kind: RequestKind,
    /// How the conversation began.
    pub history_initialization: HistoryInitialization,
    /// `user`, ….
    pub thread_source: Option<String>,
    /// What made the turn: `exec`; none for a plain one.
    pub turn_trigger: Option<String>,
    /// `seccomp` or `none`.
    pub sandbox: &'static str,
    /// `read-only`, ….
    pub sandbox_mode: String,
    /// Git work trees, by root.
    pub workspaces: BTreeMap<String, WorkspaceFacts>,
    /// When the turn began.
    pub turn_started_at: SystemTime,
    /// The model.
    pub model: String,
    /// The effort, where one is sent.
    pub reasoning_effort: Option<String>,
    /// Client extras; reserved names are ignored.
    pub extras: BTreeMap<String, Value>,
}

/// Names that extras can never set: every field of the blob, and the flat keys.
const RESERVED: &[&str] = &[
    "installation_id",
    "session_id",
    "thread_id",
    "agent_name",
    "turn_id",
    "window_id",
    "window_number",
    "context_window_id",
    "request_kind",
    "history_initialization",
    "forked_from_thread_id",
    "forked_from_ordinal_exclusive",
    "parent_thread_id",
    "parent_turn_id",
    "root_turn_id",
    "subagent_kind",
    "thread_source",
    "turn_trigger",
    "sandbox",
    "sandbox_mode",
    "auto_review_enabled",
    "node_repl_auto_review_required",
    "node_repl_disabled",
    "workspaces",
    "tool_namespaces_info",
    "turn_started_at_unix_ms",
    "history_ingest_requested",
    "compaction",
    "analytics_enabled",
    "model",
    "reasoning_effort",
    "x-codex-installation-id",
    "x-codex-window-id",
    "x-codex-turn-metadata",
    "x-codex-parent-thread-id",
    "x-openai-subagent",
    "code_mode_tool_names",
];

/// What existing clients advertise; servers select their behaviour by it.
const BETA_FEATURES: &str = "remote_compaction_v2";

impl RequestSnapshot {
    /// The window as the wire names it.
    pub fn window(&self) -> String {
        format!("{}:{}", self.thread_id, self.window_number)
    }

    /// The compatibility headers, in the order existing clients send them. `x-codex-turn-state`, which is not of the
    /// snapshot, belongs after the first.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let thread = self.thread_id.to_string();
        vec![
            ("x-codex-beta-features", BETA_FEATURES.to_owned()),
            ("x-codex-window-id", self.window()),
            ("x-codex-turn-metadata", self.turn_metadata()),
            ("x-client-request-id", thread.clone()),
            ("session-id", self.session_id.to_string()),
            ("thread-id", thread),
        ]
    }

    /// The flat map. All values are texts.
    pub fn client_metadata(&self) -> Vec<(&'static str, String)> {
        let turn = self.turn_id.to_string();
        vec![
            ("x-codex-installation-id", self.installation_id.clone()),
            ("session_id", self.session_id.to_string()),
            ("thread_id", self.thread_id.to_string()),
            ("turn_id", turn.clone()),
            ("root_turn_id", turn),
            ("x-codex-window-id", self.window()),
            ("x-codex-turn-metadata", self.turn_metadata()),
        ]
    }

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
                "turn_trigger",
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
}

impl Serialize for RequestSnapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("installation_id", &self.installation_id)?;
        map.serialize_entry("session_id", &self.session_id)?;
        map.serialize_entry("thread_id", &self.thread_id)?;
        map.serialize_entry("agent_name", "/root")?;
        map.serialize_entry("turn_id", &self.turn_id)?;
        map.serialize_entry("window_id", &self.window())?;
        map.serialize_entry("window_number", &self.window_number)?;
        map.serialize_entry("context_window_id", &self.context_window_id)?;
        map.serialize_entry("request_kind", &self.request_kind)?;
        map.serialize_entry("history_initialization", &self.history_initialization)?;
        map.serialize_entry("root_turn_id", &self.turn_id)?;
        if let Some(source) = &self.thread_source {
            map.serialize_entry("thread_source", source)?;
        }
        if let Some(trigger) = &self.turn_trigger {
            map.serialize_entry("turn_trigger", trigger)?;
        }
        map.serialize_entry("sandbox", self.sandbox)?;
        map.serialize_entry("sandbox_mode", &self.sandbox_mode)?;
        map.serialize_entry("auto_review_enabled", &false)?;
        map.serialize_entry("node_repl_auto_review_required", &false)?;
        map.serialize_entry("node_repl_disabled", &false)?;
        if !self.workspaces.is_empty() {
            map.serialize_entry("workspaces", &self.workspaces)?;
        }
        map.serialize_entry("turn_started_at_unix_ms", &unix_ms(self.turn_started_at))?;
        map.serialize_entry("analytics_enabled", &false)?;
        for (key, value) in self.all_extras() {
            map.serialize_entry(key, &value)?;
        }
        map.end()
    }
}

impl RequestSnapshot {
    /// Client extras and our own two, sorted by key.
    fn all_extras(&self) -> BTreeMap<&str, Value> {
        let mut extras: BTreeMap<&str, Value> = self
            .extras
            .iter()
            .filter(|(key, _)| !RESERVED.contains(&key.as_str()))
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        extras.insert("model", Value::String(self.model.clone()));
        if let Some(effort) = &self.reasoning_effort {
            extras.insert("reasoning_effort", Value::String(effort.clone()));
        }
        extras
    }
}

/// Milliseconds since 1970; a clock set before then counts as 1970.
pub fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn snapshot() -> RequestSnapshot {
        let thread = ThreadId::parse("01a1fb58-2811-7ea0-9e27-e6be064a83e5").expect("a UUID");
        RequestSnapshot {
            installation_id: "604137cb-7eeb-42a3-aa1f-bcad9330e2e9".to_owned(),
            session_id: thread,
            thread_id: thread,
            turn_id: TurnId::parse("01a1fb58-281e-70a2-86d0-a2fafa391008").expect("a UUID"),
            window_number: 0,
            context_window_id: WindowId::parse("01a1fb58-2813-7c21-83a0-271860cc2021")
                .expect("a UUID"),
            request_kind: RequestKind::Turn,
            history_initialization: HistoryInitialization::New,
            thread_source: Some("user".to_owned()),
            turn_trigger: Some("exec".to_owned()),
            sandbox: "seccomp",
            sandbox_mode: "read-only".to_owned(),
            workspaces: BTreeMap::new(),
            turn_started_at: UNIX_EPOCH + Duration::from_millis(1_795_218_221_090),
            model: "gpt-5.2-codex".to_owned(),
            reasoning_effort: None,
            extras: BTreeMap::new(),
        }
    }

    #[test]
    fn the_blob_is_the_captured_one() {
        assert_eq!(
            snapshot().turn_metadata(),
            r#"{"installation_id":"604137cb-7eeb-42a3-aa1f-bcad9330e2e9","session_id":"01a1fb58-2811-7ea0-9e27-e6be064a83e5","thread_id":"01a1fb58-2811-7ea0-9e27-e6be064a83e5","agent_name":"/root","turn_id":"01a1fb58-281e-70a2-86d0-a2fafa391008","window_id":"01a1fb58-2811-7ea0-9e27-e6be064a83e5:0","window_number":0,"context_window_id":"01a1fb58-2813-7c21-83a0-271860cc2021","request_kind":"turn","history_initialization":"new","root_turn_id":"01a1fb58-281e-70a2-86d0-a2fafa391008","thread_source":"user","turn_trigger":"exec","sandbox":"seccomp","sandbox_mode":"read-only","auto_review_enabled":false,"node_repl_auto_review_required":false,"node_repl_disabled":false,"turn_started_at_unix_ms":1795218221090,"analytics_enabled":false,"model":"gpt-5.2-codex"}"#
        );
    }

    #[test]
    fn extras_enrich_and_never_replace() {
        let mut snapshot = snapshot();
        snapshot.extras.insert("turn_id".to_owned(), "EVIL".into());
        snapshot.extras.insert("a_key".to_owned(), "kept".into());
        let blob: Value =
            serde_json::from_str(&snapshot.turn_metadata()).expect("the blob is JSON");
        assert_eq!(blob["turn_id"], "01a1fb58-281e-70a2-86d0-a2fafa391008");
        assert_eq!(blob["a_key"], "kept");
    }

    #[test]
    fn the_blob_is_ascii_whatever_is_in_it() {
        let mut snapshot = snapshot();
        snapshot
            .extras
            .insert("place".to_owned(), "Zürich 🏔".into());
        let text = snapshot.turn_metadata();
        assert!(text.is_ascii());
        let blob: Value = serde_json::from_str(&text).expect("the blob is JSON");
        assert_eq!(blob["place"], "Zürich 🏔");
    }
}
