//! Compactions, rollbacks and window numbers, by hand-written lines.

use std::time::UNIX_EPOCH;

use dovetail_core::item::{ContentItem, ResponseItem};
use dovetail_store::{LoadedThread, load_thread};
use serde_json::{Value, json};

const META: &str = r#"{"timestamp":"2026-11-20T23:43:41.091Z","type":"session_meta","payload":{"id":"01a1fb58-2811-7ea0-9e27-e6be064a83e5","cwd":"/p"}}"#;
const UUID: &str = "01a1fb58-2813-7c21-83a0-271860cc2021";

fn load(lines: &[Value]) -> LoadedThread {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    load_text(&format!("{META}\n{text}"))
}

fn load_text(text: &str) -> LoadedThread {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("rollout.jsonl");
    std::fs::write(&path, text).expect("a file");
    let thread = load_thread(&path).expect("it loads");
    assert_eq!(thread.damage, [], "all lines are good");
    thread
}

fn texts(thread: &LoadedThread) -> Vec<&str> {
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

fn line(kind: &str, payload: Value) -> Value {
    json!({"timestamp": "2026-11-20T23:43:41.091Z", "type": kind, "payload": payload})
}

fn said(role: &str, text: &str) -> Value {
    line("response_item", message(role, text))
}

fn message(role: &str, text: &str) -> Value {
    json!({"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]})
}

fn event(kind: &str) -> Value {
    line("event_msg", json!({"type": kind}))
}

fn turn(text: &str) -> [Value; 3] {
    [
        event("task_started"),
        said("user", text),
        said("assistant", &text.to_uppercase()),
    ]
}

fn compacted(history: &[&str], extra: Value) -> Value {
    let items: Vec<Value> = history.iter().map(|text| message("user", text)).collect();
    let mut payload = json!({"message": "", "replacement_history": items});
    let fields = extra.as_object().expect("an object").clone();
    payload.as_object_mut().expect("an object").extend(fields);
    line("compacted", payload)
}

fn rolled_back(turns: u64) -> Value {
    line(
        "event_msg",
        json!({"type": "thread_rolled_back", "num_turns": turns}),
    )
}

#[track_caller]
fn check(parts: &[&[Value]], expected: &[&str]) {
    assert_eq!(texts(&load(&parts.concat())), expected);
}

#[test]
fn rollbacks_drop_the_newest_turns() {
    check(
        &[&turn("a"), &turn("b"), &turn("c"), &[rolled_back(1)]],
        &["a", "A", "b", "B"],
    );
    check(
        &[
            &turn("a"),
            &turn("b"),
            &[rolled_back(1)],
            &turn("c"),
            &[rolled_back(1)],
        ],
        &["a", "A"],
    );
    check(
        &[&turn("a"), &turn("b"), &[rolled_back(9)], &turn("c")],
        &["c", "C"],
    );
    // A turn in which the user said nothing does not count, and goes with the one before it.
    check(
        &[
            &turn("a"),
            &turn("b"),
            &[event("task_started"), rolled_back(1)],
        ],
        &["a", "A"],
    );
}

#[test]
fn rollbacks_work_without_lines_that_begin_turns() {
    let context = said("user", "<environment_context>x</environment_context>");
    let old = [
        context,
        said("user", "a"),
        said("assistant", "A"),
        said("user", "b"),
        said("assistant", "B"),
    ];
    check(
        &[&old, &[rolled_back(1)]],
        &["<environment_context>x</environment_context>", "a", "A"],
    );
}

#[test]
fn the_newest_compaction_is_the_beginning() {
    let compaction = compacted(&["sum"], json!({}));
    check(
        &[&turn("a"), &turn("b"), &[compaction], &turn("c")],
        &["sum", "c", "C"],
    );
}

#[test]
fn a_rollback_behind_a_compaction_brings_back_what_it_replaced() {
    let compaction = compacted(&["sum"], json!({}));
    check(
        &[
            &turn("a"),
            &turn("b"),
            &[compaction],
            &turn("c"),
            &[rolled_back(2)],
        ],
        &["a", "A"],
    );
}

#[test]
fn an_old_compaction_leaves_the_users_words_and_the_summary() {
    let old = line("compacted", json!({"message": "summary"}));
    let context = [said("user", "<environment_context>x</environment_context>")];
    check(
        &[&context, &turn("a"), &turn("b"), &[old], &turn("c")],
        &["a", "b", "summary", "c", "C"],
    );
}

#[test]
fn items_that_only_controlled_something_are_left_out_and_unknown_ones_are_kept() {
    let trigger = line("response_item", json!({"type": "compaction_trigger"}));
    let ghost = line(
        "response_item",
        json!({"type": "ghost_snapshot", "ghost_commit": {}}),
    );
    let unknown = line("response_item", json!({"type": "hologram", "depth": 3}));
    let other = line("novel_kind", json!({"anything": [1, 2]}));
    check(
        &[&turn("a"), &[trigger, ghost, unknown, other]],
        &["a", "A", ""],
    );
    let replacement = json!([
        message("user", "s"), {"type": "ghost_snapshot", "ghost_commit": {}}, {"type": "compaction_trigger"},
        {"type": "hologram", "depth": 3},
    ]);
    let compacted = line(
        "compacted",
        json!({"message": "", "replacement_history": replacement}),
    );
    check(&[&turn("a"), &[compacted]], &["s", ""]);
}

#[test]
fn the_window_number_is_the_newest_compactions() {
    let cases: &[(&[Value], u64)] = &[
        (&[], 0),
        (&[json!({"window_number": 7})], 7),
        (&[json!({"window_id": 7})], 7),
        (&[json!({"window_id": "7"})], 1),
        (&[json!({}), json!({})], 2),
        (&[json!({"window_number": 5, "window_id": UUID})], 5),
        (&[json!({"window_id": UUID})], 1),
        (
            &[json!({"window_number": 3}), json!({"window_number": 9})],
            9,
        ),
        (&[json!({"window_number": 9}), json!({})], 9),
    ];
    for (compactions, expected) in cases {
        let lines: Vec<Value> = compactions
            .iter()
            .map(|extra| compacted(&["s"], extra.clone()))
            .collect();
        assert_eq!(load(&lines).window_number, *expected, "{compactions:?}");
    }
    let lines = [compacted(&["s"], json!({"window_id": UUID}))];
    assert_eq!(load(&lines).info.window_id.to_string(), UUID);
}

#[test]
fn a_thread_that_does_not_say_when_it_began_is_as_old_as_its_first_line_or_its_id() {
    let meta = |line: &str, payload: &str| {
        json!({
            "timestamp": line, "type": "session_meta",
            "payload": { "id": "01a1fb58-2811-7ea0-9e27-e6be064a83e5", "timestamp": payload },
        })
    };
    let (line, id) = ("2026-11-20T23:43:41.091Z", 0x01a1_fb58_2811);
    for (first, millis) in [
        (meta("?", line), 1_795_218_221_091),
        (meta(line, "2026-11,20"), 1_795_218_221_091),
        (meta("?", "?"), id),
    ] {
        let created = load_text(&format!("{first}\n")).info.created;
        let since = created.duration_since(UNIX_EPOCH).expect("after 1970");
        assert_eq!(since.as_millis(), millis, "{first}");
    }
}
