//! What the host does with credentials that no command shows alone, at the socket.

mod connected_app;
mod eight_by_eight;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use dovetail_core::event::ThreadInfo;
use dovetail_core::ids::{ThreadId, TurnId, WindowId};
use dovetail_core::item::{ContentItem, ResponseItem};
use dovetail_core::lineage::Lineage;
use dovetail_core::model::{ModelRequest, NodeRepl};
use dovetail_core::snapshot::{
    Extras, HistoryInitialization, Identity, RequestKind, RequestSnapshot, TurnIdentity,
};

const THREAD: &str = "01a1fb58-2811-7ea0-9e27-e6be064a83e5";
const WINDOW: &str = "01a1fb58-2813-7c21-83a0-271860cc2021";
const TURN: &str = "01a1fb58-281e-70a2-86d0-a2fafa391008";

fn thread(provider_id: &str, cwd: &Path) -> ThreadInfo {
    let id = ThreadId::parse(THREAD).expect("a UUID");
    ThreadInfo {
        thread_id: id,
        session_id: id,
        window_id: WindowId::parse(WINDOW).expect("a UUID"),
        cwd: cwd.to_owned(),
        originator: "acme_editor".to_owned(),
        source: "vscode".to_owned(),
        thread_source: Some("user".to_owned()),
        parent_thread_id: None,
        forked_from: None,
        subagent: None,
        provider_id: provider_id.to_owned(),
        base_instructions: "be good".to_owned(),
        model: "gpt-5.5".to_owned(),
        created: SystemTime::UNIX_EPOCH,
    }
}

fn request() -> ModelRequest {
    let text = |role, text: &str| {
        let content = ContentItem::InputText {
            text: text.to_owned(),
        };
        Arc::new(ResponseItem::message(role, vec![content], &["user.text"]))
    };
    let thread_id = ThreadId::parse(THREAD).expect("a UUID");
    let snapshot = RequestSnapshot {
        identity: Identity {
            installation_id: "604137cb-7eeb-42a3-aa1f-bcad9330e2e9".to_owned(),
            session_id: thread_id,
            thread_id,
            window_number: 0,
            context_window_id: WindowId::parse(WINDOW).expect("a UUID"),
            lineage: Lineage::default(),
            thread_source: Some("user".to_owned()),
        },
        kind: RequestKind::Turn,
        turn: Some(TurnIdentity {
            id: TurnId::parse(TURN).expect("a UUID"),
            parent: None,
            trigger: None,
            started_at: SystemTime::UNIX_EPOCH,
        }),
        history_initialization: HistoryInitialization::New,
        sandbox: "seccomp",
        sandbox_mode: "read-only".to_owned(),
        workspaces: BTreeMap::new(),
        node_repl: NodeRepl::default(),
        analytics_enabled: false,
        model: "gpt-5.5".to_owned(),
        reasoning_effort: None,
        extras: Extras::default(),
    };
    ModelRequest {
        model: "gpt-5.5".to_owned(),
        instructions: text("developer", "be good"),
        input: Arc::from([text("user", "say hi")]),
        tools: Arc::from([]),
        tools_item_id: None,
        web_search: None,
        parallel_tool_calls: true,
        reasoning: None,
        text: None,
        service_tier: None,
        prompt_cache_key: THREAD.to_owned(),
        metadata: Arc::new(snapshot),
        turn_state: None,
    }
}
