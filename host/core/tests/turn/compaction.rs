//! Compactions that somebody asks for, and what hooks say to those and others.

use std::sync::Mutex;

use dovetail_core::event::TurnEvent;
use dovetail_core::model::{ModelEvent, ModelRequest};
use dovetail_core::plugin::{HookDecision, HookEvent, HookOutcome, OnFailure, PluginError};
use dovetail_core::turn::{Prompt, Start, TurnOptions, TurnOutcome};
use dovetail_core::usage::TokenUsage;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::house::{House, Reply, TestHook, check_answer, house, message, options, say};

/// A whole answer, and how full the context is with it.
fn answer(text: &str, tokens: u64) -> Reply {
    let usage = TokenUsage {
        input_tokens: tokens,
        total_tokens: tokens,
        ..TokenUsage::default()
    };
    let end = ModelEvent::Completed {
        response_id: "r".to_owned(),
        usage: Some(usage),
        end_turn: None,
    };
    Reply::Stream(vec![message(text), Ok(end)])
}

async fn compact(house: &mut House) -> TurnOutcome {
    let cancel = CancellationToken::new();
    house.thread.compact(options(), cancel).await
}

/// What a request says of the window it is in and of what it is for.
fn metadata(request: &ModelRequest) -> Value {
    let blob: Value = serde_json::from_str(&request.metadata.turn_metadata()).expect("JSON");
    json!([
        blob["window_number"],
        blob["request_kind"],
        blob["compaction"]["trigger"],
        blob["compaction"]["reason"],
        blob["compaction"]["phase"]
    ])
}

fn sent(house: &House) -> Vec<Value> {
    let requests = house.model.requests.lock().expect("lock");
    requests.iter().map(metadata).collect()
}

fn compactions(house: &House) -> usize {
    let log = house.log.0.lock().expect("lock");
    let compacted = |event: &&TurnEvent| matches!(event, TurnEvent::Compacted(_));
    log.iter().filter(compacted).count()
}

#[tokio::test]
async fn a_person_can_ask_for_it_in_a_turn_of_its_own() {
    let replies = vec![answer("one", 10), answer("the note", 10), answer("two", 10)];
    let mut house = house(replies, Vec::new());
    check_answer(house.turn().await, "one");
    assert!(matches!(
        compact(&mut house).await,
        TurnOutcome::Completed(None)
    ));
    check_answer(house.turn().await, "two");
    assert_eq!(
        sent(&house),
        [
            json!([0, "turn", null, null, null]),
            json!([
                0,
                "compaction",
                "manual",
                "user_requested",
                "standalone_turn"
            ]),
            json!([1, "turn", null, null, null]),
        ]
    );
    let said = house.said(2);
    assert_eq!((said[0].as_str(), said.len()), ("user: go", 3), "{said:?}");
    assert!(said[1].starts_with("user: The earlier part of this conversation"));
}

#[tokio::test]
async fn an_empty_conversation_is_not_compacted() {
    let mut house = house(Vec::new(), Vec::new());
    match compact(&mut house).await {
        TurnOutcome::Failed(why) => assert_eq!(why, "there is nothing to compact yet"),
        other => panic!("unexpected {other:?}"),
    }
}

/// What somebody says meanwhile is for the next turn, and a turn that was claimed goes first.
#[tokio::test]
async fn turns_and_compactions_do_not_overlap() {
    let mut house = house(vec![answer("one", 10)], Vec::new());
    check_answer(house.turn().await, "one");
    let handle = house.thread.handle();
    let Start::New(ticket) = handle.start(Prompt::default(), CancellationToken::new()) else {
        panic!("no turn runs")
    };
    match compact(&mut house).await {
        TurnOutcome::Failed(why) => {
            let running = ticket.turn_id();
            assert_eq!(
                why,
                format!("turn `{running}` is running: wait for it, or interrupt it")
            );
        }
        other => panic!("unexpected {other:?}"),
    }
}

