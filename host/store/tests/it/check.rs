//! Damage is named with its place, and repairs keep what there was.

use dovetail_core::ids::ThreadId;
use dovetail_store::{
    ForkAt, ForkSettings, RolloutRecorder, StoreError, check_file, files_to_check, fork_thread,
    list_threads, load_thread, repair,
};
use serde_json::json;

use crate::lines::{A, B, Home, meta, numbered, texts, turns};

#[test]
fn damage_is_named_with_its_line_and_what_was_lost() {
    let home = Home::new();
    let path = home.thread(A, &turns(&["a", "b"]));
    let whole = std::fs::read_to_string(&path).expect("the file");
    let mut lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    lines[2] = lines[2].replace("\"content\"", "\"cont");
    lines[5] = "\u{fffd}garbage".to_owned();
    let damaged = format!("{}\n{{\"timestamp\":\"2026", lines.join("\n"));
    std::fs::write(&path, &damaged).expect("written");

    let checked = check_file(&path);
    let told: Vec<(u64, &str)> = checked
        .findings
        .iter()
        .map(|finding| (finding.damage.line, finding.lost.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (3, "a message of the user"),
            (6, "nothing that can be told"),
            (10, "nothing that can be told")
        ]
    );
    assert!(checked.repairable);
    assert_eq!(checked.good_lines, 7);

    let before = load_thread(&path).expect("it loads");
    let repaired = repair(&path).expect("it is repaired");
    assert_eq!(repaired.path, Some(path.clone()));
    assert_eq!(
        std::fs::read_to_string(&repaired.original).expect("kept"),
        damaged
    );
    assert!(check_file(&path).is_sound());
    let after = load_thread(&path).expect("it loads");
    assert_eq!(texts(&after), texts(&before));
    assert_eq!(list_threads(home.path()).expect("a list").threads.len(), 1);
}

#[test]
fn forks_find_their_beginning_in_a_repaired_file() {
    let home = Home::new();
    let parent = home.thread(A, &turns(&["a", "b"]));
    let settings = ForkSettings::default();
    let (fork, mut recorder) = fork_thread(&parent, &ForkAt::End, settings).expect("it forks");
    recorder.begin().expect("its first line");
    drop(recorder);
    let whole = std::fs::read(&parent).expect("the file");
    let mut damaged = whole.clone();
    let answer = memchr::memmem::find(&whole, b"\"A\"").expect("the first answer");
    damaged[answer + 1] = 0xff;
    std::fs::write(&parent, &damaged).expect("written");
    repair(&parent).expect("it is repaired");
    let mended = std::fs::read(&parent).expect("the file");
    assert_eq!(mended.len(), whole.len(), "what follows is where it was");
    let thread = load_thread(&fork.path).expect("it loads");
    assert_eq!(thread.damage, []);
    assert_eq!(thread.items.len(), 3);
}

#[test]
fn a_lost_first_line_is_written_again() {
    let home = Home::new();
    let path = home.thread(A, &turns(&["a"]));
    let whole = std::fs::read_to_string(&path).expect("the file");
    let (first, rest) = whole.split_once('\n').expect("lines");
    let padded = format!("{}{}", "#".repeat(first.len() + 200), "\n");
    std::fs::write(&path, padded + rest).expect("damaged");
    let checked = check_file(&path);
    assert_eq!(checked.findings.len(), 1);
    repair(&path).expect("it is repaired");
    let thread = load_thread(&path).expect("it loads");
    assert_eq!(thread.damage, []);
    assert_eq!(thread.info.thread_id.to_string(), A);
    assert_eq!(texts(&thread), ["a", "A"]);
}

#[test]
fn a_packed_file_that_breaks_off_is_repaired_by_what_is_left_of_it() {
    let home = Home::new();
    let texts: Vec<String> = (0..2000).map(|number| format!("prompt {number}")).collect();
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    let path = home.thread(A, &turns(&all));
    let packed = zstd::encode_all(&*std::fs::read(&path).expect("the file"), 0).expect("packed");
    std::fs::remove_file(&path).expect("removed");
    let broken = path.with_extension("jsonl.zst");
    std::fs::write(&broken, &packed[..packed.len() / 2]).expect("written");
    let before = load_thread(&broken).expect("it loads").items.len();
    let error = RolloutRecorder::resume(&broken)
        .err()
        .expect("it is not whole");
    let hint = error.hint().expect("something can be done");
    assert!(hint.contains("dovetail thread fsck --repair"), "{hint}");
    let repaired = repair(&broken).expect("it is repaired");
    assert_eq!(repaired.path, Some(path.clone()));
    assert!(repaired.original.exists() && !broken.exists());
    let (thread, _) = RolloutRecorder::resume(&path).expect("it can be gone on with");
    assert_eq!((thread.items.len(), thread.damage.len()), (before, 0));
}

