//! Captured files are read as the program that wrote them reads them.

use dovetail_core::item::ResponseItem;
use dovetail_store::{LoadedThread, Problem, StoreError, load_thread};
use serde_json::json;

use crate::fixture::{captured, usage};

fn roles(thread: &LoadedThread) -> Vec<String> {
    thread
        .items
        .iter()
        .map(|item| match item {
            ResponseItem::Message { role, .. } => role.clone(),
            ResponseItem::Reasoning { .. } => "reasoning".into(),
            ResponseItem::FunctionCall { .. } => "call".into(),
            ResponseItem::FunctionCallOutput { .. } => "output".into(),
            ResponseItem::Other(fields) => fields["type"].as_str().unwrap_or("other").into(),
            ResponseItem::CustomToolCall { .. }
            | ResponseItem::CustomToolCallOutput { .. }
            | ResponseItem::WebSearchCall { .. } => "other".into(),
        })
        .collect()
}

#[test]
fn a_plain_turn_is_read() {
    let thread = load_thread(&captured("basic-turn")).expect("it loads");
    assert_eq!(
        roles(&thread),
        [
            "developer",
            "user",
            "user",
            "reasoning",
            "assistant",
            "call",
            "output",
            "assistant"
        ]
    );
    assert_eq!(
        thread.info.thread_id.to_string(),
        "01a1fb58-2811-7ea0-9e27-e6be064a83e5"
    );
    assert_eq!(
        thread.info.window_id.to_string(),
        "01a1fb58-2813-7c21-83a0-271860cc2021"
    );
    assert_eq!(thread.info.model, "gpt-5.2-codex");
    assert_eq!((thread.window_number, thread.next_ordinal), (0, 23));
    assert_eq!(thread.totals, usage(300, 170, 35, 10));
    let last = thread.last_settings.expect("the turn's settings");
    assert_eq!(last.sandbox_mode.as_deref(), Some("read-only"));
    assert_eq!(last.approval_policy.as_deref(), Some("never"));
    assert!(thread.damage.is_empty());
}

#[test]
fn a_thread_that_was_resumed_twice_is_read() {
    let thread = load_thread(&captured("resumed")).expect("it loads");
    let expected = [
        "developer",
        "user",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
        "assistant",
    ];
    assert_eq!(roles(&thread), expected);
    assert_eq!(
        (thread.next_ordinal, thread.totals),
        (34, usage(300, 60, 90, 30))
    );
}

#[test]
fn compactions_replace_what_was_before_them() {
    let remote = load_thread(&captured("compacted")).expect("it loads");
    assert_eq!(
        roles(&remote)[..4],
        ["developer", "user", "user", "compaction"]
    );
    assert_eq!(remote.window_number, 1);
    assert_eq!(
        remote.info.window_id.to_string(),
        "01a1fb5a-e243-7980-8ec5-e4ca2f682202"
    );
    let local = load_thread(&captured("compacted-locally")).expect("it loads");
    assert_eq!(local.window_number, 1);
    assert!(local.damage.is_empty());
}

#[test]
fn a_fork_is_read_through_its_parent() {
    let home = tempfile::tempdir().expect("a directory");
    let day = home.path().join("sessions/2026/11/20");
    std::fs::create_dir_all(&day).expect("directories");
    let fork = day.join("rollout-2026-11-20T23-46-35-01a1fb5a-d0d4-78d3-b3bc-1b53eafbc72d.jsonl");
    std::fs::copy(captured("fork"), &fork).expect("a copy");
    assert!(
        matches!(load_thread(&fork), Err(StoreError::NoParent { .. })),
        "its beginning must not be lost unseen"
    );

    let parent = day.join("rollout-2026-11-20T23-46-32-01a1fb5a-c45c-75a1-8854-1c7fcf0989f6.jsonl");
    std::fs::copy(captured("resumed"), &parent).expect("a copy");
    let thread = load_thread(&fork).expect("it loads");
    assert_eq!(thread.items.len(), 8 + 2);
    assert_eq!(
        (thread.next_ordinal, thread.totals),
        (46, usage(400, 80, 120, 40))
    );
}

#[test]
fn what_is_no_thread_is_refused() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("x.jsonl");
    for text in [
        "",
        "{}\n",
        "not json\n",
        "{\"type\":\"response_item\",\"payload\":{}}\n",
    ] {
        std::fs::write(&path, text).expect("a file");
        assert!(
            matches!(load_thread(&path), Err(StoreError::NoMeta { .. })),
            "{text:?}"
        );
    }
}

/// A file of several megabytes is read in parts; nothing of that may show.
#[test]
fn a_long_thread_is_read_like_a_short_one_wherever_it_is_damaged() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("rollout.jsonl");
    let captured = std::fs::read_to_string(captured("basic-turn")).expect("a file");
    let start = captured.lines().next().expect("a first line");
    let message = |number: usize| {
        let text = format!("{number} {}", "x".repeat(900));
        let item = json!({
            "type": "message", "id": format!("msg_{number}"), "role": "assistant",
            "content": [{ "type": "output_text", "text": text }],
        });
        json!({ "timestamp": "2026-01-02T03:04:05Z", "type": "response_item", "payload": item })
    };
    let bad = [1, 700, 2_500, 4_999];
    let mut text = format!("{start}\n");
    for number in 0..5_000 {
        let line = message(number).to_string();
        text.push_str(if bad.contains(&number) {
            &line[..line.len() - 1]
        } else {
            &line
        });
        text.push('\n');
        if number == 3_000 {
            text.push_str("  \n");
        }
    }
    text.push_str("{\"timestamp\":\"2026-");
    std::fs::write(&path, &text).expect("the file is written");

    let thread = load_thread(&path).expect("it loads");

    let ids: Vec<String> = thread
        .items
        .iter()
        .map(|item| {
            serde_json::to_value(item).expect("JSON")["id"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    let good = (0..5_000).filter(|number| !bad.contains(number));
    let expected: Vec<String> = good.map(|number| format!("msg_{number}")).collect();
    assert_eq!(ids, expected);
    let damage: Vec<(u64, Problem)> = thread
        .damage
        .iter()
        .map(|damage| (damage.line, damage.problem.clone()))
        .collect();
    let unreadable = Problem::Unreadable("JSON that ends too early");
    // From line 2 on, and one later after the blank one.
    let expected = [
        (3, unreadable.clone()),
        (702, unreadable.clone()),
        (2_502, unreadable.clone()),
        (5_002, unreadable),
        (5_003, Problem::Torn),
    ];
    assert_eq!(damage, expected);
}