#[tokio::test]
async fn an_interrupt_leaves_the_conversation_as_it_was() {
    let cancel = CancellationToken::new();
    let interrupt = cancel.clone();
    let interrupted = Reply::During {
        before: vec![message("half a note")],
        act: Box::new(move || interrupt.cancel()),
        after: Vec::new(),
    };
    let mut house = house(vec![answer("one", 10), interrupted], Vec::new());
    check_answer(house.turn().await, "one");
    let outcome = house.thread.compact(options(), cancel).await;
    assert!(matches!(outcome, TurnOutcome::Interrupted));
    let log = house.log.0.lock().expect("lock");
    let of_it = log.iter().filter_map(|event| match event {
        TurnEvent::CompactionStarted { .. } => Some("started"),
        TurnEvent::CompactionAbandoned { .. } => Some("abandoned"),
        TurnEvent::Compacted(_) => Some("compacted"),
        _ => None,
    });
    assert_eq!(of_it.collect::<Vec<_>>(), ["started", "abandoned"]);
}

/// A hook that says no to what a matcher of one word means.
async fn check_stopped(event: &str, expected: usize) {
    fn no(event: &HookEvent) -> Result<HookOutcome, PluginError> {
        assert_eq!(event.payload["trigger"], "manual");
        assert_eq!(event.payload.get("permission_mode"), None);
        say(HookDecision::Deny("not now".to_owned()))
    }
    let hook = TestHook::gate("no", event, OnFailure::Deny, no);
    let mut house = house(vec![answer("one", 10), answer("the note", 10)], vec![hook]);
    check_answer(house.turn().await, "one");
    match compact(&mut house).await {
        TurnOutcome::Failed(why) => assert_eq!(why, "a hook stopped the compaction: not now"),
        other => panic!("unexpected {other:?}"),
    }
    assert_eq!(compactions(&house), expected, "{event}");
}

#[tokio::test]
async fn hooks_can_stop_a_compaction_before_it_and_the_turn_after_it() {
    check_stopped("PreCompact", 0).await;
    check_stopped("PostCompact", 1).await;
}

#[tokio::test]
async fn the_session_begins_again_for_hooks_after_a_compaction() {
    static SOURCES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    fn note(event: &HookEvent) -> Result<HookOutcome, PluginError> {
        let source = event.payload["source"].as_str().unwrap_or_default();
        SOURCES.lock().expect("lock").push(source.to_owned());
        say(HookDecision::None)
    }
    let hook = TestHook::gate("note", "SessionStart", OnFailure::Deny, note);
    let replies = vec![
        answer("one", 10),
        answer("the note", 10),
        answer("two", 10),
        answer("three", 10),
    ];
    let mut house = house(replies, vec![hook]);
    check_answer(house.turn().await, "one");
    assert!(matches!(
        compact(&mut house).await,
        TurnOutcome::Completed(None)
    ));
    check_answer(house.turn().await, "two");
    check_answer(house.turn().await, "three");
    assert_eq!(*SOURCES.lock().expect("lock"), ["startup", "compact"]);
}

/// Within a process the thread itself knows how full its context is.
#[tokio::test]
async fn the_next_turn_of_a_full_conversation_begins_with_a_compaction() {
    let replies = vec![
        answer("one", 500),
        answer("the note", 500),
        answer("two", 20),
    ];
    let mut house = house(replies, Vec::new());
    let limited = || {
        let mut options: TurnOptions = options();
        options.compaction.limit = Some(400);
        options
    };
    for (text, expected) in [("go", "one"), ("on", "two")] {
        let prompt = Prompt {
            text: text.to_owned(),
            ..Prompt::default()
        };
        let cancel = CancellationToken::new();
        check_answer(
            house.thread.run_turn(prompt, limited(), cancel).await,
            expected,
        );
    }
    assert_eq!(
        sent(&house)[1..],
        [
            json!([0, "compaction", "auto", "context_limit", "pre_turn"]),
            json!([1, "turn", null, null, null]),
        ]
    );
}
