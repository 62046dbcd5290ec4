//! How long threads take to be read back and listed.
//!
//! `cargo bench -p dovetail-store`. The files are made once for each run, in a temporary directory.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use divan::{Bencher, black_box};
use dovetail_store::{
    ForkAt, ForkSettings, fork_thread, index_path, list_threads, load_thread, search_threads,
};

fn main() {
    divan::main();
}

const TIME: &str = "2026-11-20T23:43:41.091Z";

/// Homes that live as long as the process; the system's temporary directory is cleaned by the system.
struct Homes {
    long: PathBuf,
    many: tempfile::TempDir,
    #[expect(dead_code, reason = "keeps the directory")]
    dir: tempfile::TempDir,
}

static HOMES: LazyLock<Homes> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory");
    let long = write(dir.path(), 0, 25_000);
    let many = tempfile::tempdir().expect("a directory");
    for number in 0..10_000 {
        write(many.path(), number, 2);
    }
    list_threads(many.path()).expect("indexed");
    Homes { long, many, dir }
});

/// Writes a thread of so many turns, each of two items of about half a kilobyte and what clients are shown of them.
fn write(home: &Path, number: usize, turns: usize) -> PathBuf {
    let id = format!("01a1fb58-2811-7ea0-9e27-{number:012}");
    let day = home.join(format!(
        "sessions/2026/{:02}/{:02}",
        number / 900 + 1,
        number % 28 + 1
    ));
    std::fs::create_dir_all(&day).expect("directories");
    let path = day.join(format!("rollout-2026-11-20T23-43-41-{id}.jsonl"));
    let mut text = format!(
        "{{\"timestamp\":\"{TIME}\",\"ordinal\":0,\"type\":\"session_meta\",\"payload\":{{\"id\":\"{id}\",\"cwd\":\"/p\",\"source\":\"exec\",\"history_mode\":\"paginated\",\"base_instructions\":{{\"text\":\"{}\"}}}}}}\n",
        "x".repeat(2000)
    );
    let words = "lorem ipsum dolor sit amet ".repeat(12);
    let mut ordinal = 0;
    for turn in 0..turns {
        let mut line = |kind: &str, payload: &str| {
            ordinal += 1;
            writeln!(
                text,
                "{{\"timestamp\":\"{TIME}\",\"ordinal\":{ordinal},\"type\":\"{kind}\",\"payload\":{payload}}}"
            )
            .expect("writing to a string cannot fail");
        };
        let passthrough = format!(
            "\"internal_chat_message_metadata_passthrough\":{{\"turn_id\":\"turn-{turn}\",\"content_item_kinds\":[\"user.text\"]}}"
        );
        line(
            "event_msg",
            &format!("{{\"type\":\"task_started\",\"turn_id\":\"turn-{turn}\"}}"),
        );
        line(
            "response_item",
            &format!(
                "{{\"type\":\"message\",\"id\":\"msg_u{turn}\",\"role\":\"user\",\"content\":[{{\"type\":\"input_text\",\"text\":\"{words}\"}}],{passthrough}}}"
            ),
        );
        line(
            "event_msg",
            &format!(
                "{{\"type\":\"item_completed\",\"item\":{{\"type\":\"UserMessage\",\"content\":[{{\"type\":\"text\",\"text\":\"{words}\"}}]}}}}"
            ),
        );
        line(
            "response_item",
            &format!(
                "{{\"type\":\"message\",\"id\":\"msg_a{turn}\",\"role\":\"assistant\",\"content\":[{{\"type\":\"output_text\",\"text\":\"{words}\"}}],{passthrough}}}"
            ),
        );
        line("event_msg", "{\"type\":\"task_complete\"}");
    }
    std::fs::write(&path, text).expect("a file");
    path
}

/// A thread of 50,000 items.
#[divan::bench(sample_count = 10)]
fn load_50_000_items() {
    let thread = load_thread(black_box(&HOMES.long)).expect("it loads");
    assert_eq!(thread.items.len(), 50_000);
}

/// A fork after the first turn of it.
#[divan::bench(sample_count = 10)]
fn fork_50_000_items_at_the_end() {
    let fork = fork_thread(&HOMES.long, &ForkAt::End, ForkSettings::default());
    black_box(fork.expect("it forks"));
}

/// A list of 10,000 threads that the index knows.
#[divan::bench(sample_count = 20)]
fn list_10_000_threads() {
    let listing = list_threads(black_box(HOMES.many.path())).expect("a list");
    assert_eq!((listing.threads.len(), listing.read), (10_000, 0));
}

/// The same without an index to begin with.
#[divan::bench(sample_count = 3)]
fn index_10_000_threads(bencher: Bencher<'_, '_>) {
    let home = HOMES.many.path();
    let remove = || {
        for suffix in ["", "-wal", "-shm"] {
            // Not all of them are always there.
            drop(std::fs::remove_file(format!(
                "{}{suffix}",
                index_path(home).display()
            )));
        }
    };
    bencher.with_inputs(remove).bench_values(|()| {
        let listing = list_threads(home).expect("a list");
        assert_eq!(listing.read, 10_000);
    });
}

/// Words that occur nowhere, in 10,000 threads.
#[divan::bench(sample_count = 3)]
fn search_10_000_threads(bencher: Bencher<'_, '_>) {
    let threads = || list_threads(HOMES.many.path()).expect("a list").threads;
    bencher
        .with_inputs(threads)
        .bench_values(|threads| assert_eq!(search_threads(threads, "nowhere to be found"), []));
}
