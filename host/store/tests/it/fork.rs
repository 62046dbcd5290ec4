//! Forks and reverts: histories that are in several files.

use dovetail_core::ids::ThreadId;
use dovetail_store::{
    ForkAt, ForkSettings, Problem, RolloutRecorder, StoreError, archive_thread, delete_thread,
    find_by_id, fork_thread, list_turns, load_thread,
};
use serde_json::{Value, json};

use crate::fixture::{Feed, lines};
use crate::lines::{A, B, C, Home, event, line, meta, numbered, said, texts, turn, turns};

/// What a revert's file is called.
const SEGMENT: &str = "01a1fc9c-2dc3-7bf1-8588-4c4553abce68";

fn id(text: &str) -> ThreadId {
    ThreadId::parse(text).expect("an id")
}

fn at(turn: &str) -> ForkAt {
    ForkAt::Turn(turn.to_owned())
}

fn settings() -> ForkSettings {
    ForkSettings {
        source: "exec".into(),
        thread_source: Some("user".into()),
        ..ForkSettings::default()
    }
}

#[test]
fn a_fork_refers_to_its_thread_and_copies_nothing() {
    let home = Home::new();
    let parent = home.thread(A, &turns(&["a", "b"]));
    let (thread, recorder) = fork_thread(&parent, &ForkAt::End, settings()).expect("it forks");
    assert_eq!(texts(&thread), ["a", "A", "b", "B"]);
    assert!(!thread.path.exists(), "nothing was said in it yet");
    let mut feed = Feed::of(recorder, thread.info.thread_id);
    feed.turn("c", "C");

    let written = lines(&thread.path);
    assert_eq!(written.len(), 11, "its own lines only");
    let first = &written[0]["payload"];
    let offset = std::fs::metadata(&parent).expect("the file").len();
    assert_eq!(
        first["history_base"],
        json!({"thread_id": A, "end_ordinal_exclusive": 9, "end_byte_offset": offset})
    );
    assert_eq!(
        (
            &first["forked_from_id"],
            &first["forked_from_ordinal_exclusive"]
        ),
        (&json!(A), &json!(9))
    );
    assert_eq!(first["session_id"], first["id"], "a session of its own");
    let ordinals: Vec<u64> = written
        .iter()
        .filter_map(|line| line["ordinal"].as_u64())
        .collect();
    assert_eq!(ordinals, (9..20).collect::<Vec<u64>>());
    drop(feed);
    let again = load_thread(&thread.path).expect("it loads");
    assert_eq!(texts(&again), ["a", "A", "b", "B", "c", "C"]);
    assert_eq!(again.info.forked_from.expect("a fork").thread_id, id(A));
}

#[test]
fn a_fork_can_leave_its_thread_after_any_turn() {
    let home = Home::new();
    let parent = home.thread(A, &turns(&["a", "b", "c"]));
    for (wanted, ordinal, expected) in [
        ("1", 5, &["a", "A"][..]),
        ("turn-b", 9, &["a", "A", "b", "B"]),
        ("3", 13, &["a", "A", "b", "B", "c", "C"]),
    ] {
        let (thread, _) = fork_thread(&parent, &at(wanted), settings()).expect("it forks");
        assert_eq!(texts(&thread), expected, "{wanted}");
        let point = thread.info.forked_from.expect("a fork");
        assert_eq!(point.ordinal_exclusive, Some(ordinal), "{wanted}");
    }
    let error = fork_thread(&parent, &at("4"), settings())
        .err()
        .expect("no such turn");
    assert!(
        matches!(error, StoreError::NoTurn { turns: 3, .. }),
        "{error}"
    );
}

#[test]
fn what_comes_later_in_a_thread_is_not_in_its_forks() {
    let home = Home::new();
    let parent = home.thread(A, &turns(&["a"]));
    let (fork, mut recorder) = fork_thread(&parent, &ForkAt::End, settings()).expect("it forks");
    recorder.begin().expect("its first line");
    drop(recorder);
    let (thread, recorder) = RolloutRecorder::resume(&parent).expect("it resumes");
    Feed::of(recorder, thread.info.thread_id).turn("later", "Later.");
    assert_eq!(
        texts(&load_thread(&fork.path).expect("it loads")),
        ["a", "A"]
    );
}

