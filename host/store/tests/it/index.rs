//! The index is a projection: whatever happens to it, lists say what the files say.

use std::path::Path;
use std::time::{Duration, SystemTime};

use dovetail_core::ids::ThreadId;
use dovetail_store::{
    ForkAt, ForkSettings, Listing, StoreError, archive_thread, find_called, find_last, find_named,
    fork_thread, index_path, list_threads, rebuild_index, search_threads, set_name,
    unarchive_thread,
};
use serde_json::json;

use crate::lines::{A, B, C, Home, line, meta, numbered, turn, turns};

fn id(text: &str) -> ThreadId {
    ThreadId::parse(text).expect("an id")
}

fn list(home: &Home) -> Listing {
    let listing = list_threads(home.path()).expect("a list");
    assert_eq!(listing.without_index, None);
    listing
}

/// Id, first words, turns and name of each thread.
fn shown(listing: &Listing) -> Vec<(String, String, u64, Option<String>)> {
    let threads = listing.threads.iter();
    threads
        .map(|thread| {
            (
                thread.id.to_string(),
                thread.preview.clone(),
                thread.turns,
                thread.name.clone(),
            )
        })
        .collect()
}

fn row(id: &str, preview: &str, turns: u64) -> (String, String, u64, Option<String>) {
    (id.to_owned(), preview.to_owned(), turns, None)
}

fn aged(path: &Path, seconds: u64) {
    let file = std::fs::File::options()
        .append(true)
        .open(path)
        .expect("the file");
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
        .expect("its age is set");
}

fn append(path: &Path, text: &str) {
    let before = std::fs::read_to_string(path).expect("the file");
    std::fs::write(path, before + text).expect("written");
}

#[test]
fn only_what_changed_is_read_again() {
    let home = Home::new();
    let a = home.thread(A, &turns(&["first", "second"]));
    let b = home.thread(B, &turns(&["other"]));
    aged(&a, 100);
    aged(&b, 50);
    let listing = list(&home);
    assert_eq!(shown(&listing), [row(B, "other", 1), row(A, "first", 2)]);
    assert_eq!(listing.read, 2);
    assert_eq!(list(&home).read, 0);

    append(
        &a,
        &numbered(9, &turn("third"))
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    );
    let listing = list(&home);
    assert_eq!(shown(&listing), [row(A, "first", 3), row(B, "other", 1)]);
    assert_eq!(listing.read, 1);

    std::fs::remove_file(&b).expect("removed");
    assert_eq!(shown(&list(&home)), [row(A, "first", 3)]);
}

#[test]
fn a_deleted_damaged_or_foreign_index_costs_nothing_but_time() {
    let home = Home::new();
    home.thread(A, &turns(&["first"]));
    let expected = shown(&list(&home));
    let index = index_path(home.path());
    let damage: [&dyn Fn(); 4] = [
        &|| std::fs::remove_file(&index).expect("removed"),
        &|| std::fs::write(&index, "this is no database").expect("written"),
        &|| {
            let mut bytes = std::fs::read(&index).expect("the file");
            for byte in &mut bytes[200..] {
                *byte = 0xa5;
            }
            std::fs::write(&index, bytes).expect("written");
        },
        &|| {
            let other = rusqlite::Connection::open(&index).expect("a database");
            other
                .execute_batch(
                    "DROP TABLE threads; CREATE TABLE threads (x); PRAGMA user_version = 1",
                )
                .expect("another shape");
        },
    ];
    for damage in damage {
        damage();
        for leftover in ["-wal", "-shm"] {
            // Where a process died there may be none.
            drop(std::fs::remove_file(format!(
                "{}{leftover}",
                index.display()
            )));
        }
        let listing = list_threads(home.path()).expect("a list");
        assert_eq!(shown(&listing), expected);
        assert_eq!(listing.without_index, None, "it was made anew");
        assert_eq!(listing.read, 1);
        assert_eq!(list(&home).read, 0, "and is used again");
    }
}

#[test]
fn where_no_index_can_be_everything_is_read() {
    let home = Home::new();
    home.thread(A, &turns(&["first"]));
    std::fs::create_dir(home.path().join("dovetail")).expect("a directory");
    std::fs::create_dir(index_path(home.path())).expect("something in its place");
    let listing = list_threads(home.path()).expect("a list");
    assert_eq!(shown(&listing), [row(A, "first", 1)]);
    assert!(listing.without_index.is_some());
    let error = rebuild_index(home.path()).expect_err("it cannot be made");
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
}

#[test]
fn what_is_no_thread_is_named_and_not_read_again() {
    let home = Home::new();
    home.thread(A, &turns(&["first"]));
    let empty = home.write(B, &[]);
    let listing = list(&home);
    assert_eq!(shown(&listing), [row(A, "first", 1)]);
    assert_eq!(listing.unreadable, [empty]);
    assert_eq!(list(&home).read, 0);
}

