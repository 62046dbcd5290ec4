//! Who a request says it is from, against what was captured of the system we are compatible with: each capture is read
//! into a snapshot, which must give back every projection to the letter.

#![expect(clippy::expect_used, reason = "a test says why it fails by failing")]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dovetail_core::event::ForkPoint;
use dovetail_core::ids::{ThreadId, TurnId, WindowId};
use dovetail_core::lineage::{Lineage, ParentTurn, SubagentKind};
use dovetail_core::model::NodeRepl;
use dovetail_core::snapshot::{
    Compaction, CompactionImplementation, CompactionPhase, CompactionReason, CompactionTrigger,
    Extras, HistoryInitialization, Identity, RequestKind, RequestSnapshot, TraceContext,
    TurnIdentity, WorkspaceFacts,
};
use serde::Deserialize;
use serde_json::{Map, Value};

const CAPTURED: &str = include_str!("../../../tests/fixtures/identity/requests.json");

#[derive(Deserialize)]
struct Captured {
    name: String,
    transport: String,
    headers: Option<Vec<(String, String)>>,
    client_metadata: Option<BTreeMap<String, String>>,
}

impl Captured {
    fn blob(&self) -> Option<&str> {
        let header = self.headers.as_ref().and_then(|headers| {
            let found = headers
                .iter()
                .find(|(name, _)| name == "x-codex-turn-metadata")?;
            Some(found.1.as_str())
        });
        let flat = self
            .client_metadata
            .as_ref()
            .map(|flat| flat["x-codex-turn-metadata"].as_str());
        header.or(flat)
    }
}

fn captured() -> Vec<Captured> {
    serde_json::from_str(CAPTURED).expect("the fixture is a list of captures")
}

fn find(name: &str) -> RequestSnapshot {
    let all = captured();
    let found = all.iter().find(|captured| captured.name == name);
    let blob = found
        .and_then(Captured::blob)
        .expect("a capture with a blob");
    snapshot(blob)
}

/// Reads a blob into a snapshot. What it does not say stays unset.
fn snapshot(blob: &str) -> RequestSnapshot {
    let blob: Map<String, Value> = serde_json::from_str(blob).expect("the blob is an object");
    let text = |key: &str| blob.get(key).and_then(Value::as_str).map(str::to_owned);
    let thread = |key: &str| text(key).map(|id| ThreadId::parse(&id).expect("a thread id"));
    let turn = |key: &str| {
        text(key)
            .filter(|id| !id.is_empty())
            .map(|id| TurnId::parse(&id).expect("a turn id"))
    };
    let known = ["model", "reasoning_effort"];
    let last_own = blob
        .keys()
        .position(|key| key == "analytics_enabled" || key == "compaction");
    let extras = blob
        .iter()
        .skip(last_own.expect("every blob says so"))
        .filter(|(key, _)| !known.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()));
    RequestSnapshot {
        identity: Identity {
            installation_id: text("installation_id").expect("an id"),
            session_id: thread("session_id").expect("an id"),
            thread_id: thread("thread_id").expect("an id"),
            window_number: blob["window_number"].as_u64().expect("a number"),
            context_window_id: WindowId::parse(&text("context_window_id").expect("an id"))
                .expect("a window id"),
            lineage: Lineage {
                parent_thread_id: thread("parent_thread_id"),
                subagent: text("subagent_kind").map(|kind| match kind.as_str() {
                    "review" => SubagentKind::Review,
                    "thread_spawn" => SubagentKind::ThreadSpawn,
                    _ => SubagentKind::Other(kind),
                }),
                forked_from: thread("forked_from_thread_id").map(|thread_id| ForkPoint {
                    thread_id,
                    ordinal_exclusive: blob["forked_from_ordinal_exclusive"].as_u64(),
                }),
            },
            thread_source: text("thread_source"),
        },
        kind: kind(&blob),
        turn: turn("turn_id").map(|id| TurnIdentity {
            id,
            parent: turn("parent_turn_id").map(|turn_id| ParentTurn {
                turn_id,
                root_turn_id: turn("root_turn_id").expect("a turn has a root"),
            }),
            trigger: text("turn_trigger"),
            started_at: time(blob["turn_started_at_unix_ms"].as_u64().expect("a time")),
        }),
        history_initialization: match text("history_initialization").as_deref() {
            Some("new") => HistoryInitialization::New,
            Some("cold_resume") => HistoryInitialization::ColdResume,
            Some("cold_fork") => HistoryInitialization::ColdFork,
            _ => HistoryInitialization::WarmFork,
        },
        sandbox: "seccomp",
        sandbox_mode: text("sandbox_mode").expect("a mode"),
        workspaces: blob
            .get("workspaces")
            .map_or_else(BTreeMap::new, workspaces),
        node_repl: NodeRepl {
            auto_review_required: blob["node_repl_auto_review_required"] == true,
            disabled: blob["node_repl_disabled"] == true,
        },
        analytics_enabled: blob["analytics_enabled"] == true,
        model: text("model").unwrap_or_default(),
        reasoning_effort: text("reasoning_effort"),
        extras: Extras::of_client(extras),
    }
}

