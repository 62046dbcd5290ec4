//! Threads are found by id, by age and by directory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use dovetail_core::ids::ThreadId;
use dovetail_store::{StoreError, find_by_id, find_last, list_threads};
use serde_json::json;

const OLD: &str = "01a1fb58-2811-7ea0-9e27-e6be064a83e5";
const NEW: &str = "01a1fb5a-c45c-75a1-8854-1c7fcf0989f6";

/// Writes a thread of the given age in seconds.
fn thread(home: &Path, folder: &str, id: &str, cwd: &str, age: u64) -> PathBuf {
    let directory = home.join(folder);
    std::fs::create_dir_all(&directory).expect("directories");
    let path = directory.join(format!("rollout-2026-11-20T23-43-41-{id}.jsonl"));
    let meta = json!({"type": "session_meta", "payload": {"id": id, "cwd": cwd, "source": "exec", "model_provider": "mock"}});
    std::fs::write(&path, format!("{meta}\n")).expect("a file");
    let file = File::options().write(true).open(&path).expect("the file");
    file.set_modified(SystemTime::now() - Duration::from_secs(age))
        .expect("its age is set");
    path
}

fn id(text: &str) -> ThreadId {
    ThreadId::parse(text).expect("an id")
}

#[test]
fn the_newest_is_the_one_written_to_last_whatever_its_day() {
    let home = tempfile::tempdir().expect("a directory");
    let resumed_today = thread(home.path(), "sessions/2025/01/01", OLD, "/a", 1);
    let other = thread(home.path(), "sessions/2026/11/20", NEW, "/b", 100);
    assert_eq!(find_last(home.path(), None).expect("one"), resumed_today);
    assert_eq!(
        find_last(home.path(), Some(Path::new("/b"))).expect("one"),
        other
    );
    let nothing = find_last(home.path(), Some(Path::new("/c"))).expect_err("none there");
    assert_eq!(nothing.to_string(), "no thread to resume for `/c`");
    let listed: Vec<ThreadId> = list_threads(home.path())
        .expect("a list")
        .threads
        .iter()
        .map(|found| found.id)
        .collect();
    assert_eq!(listed, [id(OLD), id(NEW)]);
}

#[test]
fn a_thread_is_found_by_its_id_or_the_error_says_where_it_is() {
    let home = tempfile::tempdir().expect("a directory");
    let path = thread(home.path(), "sessions/2026/11/20", OLD, "/a", 1);
    assert_eq!(find_by_id(home.path(), id(OLD)).expect("found"), path);
    assert!(matches!(
        find_by_id(home.path(), id(NEW)),
        Err(StoreError::NotFound { .. })
    ));

    thread(home.path(), "archived_sessions", NEW, "/a", 1);
    assert!(matches!(
        find_by_id(home.path(), id(NEW)),
        Err(StoreError::Archived { .. })
    ));

    let packed = path.with_extension("jsonl.zst");
    std::fs::rename(&path, &packed).expect("renamed");
    assert_eq!(find_by_id(home.path(), id(OLD)).expect("found"), packed);
}

#[test]
fn no_home_is_no_thread() {
    let home = tempfile::tempdir().expect("a directory");
    let missing = home.path().join("missing");
    assert!(matches!(
        find_last(&missing, None),
        Err(StoreError::Nothing { cwd: None })
    ));
    let listing = list_threads(&missing).expect("an empty list");
    assert!(listing.threads.is_empty());
    assert!(!missing.exists(), "looking leaves no trace");
}
