//! Files of every age and dialect. The expected conversations are those that the existing client sends on from the same
//! files, but for the last test, which says where and why not.

use dovetail_store::{RolloutRecorder, load_thread};
use serde_json::{Value, json};

use crate::fixture::{Feed, lines};
use crate::lines::{A, Home, line, message, texts, turn, turns};

const WINDOW: &str = "01a1fb58-2813-7c21-83a0-271860cc2021";

fn compaction(history: Option<&[&str]>, more: Value) -> Vec<Value> {
    let mut payload = json!({"message": "summary"});
    if let Some(history) = history {
        let items: Vec<Value> = history.iter().map(|text| message("user", text)).collect();
        payload["replacement_history"] = items.into();
    }
    let more = more.as_object().expect("an object").clone();
    payload.as_object_mut().expect("an object").extend(more);
    let event = |kind: &str| line("event_msg", json!({"type": kind, "turn_id": "c"}));
    vec![
        event("task_started"),
        line("compacted", payload),
        event("task_complete"),
    ]
}

fn rolled_back(turns: u64) -> Vec<Value> {
    vec![line(
        "event_msg",
        json!({"type": "thread_rolled_back", "num_turns": turns}),
    )]
}

#[track_caller]
fn check(parts: &[Vec<Value>], expected: &[&str], window: u64) {
    let home = Home::new();
    let path = home.thread(A, &parts.concat());
    let thread = load_thread(&path).expect("it loads");
    assert_eq!(texts(&thread), expected);
    assert_eq!(thread.window_number, window);
    assert_eq!(thread.damage, []);
}

#[test]
fn compactions_and_rollbacks_add_up_as_elsewhere() {
    let numbered = |number: u64| json!({"window_number": number, "window_id": WINDOW});
    let with = |number| compaction(Some(&["sum"]), numbered(number));
    let old = || compaction(None, json!({}));
    let in_turn = |text: &str, compacted: Vec<Value>| {
        let mut lines = turn(text);
        lines.insert(1, compacted[1].clone());
        lines
    };
    check(
        &[turns(&["a", "b"]), with(7), turns(&["c"]), rolled_back(1)],
        &["sum"],
        7,
    );
    // The number counts compactions that were rolled back: no window has the name of another.
    check(
        &[turns(&["a", "b"]), with(7), turns(&["c"]), rolled_back(2)],
        &["a", "A"],
        1,
    );
    check(
        &[
            turns(&["a", "b"]),
            in_turn("c", compaction(Some(&["sum"]), json!({"window_id": 7}))),
            rolled_back(1),
        ],
        &["a", "A", "b", "B"],
        1,
    );
    check(
        &[
            turns(&["a"]),
            with(4),
            turns(&["b"]),
            in_turn(
                "c",
                compaction(Some(&["other"]), json!({"window_number": 5})),
            ),
            rolled_back(1),
        ],
        &["sum", "b", "B"],
        4,
    );
    check(
        &[
            turns(&["a", "b"]),
            old(),
            turns(&["c", "d"]),
            rolled_back(1),
        ],
        &["a", "b", "summary", "c", "C"],
        1,
    );
    check(
        &[
            turns(&["a"]),
            old(),
            turns(&["b"]),
            compaction(Some(&["sum"]), json!({})),
            turns(&["c"]),
        ],
        &["sum", "c", "C"],
        2,
    );
    check(
        &[turns(&["a"]), with(9), turns(&["b"]), old(), turns(&["c"])],
        &["sum", "b", "summary", "c", "C"],
        9,
    );
    check(
        &[turns(&["a"]), rolled_back(5), turns(&["b"])],
        &["b", "B"],
        0,
    );
    check(
        &[
            turns(&["a", "b"]),
            rolled_back(1),
            compaction(Some(&["sum"]), json!({})),
            turns(&["c"]),
        ],
        &["sum", "c", "C"],
        1,
    );
    check(
        &[
            turns(&["a"]),
            compaction(Some(&[]), json!({})),
            turns(&["b"]),
        ],
        &["b", "B"],
        1,
    );
    check(
        &[
            turns(&["a"]),
            with(3),
            compaction(Some(&["t"]), json!({"window_id": "12"})),
            turns(&["b"]),
        ],
        &["t", "b", "B"],
        3,
    );
}

#[test]
fn a_rollback_behind_an_old_compaction_gives_back_what_was_said() {
    // The existing client leaves the user's words there without the answers.
    check(
        &[
            turns(&["a", "b"]),
            compaction(None, json!({})),
            turns(&["c", "d"]),
            rolled_back(3),
        ],
        &["a", "A"],
        1,
    );
}

#[test]
fn an_old_compaction_keeps_the_newest_words_that_fit() {
    let home = Home::new();
    let long = "x".repeat(60_000);
    let path = home.thread(
        A,
        &[
            turns(&["first", &long, "last"]),
            compaction(None, json!({})),
        ]
        .concat(),
    );
    let thread = load_thread(&path).expect("it loads");
    assert_eq!(texts(&thread), ["first", &long, "last", "summary"]);
    let more = "y".repeat(79_999);
    let path = home.thread(
        A,
        &[turns(&["first", "abc", &more]), compaction(None, json!({}))].concat(),
    );
    let thread = load_thread(&path).expect("it loads");
    assert_eq!(texts(&thread), ["a", &more, "summary"]);
}