fn kind(blob: &Map<String, Value>) -> RequestKind {
    match blob["request_kind"].as_str() {
        Some("turn") => RequestKind::Turn,
        Some("prewarm") => RequestKind::Prewarm,
        _ => {
            let manual = blob["compaction"]["trigger"] == "manual";
            let choose = |auto, by_hand| if manual { by_hand } else { auto };
            RequestKind::Compaction(Compaction::new(
                if manual {
                    CompactionTrigger::Manual
                } else {
                    CompactionTrigger::Auto
                },
                choose(
                    CompactionReason::ContextLimit,
                    CompactionReason::UserRequested,
                ),
                CompactionImplementation::ResponsesCompactionV2,
                if manual {
                    CompactionPhase::StandaloneTurn
                } else {
                    CompactionPhase::MidTurn
                },
            ))
        }
    }
}

fn workspaces(value: &Value) -> BTreeMap<String, WorkspaceFacts> {
    let roots = value.as_object().expect("an object");
    let facts = |facts: &Value| WorkspaceFacts {
        associated_remote_urls: serde_json::from_value(facts["associated_remote_urls"].clone())
            .expect("remotes"),
        latest_git_commit_hash: facts["latest_git_commit_hash"].as_str().map(str::to_owned),
        has_changes: facts["has_changes"].as_bool(),
    };
    roots
        .iter()
        .map(|(root, value)| (root.clone(), facts(value)))
        .collect()
}