#[test]
fn names_are_those_given_last() {
    let home = Home::new();
    let named = line(
        "event_msg",
        json!({"type": "thread_name_updated", "thread_id": A, "thread_name": "in the file"}),
    );
    home.thread(A, &[turns(&["a"]), vec![named]].concat());
    home.thread(B, &turns(&["b"]));
    home.thread(C, &turns(&["c"]));
    let name_of = |wanted: &str| {
        let listing = list(&home);
        let found = listing
            .threads
            .into_iter()
            .find(|thread| thread.id == id(wanted));
        found.expect("it is listed").name
    };
    assert_eq!(name_of(A).as_deref(), Some("in the file"));
    set_name(home.path(), id(A), Some("plan")).expect("named");
    set_name(home.path(), id(B), Some(" plan ")).expect("named");
    set_name(home.path(), id(C), Some("plan")).expect("named");
    set_name(home.path(), id(C), None).expect("taken away");
    assert_eq!(name_of(A).as_deref(), Some("plan"));
    assert_eq!(name_of(C), None);
    let found = find_named(home.path(), "plan").expect("found");
    assert_eq!(found.len(), 2);
    assert_eq!(
        find_called(home.path(), "plan").expect("the newest"),
        found[0].path
    );
    assert!(matches!(
        find_called(home.path(), "Plan"),
        Err(StoreError::NoSuchName { .. })
    ));
    for bad in ["", "  ", "a\nb", A, &"x".repeat(201)] {
        let error = set_name(home.path(), id(A), Some(bad)).expect_err("no name");
        assert!(matches!(error, StoreError::BadName { .. }), "{error}");
    }
}

#[test]
fn names_survive_what_others_write_into_their_file() {
    let home = Home::new();
    home.thread(A, &turns(&["a"]));
    let path = home.path().join("session_index.jsonl");
    let line = json!({"id": A, "thread_name": "theirs", "updated_at": "2026-11-21T05:35:51.898024465Z", "more": 1});
    std::fs::write(&path, format!("garbage\n{line}\n{{\"id\":\"torn")).expect("written");
    assert_eq!(list(&home).threads[0].name.as_deref(), Some("theirs"));
    set_name(home.path(), id(A), Some("ours")).expect("named");
    assert_eq!(list(&home).threads[0].name.as_deref(), Some("ours"));
    let (_, damaged) = dovetail_store::check_names(home.path()).expect("read");
    assert_eq!(damaged, [1, 3]);
}

#[test]
fn archived_threads_come_back_to_their_day() {
    let home = Home::new();
    let path = home.thread(A, &turns(&["a"]));
    archive_thread(home.path(), id(A)).expect("archived");
    assert!(!path.exists());
    assert!(list(&home).threads[0].archived);
    let error = find_called(home.path(), A).expect_err("it is put away");
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("thread unarchive")),
        "{error}"
    );
    assert!(matches!(
        archive_thread(home.path(), id(A)),
        Err(StoreError::Archived { .. })
    ));
    unarchive_thread(home.path(), id(A)).expect("back");
    assert!(path.exists());
    assert!(matches!(
        unarchive_thread(home.path(), id(A)),
        Err(StoreError::NotArchived { .. })
    ));
}

#[test]
fn the_newest_of_a_directory_is_found_behind_many_others() {
    let home = Home::new();
    let other = json!({"cwd": "/elsewhere"});
    for number in 0..80 {
        let id = format!("01a1fb58-2811-7ea0-9e27-{number:012}");
        home.write(&id, &numbered(0, &[meta(&id, other.clone())]));
    }
    let path = home.thread(A, &turns(&["a"]));
    aged(&path, 1000);
    assert_eq!(
        find_last(home.path(), Some(Path::new("/p"))).expect("found"),
        path
    );
    std::fs::remove_file(&path).expect("removed");
    assert!(matches!(
        find_last(home.path(), Some(Path::new("/p"))),
        Err(StoreError::Nothing { .. })
    ));
}

#[test]
fn reviews_are_not_the_last_thread() {
    let home = Home::new();
    let path = home.thread(A, &turns(&["a"]));
    aged(&path, 100);
    let child = json!({"source": {"subagent": "review"}, "parent_thread_id": A});
    home.write(
        B,
        &numbered(0, &[vec![meta(B, child)], turns(&["r"])].concat()),
    );
    assert_eq!(find_last(home.path(), None).expect("found"), path);
    let listing = list(&home);
    assert_eq!(listing.threads[0].source, "subagent:review");
    assert_eq!(listing.threads[0].parent_thread_id, Some(id(A)));
}

#[test]
fn a_fork_in_which_nothing_was_said_is_known_by_its_thread() {
    let home = Home::new();
    let first = home.thread(A, &turns(&["what was said"]));
    let (fork, mut recorder) =
        fork_thread(&first, &ForkAt::End, ForkSettings::default()).expect("it forks");
    recorder.begin().expect("its first line");
    let (_, mut again) =
        fork_thread(&fork.path, &ForkAt::End, ForkSettings::default()).expect("it forks");
    again.begin().expect("its first line");
    let listing = list(&home);
    assert_eq!(listing.threads.len(), 3);
    for thread in listing.threads {
        assert_eq!(thread.preview, "what was said");
    }
}

#[test]
fn words_are_found_in_messages_whatever_their_case() {
    let home = Home::new();
    home.thread(A, &turns(&["Müller's \"parser\" fails", "else"]));
    home.thread(B, &turns(&["nothing of the kind"]));
    let found = |text: &str| {
        let hits = search_threads(list(&home).threads, text);
        hits.into_iter()
            .map(|hit| (hit.thread.id.to_string(), hit.messages, hit.excerpt))
            .collect::<Vec<_>>()
    };
    // What the user said and the answer in capitals.
    let hit = |excerpt: &str| vec![(A.to_owned(), 2, excerpt.to_owned())];
    assert_eq!(found("müller"), hit("Müller's \"parser\" fails"));
    assert_eq!(found("\"PARSER\""), hit("Müller's \"parser\" fails"));
    assert_eq!(found("task_started"), [], "only what was said");
}