/// The first files: what the thread is on the first line, then bare items.
#[test]
fn files_from_before_lines_had_envelopes_are_read() {
    let home = Home::new();
    let bare = [
        json!({"id": A, "timestamp": "2025-05-07T17:24:21.123Z", "instructions": "be kind", "git": null}),
        message("user", "hello"),
        json!({"record_type": "state"}),
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"}),
        message("assistant", "hi"),
    ];
    let path = home.write(A, &bare);
    let thread = load_thread(&path).expect("it loads");
    assert_eq!(texts(&thread), ["hello", "", "hi"]);
    assert_eq!(thread.damage, []);
    assert_eq!(thread.info.base_instructions, "be kind");
    assert_eq!(thread.info.session_id, thread.info.thread_id);

    let (thread, recorder) = RolloutRecorder::resume(&path).expect("it resumes");
    Feed::of(recorder, thread.info.thread_id).turn("again", "Yes.");
    let thread = load_thread(&path).expect("it loads");
    assert_eq!(texts(&thread), ["hello", "", "hi", "again", "Yes."]);
    assert_eq!(thread.damage, []);
}

/// A file keeps the dialect that it is written in.
#[test]
fn files_without_numbers_are_gone_on_with_as_they_are() {
    let home = Home::new();
    let first = line("session_meta", json!({"id": A, "cwd": "/p"}));
    let path = home.write(A, &[vec![first], turns(&["a"])].concat());
    let (thread, recorder) = RolloutRecorder::resume(&path).expect("it resumes");
    let mut feed = Feed::of(recorder, thread.info.thread_id);
    feed.turn("again", "Yes.");
    let written = &lines(&path)[5..];
    assert!(written.iter().all(|line| line["ordinal"].is_null()));
    let events: Vec<&str> = written
        .iter()
        .filter_map(|line| line["payload"]["type"].as_str())
        .collect();
    assert_eq!(
        events,
        [
            "task_started",
            "thread_settings_applied",
            "message",
            "user_message",
            "agent_message",
            "message",
            "token_count",
            "task_complete"
        ]
    );
    let thread = load_thread(&path).expect("it loads");
    assert_eq!(texts(&thread), ["a", "A", "again", "Yes."]);
}

#[test]
fn a_packed_file_is_read_and_unpacked_to_go_on() {
    let home = Home::new();
    let path = home.thread(A, &turns(&["a", "b"]));
    let whole = std::fs::read(&path).expect("the file");
    let packed = path.with_extension("jsonl.zst");
    // Two frames, as a file has that was packed in two goes.
    let (one, two) = whole.split_at(whole.len() / 2);
    let frames = [one, two].map(|part| zstd::encode_all(part, 0).expect("packed"));
    std::fs::write(&packed, frames.concat()).expect("written");
    std::fs::remove_file(&path).expect("removed");
    let expected = ["a", "A", "b", "B"];
    assert_eq!(texts(&load_thread(&packed).expect("it loads")), expected);
    assert!(packed.exists(), "reading changes nothing");

    let (thread, recorder) = RolloutRecorder::resume(&packed).expect("it resumes");
    assert_eq!((texts(&thread), &thread.path), (expected.to_vec(), &path));
    assert_eq!(std::fs::read(&path).expect("unpacked"), whole);
    assert!(!packed.exists());
    Feed::of(recorder, thread.info.thread_id).turn("c", "C");
    assert_eq!(load_thread(&path).expect("it loads").items.len(), 6);
}

#[test]
fn a_packed_file_that_breaks_off_is_read_as_far_as_it_goes() {
    let home = Home::new();
    let texts: Vec<String> = (0..2000).map(|number| format!("prompt {number}")).collect();
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    let path = home.thread(A, &turns(&all));
    let packed = zstd::encode_all(&*std::fs::read(&path).expect("the file"), 0).expect("packed");
    std::fs::remove_file(&path).expect("removed");
    let broken = path.with_extension("jsonl.zst");
    std::fs::write(&broken, &packed[..packed.len() / 2]).expect("written");
    let thread = load_thread(&broken).expect("it loads");
    assert!(thread.items.len() < 4000);
    assert!(!thread.damage.is_empty());
    RolloutRecorder::resume(&broken)
        .err()
        .expect("going on would lose the rest");
    assert!(broken.exists(), "and it was not touched");
}

#[test]
fn a_thread_whose_first_line_is_lost_is_known_by_its_name() {
    let home = Home::new();
    let path = home.thread(A, &turns(&["a"]));
    let whole = std::fs::read_to_string(&path).expect("the file");
    std::fs::write(&path, whole.replacen("{\"timestamp\"", "{\"timest", 1)).expect("damaged");
    let thread = load_thread(&path).expect("it loads");
    assert_eq!(thread.info.thread_id.to_string(), A);
    assert_eq!(texts(&thread), ["a", "A"]);
    assert_eq!(thread.damage.len(), 1);
    assert_eq!(thread.damage[0].line, 1);
}
