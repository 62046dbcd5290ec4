//! The index is a projection: whatever happens to it, lists say what the files say.

use std::path::Path;
use std::time::{Duration, SystemTime};

use dovetail_core::ids::ThreadId;
use dovetail_store::{
    ForkAt, ForkSettings, Listing, StoreError, archive_thread, copies, find_called, find_last,
    find_named, fork_thread, index_path, list_threads, load_thread, rebuild_index, search_threads,
    set_name, unarchive_thread,
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
    let rebuilt = rebuild_index(home.path()).expect("what is in its place is put aside");
    assert_eq!(rebuilt.without_index, None);
    assert!(home.path().join("dovetail/threads.aside").is_dir());
    assert_eq!(list(&home).read, 0);

    std::fs::remove_dir_all(home.path().join("dovetail")).expect("removed");
    std::fs::write(home.path().join("dovetail"), "").expect("a file in the directory's place");
    let listing = list_threads(home.path()).expect("a list");
    assert_eq!(shown(&listing), [row(A, "first", 1)]);
    let error = rebuild_index(home.path()).expect_err("it cannot be made");
    assert!(matches!(error, StoreError::Index { .. }), "{error}");
}

#[test]
fn an_index_that_somebody_else_writes_is_left_to_them() {
    let home = Home::new();
    let path = home.thread(A, &turns(&["first"]));
    list(&home);
    let other = rusqlite::Connection::open(index_path(home.path())).expect("the index");
    other.execute_batch("BEGIN IMMEDIATE").expect("their turn");
    append(
        &path,
        &format!("{}\n", line("event_msg", json!({"type": "task_started"}))),
    );
    let listing = list(&home);
    assert_eq!(shown(&listing), [row(A, "first", 2)]);
    other.execute_batch("COMMIT").expect("it is still there");
    assert_eq!(list(&home).read, 1, "now it is brought up");
    assert_eq!(list(&home).read, 0);
}

#[test]
fn a_row_that_names_no_thread_is_not_believed() {
    let home = Home::new();
    home.thread(A, &turns(&["first"]));
    list(&home);
    let other = rusqlite::Connection::open(index_path(home.path())).expect("the index");
    other
        .execute_batch("UPDATE threads SET thread = 'x'")
        .expect("damaged");
    drop(other);
    let listing = list(&home);
    assert_eq!(shown(&listing), [row(A, "first", 1)]);
    assert_eq!((listing.unreadable.len(), listing.read), (0, 1));
}

#[test]
fn a_file_that_was_replaced_by_a_longer_one_is_read_as_a_whole() {
    let home = Home::new();
    let path = home.thread(A, &turns(&["first"]));
    list(&home);
    let other = [
        &[meta(A, json!({"cwd": "/elsewhere"}))],
        &*turns(&["other", "words"]),
    ]
    .concat();
    std::fs::write(&path, crate::lines::text(&numbered(0, &other))).expect("replaced");
    assert_eq!(shown(&list(&home)), [row(A, "other", 2)]);
    std::fs::write(
        &path,
        crate::lines::text(&numbered(0, &other)).replace("other", "third"),
    )
    .expect("replaced by one of the same length");
    aged(&path, 7);
    assert_eq!(shown(&list(&home)), [row(A, "third", 2)]);
}

#[test]
fn a_link_is_as_its_file_and_a_pipe_keeps_nobody_waiting() {
    let home = Home::new();
    let path = home.thread(A, &turns(&["first"]));
    let real = home.path().join("real.jsonl");
    std::fs::rename(&path, &real).expect("moved");
    std::os::unix::fs::symlink(&real, &path).expect("a link");
    let pipe = home.write(B, &[]);
    std::fs::remove_file(&pipe).expect("removed");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());

    let listing = list(&home);
    assert_eq!(shown(&listing), [row(A, "first", 1)]);
    assert_eq!(listing.unreadable, std::slice::from_ref(&pipe));
    let size = std::fs::metadata(&real).expect("the file").len();
    assert_eq!(listing.threads[0].size, size);
    let more: String = numbered(5, &turn("second"))
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    append(&real, &more);
    assert_eq!(shown(&list(&home)), [row(A, "first", 2)]);
    assert_eq!(find_last(home.path(), None).expect("the newest"), path);
    let error = load_thread(&pipe).expect_err("a pipe is no thread");
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
}

#[test]
fn many_files_and_many_directories_are_all_seen_once() {
    let home = Home::new();
    let mut expected = Vec::new();
    for number in 0..1200 {
        let id = format!("01a1fb58-2811-7ea0-9e27-{number:012}");
        let path = home.thread(&id, &[]);
        if number >= 1100 {
            let day = format!("sessions/2026/10/{:02}", number % 20);
            let day = home.path().join(day);
            std::fs::create_dir_all(&day).expect("directories");
            let name = path.file_name().expect("a name");
            std::fs::rename(&path, day.join(name)).expect("moved");
        }
        expected.push(id);
    }
    let listing = list(&home);
    let mut ids: Vec<String> = listing
        .threads
        .iter()
        .map(|thread| thread.id.to_string())
        .collect();
    ids.sort();
    assert_eq!(ids, expected);
    assert_eq!((listing.read, list(&home).read), (1200, 0));
}

#[test]
fn of_two_copies_all_take_the_same() {
    let home = Home::new();
    let older = home.thread(A, &turns(&["first"]));
    for later in ["2027-01-01T00-00-00", "2025-01-01T00-00-00"] {
        let copy = older.with_file_name(format!("rollout-{later}-{A}.jsonl"));
        std::fs::copy(&older, &copy).expect("a copy");
    }
    let expected = older.with_file_name(format!("rollout-2027-01-01T00-00-00-{A}.jsonl"));
    let listing = list(&home);
    let paths: Vec<&Path> = listing.threads.iter().map(|thread| &*thread.path).collect();
    assert_eq!(paths, [&*expected]);
    assert_eq!(find_called(home.path(), A).expect("found"), expected);
    let copies = copies(home.path()).expect("they are looked for");
    let counted: Vec<&Path> = copies.iter().map(|(_, counts)| &**counts).collect();
    assert_eq!(counted, [&*expected, &*expected]);
}

#[test]
fn a_thread_is_listed_by_the_id_that_it_is_found_by() {
    let home = Home::new();
    let path = home.write(
        A,
        &numbered(0, &[&[meta(B, json!({}))], &*turns(&["first"])].concat()),
    );
    assert_eq!(shown(&list(&home)), [row(A, "first", 1)]);
    let thread = load_thread(&path).expect("it loads");
    assert_eq!(thread.info.thread_id, id(A));
    let told: Vec<String> = thread.damage.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [format!(
            "line 1 says that it is thread `{B}`; the file's name counts"
        )]
    );
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