fn time(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

fn owned(pairs: Vec<(&str, String)>) -> Vec<(String, String)> {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[test]
fn every_projection_of_every_kind_is_the_captured_one() {
    let mut compared = 0;
    for captured in captured() {
        let name = &captured.name;
        let Some(blob) = captured.blob() else {
            continue;
        };
        let snapshot = snapshot(blob);
        assert_eq!(snapshot.turn_metadata(), blob, "{name}");
        if let Some(headers) = captured.headers {
            let ours = match captured.transport.as_str() {
                "handshake" => snapshot.handshake_headers(),
                _ => snapshot.headers(),
            };
            assert_eq!(owned(ours), headers, "{name}");
            compared += 1;
        }
        if let Some(flat) = captured.client_metadata {
            let sent = flat.get("x-codex-ws-stream-request-start-ms");
            let ours = match sent {
                Some(sent) => {
                    let sent = time(sent.parse().expect("a number"));
                    snapshot.websocket_metadata(sent, None)
                }
                None => snapshot.client_metadata(),
            };
            // Theirs come out of a hash map, so their order says nothing.
            let ours: BTreeMap<String, String> = owned(ours).into_iter().collect();
            assert_eq!(ours, flat, "{name}");
            compared += 1;
        }
    }
    assert_eq!(compared, 24);
}

#[test]
fn a_connection_before_any_request_names_the_thread_and_has_no_blob() {
    let snapshot = find("connection for a prewarm");
    let mut expected = snapshot.handshake_headers();
    expected.retain(|(name, _)| *name != "x-codex-turn-metadata");
    assert_eq!(expected.len(), 5);
    assert_eq!(snapshot.identity.handshake_headers(), expected);
}

#[test]
fn a_spawned_thread_has_one_word_in_the_header_and_another_in_the_blob() {
    let mut snapshot = find("turn of a review");
    snapshot.identity.lineage.subagent = Some(SubagentKind::ThreadSpawn);
    let header = owned(snapshot.headers())
        .into_iter()
        .find(|(name, _)| name == "x-openai-subagent");
    assert_eq!(
        header,
        Some(("x-openai-subagent".to_owned(), "collab_spawn".to_owned()))
    );
    let blob: Value = serde_json::from_str(&snapshot.turn_metadata()).expect("JSON");
    assert_eq!(blob["subagent_kind"], "thread_spawn");
    let flat: BTreeMap<_, _> = snapshot.client_metadata().into_iter().collect();
    assert_eq!(flat["x-openai-subagent"], "collab_spawn");
}

#[test]
fn a_memory_request_says_nothing_of_its_thread() {
    let mut snapshot = find("turn");
    snapshot.kind = RequestKind::Memory;
    let blob: Map<String, Value> =
        serde_json::from_str(&snapshot.turn_metadata()).expect("the blob is an object");
    for absent in [
        "installation_id",
        "session_id",
        "thread_id",
        "agent_name",
        "turn_id",
        "window_id",
        "window_number",
        "context_window_id",
    ] {
        assert!(!blob.contains_key(absent), "{absent}");
    }
    assert_eq!(blob["request_kind"], "memory");
}

#[test]
fn a_trace_travels_in_the_body_of_a_websocket_message() {
    let trace = TraceContext {
        parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        state: Some("a=1".to_owned()),
    };
    let flat: BTreeMap<_, _> = find("turn")
        .websocket_metadata(time(7), Some(&trace))
        .into_iter()
        .collect();
    assert_eq!(flat["x-codex-ws-stream-request-start-ms"], "7");
    assert_eq!(flat["ws_request_header_traceparent"], trace.parent);
    assert_eq!(flat["ws_request_header_tracestate"], "a=1");
}

#[test]
fn extras_enrich_and_never_replace() {
    let mut snapshot = find("turn");
    let blob: Map<String, Value> =
        serde_json::from_str(&snapshot.turn_metadata()).expect("the blob is an object");
    let evil = blob.keys().map(|key| (key.clone(), Value::from("EVIL")));
    snapshot.extras = Extras::of_client(evil.chain([("zz_key".to_owned(), Value::from("kept"))]));
    let mut expected = blob;
    expected.insert("zz_key".to_owned(), Value::from("kept"));
    let enriched: Map<String, Value> =
        serde_json::from_str(&snapshot.turn_metadata()).expect("the blob is an object");
    assert_eq!(enriched, expected);
}

#[test]
fn the_blob_is_ascii_whatever_is_in_it() {
    let mut snapshot = find("turn");
    snapshot.extras = Extras::of_client([("place".to_owned(), Value::from("Zürich 🏔"))]);
    let text = snapshot.turn_metadata();
    assert!(text.is_ascii());
    let blob: Value = serde_json::from_str(&text).expect("the blob is JSON");
    assert_eq!(blob["place"], "Zürich 🏔");
}

#[test]
fn servers_of_tools_learn_of_the_turn_and_not_of_the_installation() {
    let blob = find("turn").mcp_metadata("0.169.0");
    let keys: Vec<&str> = blob
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        [
            "session_id",
            "thread_id",
            "turn_id",
            "thread_source",
            "turn_trigger",
            "sandbox",
            "sandbox_mode",
            "auto_review_enabled",
            "node_repl_auto_review_required",
            "node_repl_disabled",
            "turn_started_at_unix_ms",
            "model",
            "codex_version"
        ]
    );
}
