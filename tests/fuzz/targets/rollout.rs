//! Rollout files: any bytes are read as far as they go or refused in words, and taking a thread up, which mends the
//! end of its file, changes nothing of what is read.
//!
//! If the first byte is even, a first line that is well stands before the rest, so that more than first lines is tried.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;
use std::time::UNIX_EPOCH;

use dovetail_store::{LoadedThread, RolloutRecorder, StoreError, load_thread};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const FIRST_LINE: &[u8] = br#"{"timestamp":"2026-11-20T23:43:41.100Z","ordinal":0,"type":"session_meta","payload":{"session_id":"01a1fb58-2811-7ea0-9e27-e6be064a83e5","id":"01a1fb58-2811-7ea0-9e27-e6be064a83e5","timestamp":"2026-11-20T23:43:41.100Z","cwd":"/p","originator":"codex_exec","cli_version":"0.1.0","source":"exec","model_provider":"openai"}}
"#;

static DIR: LazyLock<TempDir> = LazyLock::new(|| {
    // In memory where that is possible: an input is a file.
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    dir.expect("a temporary directory")
});

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else {
        return;
    };
    let path = DIR.path().join("rollout.jsonl");
    let mut bytes = Vec::new();
    if first % 2 == 0 {
        bytes.extend_from_slice(FIRST_LINE);
    }
    bytes.extend_from_slice(rest);
    std::fs::write(&path, &bytes).expect("a file in a directory of our own");
    let read = load_thread(&path);
    let taken_up = RolloutRecorder::resume(&path).map(|(thread, recorder)| {
        drop(recorder);
        thread
    });
    match (read, taken_up) {
        (Ok(read), Ok(taken_up)) => {
            let again = load_thread(&path).expect("it could be read before it was mended");
            let read = facts(read, &bytes);
            assert_eq!(read, facts(taken_up, &bytes));
            assert_eq!(read, facts(again, &bytes));
        }
        (Err(read), Err(taken_up)) => assert_eq!(words(&read), words(&taken_up)),
        (read, taken_up) => panic!("{read:?} and {taken_up:?}"),
    }
});

/// What must not change. The damage of a torn end goes away with it, a window that the file gives no id gets another one
/// each time, and where neither the file nor the id says when it began, the age of the file has to do.
fn facts(mut thread: LoadedThread, file: &[u8]) -> String {
    if thread.info.thread_id.time().is_none() {
        thread.info.created = UNIX_EPOCH;
    }
    let info = format!("{:?}", thread.info);
    let window = thread.info.window_id.to_string();
    let given = memchr::memmem::find(file, window.as_bytes()).is_some();
    format!(
        "{} {:?} {} {:?} {} {:?}",
        if given { info } else { info.replace(&window, "") },
        thread.items,
        thread.window_number,
        thread.totals,
        thread.next_ordinal,
        thread.last_settings
    )
}

fn words(error: &StoreError) -> String {
    let words = error.to_string();
    assert!(!words.trim().is_empty());
    words
}