#[test]
fn forks_of_forks_are_read_through_all_of_them() {
    let home = Home::new();
    let mut path = home.thread(A, &turns(&["t0"]));
    for number in 1..40 {
        let (thread, recorder) = fork_thread(&path, &ForkAt::End, settings()).expect("it forks");
        let mut feed = Feed::of(recorder, thread.info.thread_id);
        feed.turn(&format!("t{number}"), "ok");
        path = thread.path;
    }
    let thread = load_thread(&path).expect("it loads");
    assert_eq!(thread.items.len(), 80);
    assert_eq!(texts(&thread)[78], "t39");
    // A turn of an ancestor: the fork refers to where it is, not to what was asked.
    let (fork, _) = fork_thread(&path, &at("2"), settings()).expect("it forks");
    assert_eq!(texts(&fork), ["t0", "T0", "t1", "ok"]);
    assert_eq!(
        fork.info.forked_from.expect("a fork").thread_id,
        thread.info.thread_id
    );
    assert_eq!(list_turns(&path).expect("turns").len(), 40);
}

#[test]
fn a_history_may_be_archived_or_packed() {
    let home = Home::new();
    let parent = home.thread(A, &turns(&["a"]));
    let (fork, mut recorder) = fork_thread(&parent, &ForkAt::End, settings()).expect("it forks");
    recorder.begin().expect("its first line");
    drop(recorder);
    archive_thread(home.path(), id(A)).expect("archived");
    assert_eq!(
        texts(&load_thread(&fork.path).expect("it loads")),
        ["a", "A"]
    );

    let archived = home
        .path()
        .join("archived_sessions")
        .join(parent.file_name().expect("a name"));
    let packed =
        zstd::encode_all(&*std::fs::read(&archived).expect("the file"), 0).expect("packed");
    std::fs::write(archived.with_extension("jsonl.zst"), packed).expect("written");
    std::fs::remove_file(&archived).expect("removed");
    assert_eq!(
        texts(&load_thread(&fork.path).expect("it loads")),
        ["a", "A"]
    );
}

#[test]
fn a_history_that_is_gone_or_goes_in_a_circle_is_an_error() {
    let home = Home::new();
    let base = |id: &str| json!({"history_base": {"thread_id": id, "end_ordinal_exclusive": 5, "end_byte_offset": 1}});
    let fork = home.write(B, &numbered(5, &[meta(B, base(A))]));
    let error = load_thread(&fork).expect_err("the parent is missing");
    assert!(
        matches!(&error, StoreError::NoParent { parent, .. } if *parent == id(A)),
        "{error}"
    );
    home.write(A, &numbered(5, &[meta(A, base(B))]));
    let error = load_thread(&fork).expect_err("a circle");
    assert!(matches!(error, StoreError::Circle { .. }), "{error}");
}

#[test]
fn a_history_that_ends_too_early_is_reported() {
    let home = Home::new();
    let parent = home.thread(A, &turns(&["a", "b"]));
    let (fork, mut recorder) = fork_thread(&parent, &ForkAt::End, settings()).expect("it forks");
    recorder.begin().expect("its first line");
    drop(recorder);
    let kept: String = std::fs::read_to_string(&parent)
        .expect("the file")
        .lines()
        .take(6)
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&parent, kept).expect("cut off");
    let thread = load_thread(&fork.path).expect("it loads as far as it goes");
    assert_eq!(texts(&thread), ["a", "A"]);
    assert_eq!(thread.damage[0].problem, Problem::EndsEarly { missing: 3 });
    assert_eq!(thread.next_ordinal, 10);
}

#[test]
fn what_says_only_which_thread_it_left_is_read_too() {
    let home = Home::new();
    home.thread(A, &turns(&["a", "b"]));
    let more = json!({"forked_from_id": A, "forked_from_ordinal_exclusive": 5});
    let own = [vec![meta(B, more)], turn("c")].concat();
    let fork = home.write(B, &numbered(5, &own));
    assert_eq!(
        texts(&load_thread(&fork).expect("it loads")),
        ["a", "A", "c", "C"]
    );
    // Left before it began itself: all of its history is where that one began.
    let more = json!({"forked_from_id": B, "forked_from_ordinal_exclusive": 5});
    let fork = home.write(C, &numbered(5, &[meta(C, more)]));
    assert_eq!(texts(&load_thread(&fork).expect("it loads")), ["a", "A"]);
}

