//! What a guest can take of the host beyond memory and time, and contracts of other versions.

use dovetail_core::ids::CallId;
use dovetail_core::plugin::{Ack, EventRecord, HookDecision, PluginError, ToolContent};
use dovetail_tests::{MISBEHAVER, OLD_CONTRACT};
use serde_json::json;

use super::tests::{Lab, ask_hook, ask_tool, request, with_wasm};
use super::*;

async fn said(orders: Value, more: &str) -> String {
    let lab = Lab::new();
    let plugin = lab.load(request(MISBEHAVER, more, orders)).await;
    match ask_hook(&plugin).await {
        Ok(outcome) => outcome.context.unwrap_or_default(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_guest_hands_the_host_no_more_than_its_output_limit_in_a_call() {
    let flood = |amount: u64| json!({ "behave": "flood-host", "amount": amount });
    assert_eq!(said(flood(100_000), "").await, "logged");
    let refused = said(flood(2 << 20), "").await;
    assert!(
        refused.contains("passed its limit of 1024 KiB of output in `handle`"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_guest_holds_only_so_many_files() {
    let fs = "[limits]\ndeadline_ms = 2000\n[[request.fs]]\npath = \".\"\nmount = \"/d\"\naccess = \"read\"\n";
    let refused = said(json!({ "behave": "hoard", "target": "/d" }), fs).await;
    assert!(refused.starts_with("plugin `misbehaver` "), "{refused}");
}

#[tokio::test]
async fn a_request_has_only_so_many_headers() {
    let orders =
        json!({ "behave": "many-headers", "target": "https://granted.example/", "amount": 65 });
    assert_eq!(
        said(orders, "").await,
        "the request has more than 64 headers"
    );
}

#[tokio::test]
async fn what_a_guest_prints_is_kept_for_the_sentence_about_its_end_and_has_a_bound() {
    let lab = Lab::new();
    let plugin = lab
        .load(request(
            MISBEHAVER,
            "[limits]\ndeadline_ms = 300\n",
            json!({ "behave": "flood-stdout" }),
        ))
        .await;
    let late = ask_hook(&plugin).await.expect_err("it never ends");
    assert!(late.to_string().contains("within 300 ms"), "{late}");
    assert!(plugin.last_fault().contains("within 300 ms"));
    assert!(
        plugin.stats().most_memory < 16 << 20,
        "the host keeps it, not the guest"
    );
}

#[tokio::test]
async fn faults_of_earlier_loads_count_and_quarantine_holds_before_any_code_runs() {
    let lab = Lab::new();
    let orders = json!({ "behave": "trap", "at": "handle" });
    for _ in 0..3 {
        let plugin = lab.load(request(MISBEHAVER, "", orders.clone())).await;
        assert!(matches!(
            ask_hook(&plugin).await,
            Err(PluginError::Fault(_))
        ));
    }
    let error = lab
        .runtime
        .load(request(MISBEHAVER, "", orders))
        .await
        .expect_err("it is quarantined");
    assert!(
        matches!(error.problem(), LoadProblem::Quarantined { faults: 3, .. }),
        "{error}"
    );
    assert_eq!(
        error.hint().as_deref(),
        Some("dovetail plugin enable misbehaver    once it is mended, or to try again")
    );
    lab.load(request(MISBEHAVER, "", json!({ "behave": "well" })))
        .await;
}

#[tokio::test]
async fn a_guest_of_the_frozen_contract_works() {
    let lab = Lab::new();
    let plugin = lab.load(request(OLD_CONTRACT, "", Value::Null)).await;
    works(&plugin).await;
}

/// Every kind of the old guest answers.
async fn works(plugin: &Plugin) {
    let outcome = ask_hook(plugin).await.expect("it answers");
    assert_eq!(
        outcome.decision,
        HookDecision::Deny("old guest saw PreToolUse".to_owned())
    );
    let tools = plugin.tools().expect("it is a tool server");
    assert_eq!(tools.list_tools().await.expect("listed")[0].name, "echo");
    let result = tools
        .call_tool(&CallId::new("c"), "echo", &json!({ "x": 1 }), &json!({}))
        .await
        .expect("it answers");
    assert_eq!(result.content, [ToolContent::Text("{\"x\":1}".to_owned())]);
    let event = EventRecord {
        id: "evt_1".to_owned(),
        sequence: 0,
        kind: "turn.started".to_owned(),
        version: 1,
        time: std::time::SystemTime::now(),
        thread_id: dovetail_core::ids::ThreadId::generate(),
        turn_id: None,
        fields: vec![],
    };
    let sink = plugin.sink().expect("it is a sink");
    let ack = sink.deliver(&[Arc::new(event)]).await;
    assert_eq!(ack, Ok(Ack::Reject(vec!["evt_1".to_owned()])));
}

/// The same component under another version of the contract, as long as the old one.
fn renamed(wasm: &[u8], version: &str) -> Vec<u8> {
    let (from, to) = (b"@0.1.0", format!("@{version}"));
    assert_eq!(from.len(), to.len());
    let mut bytes = wasm.to_vec();
    let ours = b"dovetail:plugin/";
    let mut at = 0;
    while let Some(found) = find(&bytes[at..], ours) {
        let start = at + found;
        // The longest of our names has 11 letters.
        if let Some(mark) = find(&bytes[start..bytes.len().min(start + 40)], from) {
            bytes[start + mark..][..to.len()].copy_from_slice(to.as_bytes());
        }
        at = start + ours.len();
    }
    bytes
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[tokio::test]
async fn a_guest_of_a_later_addition_to_the_contract_works_as_far_as_it_uses_what_is_here() {
    let lab = Lab::new();
    let newer = renamed(OLD_CONTRACT.wasm, "0.1.7");
    let plugin = lab.load(with_wasm(OLD_CONTRACT, &newer)).await;
    works(&plugin).await;
}

#[tokio::test]
async fn a_guest_of_a_broken_contract_is_refused_before_its_code_runs() {
    let lab = Lab::new();
    for (version, hint) in [
        ("0.2.0", "update dovetail, or install an older plugin"),
        ("1.0.0", "update dovetail, or install an older plugin"),
        ("0.0.9", "rebuild it with the plugin API 0.1.0"),
    ] {
        let other = renamed(OLD_CONTRACT.wasm, version);
        let error = lab
            .runtime
            .load(with_wasm(OLD_CONTRACT, &other))
            .await
            .expect_err("it is refused");
        assert_eq!(
            error.to_string(),
            format!(
                "plugin `old-contract` was built for `dovetail:plugin@{version}`, this host speaks 0.1.0"
            )
        );
        assert_eq!(error.hint().as_deref(), Some(hint));
    }
}

#[tokio::test]
async fn a_denial_is_told_once_however_often_it_happens() {
    let lab = Lab::new();
    let orders = json!({ "behave": "process", "target": "false", "at": "call-tool" });
    let plugin = lab.load(request(MISBEHAVER, "", orders)).await;
    for _ in 0..5 {
        assert!(matches!(
            ask_tool(&plugin).await,
            Err(PluginError::Denied(_))
        ));
    }
    let told = lab.runtime.services().news().take();
    let denials = told
        .iter()
        .filter(|news| matches!(news.event, PluginEvent::Denied { .. }));
    assert_eq!((denials.count(), plugin.stats().denied), (1, 5));
    assert_eq!(plugin.denials().len(), 1);
}