#[test]
fn a_thread_in_use_is_not_repaired() {
    let home = Home::new();
    let path = home.thread(A, &turns(&["a"]));
    let (_thread, _recorder) = RolloutRecorder::resume(&path).expect("it resumes");
    let before = std::fs::read(&path).expect("the file");
    let error = repair(&path).expect_err("it is in use");
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert_eq!(std::fs::read(&path).expect("the file"), before);
}

#[test]
fn all_files_or_those_of_one_thread_are_checked() {
    let home = Home::new();
    let [a, b] = [A, B].map(|id| home.thread(id, &turns(&["a"])));
    let id = |text| ThreadId::parse(text).expect("an id");
    assert_eq!(
        files_to_check(home.path(), None).expect("files"),
        [a, b.clone()]
    );
    assert_eq!(
        files_to_check(home.path(), Some(id(B))).expect("files"),
        [b]
    );
    let missing = id("01a1fb58-2811-7ea0-9e27-000000000000");
    assert!(files_to_check(home.path(), Some(missing)).is_err());
}

/// Checks a file, mends it, and gives what was found and what its first line then is.
#[track_caller]
fn found_and_mended(path: &std::path::Path) -> (Vec<(u64, String)>, serde_json::Value) {
    let checked = check_file(path);
    assert!(checked.repairable && checked.unusable.is_none());
    let found = checked.findings.iter();
    let found = found
        .map(|finding| (finding.damage.line, finding.damage.what()))
        .collect();
    repair(path).expect("it is repaired");
    assert!(check_file(path).is_sound());
    let text = std::fs::read_to_string(path).expect("the file");
    let first = text.lines().next().expect("a line");
    (found, serde_json::from_str(first).expect("JSON"))
}

#[test]
fn a_file_that_does_not_say_which_thread_it_is_gets_its_line_back() {
    let home = Home::new();
    for (lines, mode) in [
        (numbered(1, &turns(&["a"])), json!("paginated")),
        (turns(&["a"]), json!(null)),
    ] {
        let path = home.write(A, &lines);
        let (found, first) = found_and_mended(&path);
        assert_eq!(found, [(1, "no line says which thread it is".to_owned())]);
        assert_eq!(
            (&first["payload"]["id"], &first["payload"]["history_mode"]),
            (&json!(A), &mode)
        );
        assert_eq!(texts(&load_thread(&path).expect("it loads")), ["a", "A"]);
    }
}

#[test]
fn a_file_of_another_name_says_so_until_it_is_repaired() {
    let home = Home::new();
    for id in [B, "../../etc/passwd\u{1b}[2J"] {
        let path = home.write(
            A,
            &numbered(
                0,
                &[&[meta(id, json!({"cwd": "/kept"}))], &*turns(&["a"])].concat(),
            ),
        );
        let (found, first) = found_and_mended(&path);
        assert_eq!(
            found,
            [(1, format!("says that it is thread `{}`", id.escape_debug()))]
        );
        assert_eq!(
            (&first["payload"]["id"], &first["payload"]["cwd"]),
            (&json!(A), &json!("/kept"))
        );
    }
}

#[test]
fn garbage_before_the_first_line_does_not_cost_it() {
    let home = Home::new();
    let path = home.thread(A, &turns(&["a"]));
    let whole = std::fs::read_to_string(&path).expect("the file");
    std::fs::write(&path, format!("{}\n{whole}", "#".repeat(900))).expect("damaged");
    repair(&path).expect("it is repaired");
    let mended = std::fs::read_to_string(&path).expect("the file");
    assert_eq!(mended.trim_start(), whole);
}

#[test]
fn a_file_without_a_line_is_put_aside() {
    let home = Home::new();
    for text in ["", "\n\n", "{\"timestamp\":\"2026-11-2", "\0\0\0\0"] {
        let path = home.write(A, &[]);
        std::fs::write(&path, text).expect("written");
        let checked = check_file(&path);
        assert!(checked.repairable && checked.unusable.is_some(), "{text:?}");
        let repaired = repair(&path).expect("it is put aside");
        assert_eq!(repaired.path, None);
        assert_eq!(
            std::fs::read_to_string(&repaired.original).expect("kept"),
            text
        );
        let listing = list_threads(home.path()).expect("a list");
        assert_eq!((listing.threads.len(), listing.unreadable.len()), (0, 0));
    }
}