#[test]
fn the_file_of_the_newest_revert_is_the_thread() {
    let home = Home::new();
    home.thread(A, &turns(&["a", "b"]));
    let base =
        json!({"history_base": {"thread_id": A, "end_ordinal_exclusive": 5, "end_byte_offset": 1}});
    let own = [vec![meta(A, base)], turn("c")].concat();
    let reverted = home.write(&format!("{A}_{SEGMENT}"), &numbered(5, &own));
    assert_eq!(find_by_id(home.path(), id(A)).expect("found"), reverted);
    let thread = load_thread(&reverted).expect("it loads");
    assert_eq!(texts(&thread), ["a", "A", "c", "C"]);
    assert_eq!(thread.info.thread_id, id(A));
    // Its forks refer to the file that the turn is in.
    let (fork, mut recorder) = fork_thread(&reverted, &at("2"), settings()).expect("it forks");
    recorder.begin().expect("its first line");
    assert_eq!(
        lines(&fork.path)[0]["payload"]["history_base"]["thread_id"],
        SEGMENT
    );
    drop(recorder);
    let error = delete_thread(home.path(), id(A)).expect_err("a fork begins in it");
    assert!(
        matches!(&error, StoreError::HasForks { forks, .. } if *forks == [fork.info.thread_id]),
        "{error}"
    );
    delete_thread(home.path(), fork.info.thread_id).expect("nothing begins in the fork");
    delete_thread(home.path(), id(A)).expect("nothing begins in it any more");
    assert!(!reverted.exists());
}

#[test]
fn a_fork_keeps_the_window_it_begins_in() {
    let home = Home::new();
    let window = "01a1fb58-2813-7c21-83a0-271860cc2021";
    let compacted = line(
        "compacted",
        json!({"message": "", "replacement_history": [], "window_number": 3, "window_id": window}),
    );
    let parent = home.thread(A, &[turns(&["a"]), vec![compacted], turns(&["b"])].concat());
    let (fork, mut recorder) = fork_thread(&parent, &ForkAt::End, settings()).expect("it forks");
    assert_eq!(
        (fork.window_number, fork.info.window_id.to_string().as_str()),
        (3, window)
    );
    recorder.begin().expect("its first line");
    let again = load_thread(&fork.path).expect("it loads");
    assert_eq!(
        (again.window_number, again.info.window_id),
        (3, fork.info.window_id)
    );
    let (early, _) = fork_thread(&parent, &at("1"), settings()).expect("it forks");
    assert_eq!(early.window_number, 0, "the compaction came later");
}

#[test]
fn a_fork_of_a_file_without_numbers_is_a_copy_in_the_same_dialect() {
    let home = Home::new();
    let old = [
        vec![line("session_meta", json!({"id": A, "cwd": "/p"}))],
        turns(&["a", "b"]),
    ]
    .concat();
    let parent = home.write(A, &old);
    let (fork, recorder) = fork_thread(&parent, &at("1"), settings()).expect("it forks");
    assert_eq!(texts(&fork), ["a", "A"]);
    let mut feed = Feed::of(recorder, fork.info.thread_id);
    feed.turn("c", "C");
    let written = lines(&fork.path);
    assert_eq!(written[0]["payload"]["history_mode"], "legacy");
    assert_eq!(written[0]["payload"]["history_base"], Value::Null);
    assert_eq!(written[1..6], old[..5], "the lines as they were");
    assert!(written.iter().all(|line| line["ordinal"].is_null()));
    assert_eq!(
        texts(&load_thread(&fork.path).expect("it loads")),
        ["a", "A", "c", "C"]
    );
}

#[test]
fn turns_that_were_rolled_back_are_no_turns() {
    let home = Home::new();
    let rolled_back = line(
        "event_msg",
        json!({"type": "thread_rolled_back", "num_turns": 1}),
    );
    let context = said("user", "<environment_context>x</environment_context>");
    let path = home.thread(
        A,
        &[
            turns(&["a", "b"]),
            vec![rolled_back],
            vec![event("task_started"), context, event("task_complete")],
            turns(&["c"]),
            vec![event("task_started"), said("user", "d")],
        ]
        .concat(),
    );
    let turns: Vec<(usize, String, Option<String>, bool)> = list_turns(&path)
        .expect("turns")
        .into_iter()
        .map(|turn| (turn.number, turn.prompt, turn.answer, turn.ended))
        .collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        turns,
        [
            (1, "a".to_owned(), some("A"), true),
            (2, "c".to_owned(), some("C"), true),
            (3, "d".to_owned(), None, false)
        ]
    );
}
