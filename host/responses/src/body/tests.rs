//! Metadata of items: kept through everything that happens to a history, and shown to those alone who take it.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::{Form, encode};
use dovetail_core::history::{History, ProviderTrail};
use dovetail_core::ids::{ThreadId, TurnId, WindowId};
use dovetail_core::item::ResponseItem;
use dovetail_core::lineage::Lineage;
use dovetail_core::model::{ModelRequest, NodeRepl};
use dovetail_core::snapshot::{
    Extras, HistoryInitialization, Identity, RequestKind, RequestSnapshot,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const PASSTHROUGH: &str = "internal_chat_message_metadata_passthrough";

fn any_item() -> impl Strategy<Value = ResponseItem> {
    let kinds = prop::sample::select(vec![
        json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}),
        json!({"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}),
        json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ho"}]}),
        json!({"type": "reasoning", "summary": [], "encrypted_content": "ENC"}),
        json!({"type": "function_call", "name": "f", "arguments": "{}", "call_id": "a"}),
        json!({"type": "function_call_output", "call_id": "a", "output": "out"}),
        json!({"type": "custom_tool_call", "call_id": "b", "name": "p", "input": "x"}),
        json!({"type": "custom_tool_call_output", "call_id": "b", "output": "out"}),
        json!({"type": "web_search_call", "status": "completed"}),
        json!({"type": "local_shell_call", "call_id": "c", "action": {}}),
        json!({"type": "tool_search_call", "call_id": "d", "execution": "client"}),
        json!({"type": "compaction", "encrypted_content": "ENC"}),
        json!({"type": "hologram", "depth": 3}),
    ]);
    (kinds, any::<bool>()).prop_map(|(mut item, stamped)| {
        if stamped {
            item[PASSTHROUGH] = json!({
                "turn_id": "earlier", "cell_id": "private", "executed_tool_calls": 1,
                "content_item_metadata": [{"provenance": {"type": "user"}}],
            });
        }
        serde_json::from_value(item).expect("the fixture is an item")
    })
}

/// What may happen to a history between its items and a request.
#[derive(Debug, Clone, Copy)]
enum Rewrite {
    /// It goes through a file.
    File,
    /// Another provider takes it up.
    OtherProvider,
    /// What is encrypted is forgotten.
    Forget,
}

fn any_rewrites() -> impl Strategy<Value = Vec<Rewrite>> {
    let one = prop::sample::select(vec![Rewrite::File, Rewrite::OtherProvider, Rewrite::Forget]);
    prop::collection::vec(one, 0..4)
}

fn rewritten(items: Vec<ResponseItem>, rewrites: &[Rewrite]) -> History {
    let turn = TurnId::generate();
    let mut history = History::default();
    for item in items {
        history.push(item, turn, UNIX_EPOCH);
    }
    for rewrite in rewrites {
        let items: Vec<ResponseItem> = history
            .items()
            .iter()
            .map(|item| {
                let line = serde_json::to_string(&**item).expect("items serialize");
                serde_json::from_str(&line).expect("items are read back")
            })
            .collect();
        match rewrite {
            Rewrite::File => {
                history = History::resume(items, &ProviderTrail::new(Some("p")), "p");
            }
            Rewrite::OtherProvider => {
                history = History::resume(items, &ProviderTrail::new(Some("p")), "q");
            }
            Rewrite::Forget => {
                history.forget_encrypted();
            }
        }
    }
    history
}

fn sent(history: &History, image_input: bool, item_metadata: bool) -> Vec<Value> {
    let bytes = encode(&request(history, image_input), item_metadata, Form::Http)
        .expect("requests are JSON");
    let body: Value = serde_json::from_slice(&bytes).expect("the body is JSON");
    body["input"].as_array().expect("a list").clone()
}

fn request(history: &History, image_input: bool) -> ModelRequest {
    let thread = ThreadId::generate();
    let snapshot = RequestSnapshot {
        identity: Identity {
            installation_id: String::new(),
            session_id: thread,
            thread_id: thread,
            window_number: 0,
            context_window_id: WindowId::generate(),
            lineage: Lineage::default(),
            thread_source: None,
        },
        kind: RequestKind::Turn,
        turn: None,
        history_initialization: HistoryInitialization::New,
        sandbox: "none",
        sandbox_mode: String::new(),
        workspaces: Default::default(),
        node_repl: NodeRepl::default(),
        analytics_enabled: false,
        model: String::new(),
        reasoning_effort: None,
        extras: Extras::default(),
    };
    ModelRequest {
        model: String::new(),
        instructions: Arc::new(ResponseItem::message(
            "developer",
            Vec::new(),
            &["model.base_instructions"],
        )),
        input: history.for_request(image_input),
        tools: Vec::new().into(),
        tools_item_id: None,
        web_search: None,
        parallel_tool_calls: true,
        reasoning: None,
        text: None,
        service_tier: None,
        prompt_cache_key: String::new(),
        metadata: Arc::new(snapshot),
        turn_state: None,
    }
}

proptest! {
    // A failure is printed with its input; no file of old failures is kept.
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn who_does_not_take_metadata_never_sees_any(
        items in prop::collection::vec(any_item(), 0..16),
        rewrites in any_rewrites(),
        image_input in any::<bool>(),
    ) {
        let history = rewritten(items, &rewrites);
        for item in sent(&history, image_input, false) {
            prop_assert_eq!(item.get(PASSTHROUGH), None, "{}", item);
        }
    }

    #[test]
    fn who_takes_metadata_sees_the_turn_of_every_item_and_nothing_private(
        items in prop::collection::vec(any_item(), 0..16),
        rewrites in any_rewrites(),
        image_input in any::<bool>(),
    ) {
        let history = rewritten(items, &rewrites);
        let sent = sent(&history, image_input, true);
        prop_assert_eq!(&sent[0][PASSTHROUGH], &json!({"content_item_kinds": ["model.base_instructions"]}));
        for item in &sent[1..] {
            let shown = &item[PASSTHROUGH];
            let carries = item["type"] != "hologram" && !item.to_string().contains("earlier_conversation_unavailable");
            prop_assert_eq!(shown["turn_id"].is_string(), carries || shown["turn_id"] == "earlier", "{}", item);
            let keys = shown.as_object().into_iter().flat_map(|shown| shown.keys());
            for key in keys {
                prop_assert!(["turn_id", "create_time", "content_item_kinds"].contains(&key.as_str()), "{}", item);
            }
        }
    }
}
