//! Killed processes, torn lines, full disks, two writers.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use dovetail_core::event::{Recorder, TurnEvent};
use dovetail_core::ids::TurnId;
use dovetail_store::{Problem, RolloutRecorder, StoreError, load_thread};

use crate::fixture::{Feed, captured, lines};

const LINES_OF_A_TURN: u64 = 10;

fn copy(home: &Path) -> std::path::PathBuf {
    let path = home.join("rollout.jsonl");
    std::fs::copy(captured("basic-turn"), &path).expect("a copy");
    path
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .expect("the file opens");
    file.write_all(bytes).expect("the bytes are written");
}

/// Appends bytes to a good file, takes it up, runs a turn, and looks at what the file is then.
#[track_caller]
fn check_resumes(tail: &[u8], damage: Option<Problem>, items: usize, first_ordinal: u64) {
    let home = tempfile::tempdir().expect("a directory");
    let path = copy(home.path());
    append(&path, tail);
    let (thread, recorder) = RolloutRecorder::resume(&path).expect("it resumes");
    let problems: Vec<Problem> = thread
        .damage
        .iter()
        .map(|damage| damage.problem.clone())
        .collect();
    assert_eq!(problems, Vec::from_iter(damage));
    assert_eq!(thread.items.len(), items);
    assert_eq!(thread.next_ordinal, first_ordinal);
    let mut feed = Feed::of(recorder, thread.info.thread_id);
    feed.turn("again", "Yes.");
    let written = lines(&path);
    let ordinals: Vec<u64> = written
        .iter()
        .filter_map(|line| line["ordinal"].as_u64())
        .collect();
    let expected: Vec<u64> = (0..first_ordinal + LINES_OF_A_TURN).collect();
    assert_eq!(ordinals, expected, "ordinals go on without a gap");
    assert_eq!(load_thread(&path).expect("it loads again").damage, []);
}

#[test]
fn a_whole_file_goes_on() {
    check_resumes(b"", None, 8, 23);
}

#[test]
fn a_torn_line_is_taken_away() {
    let torn = br#"{"timestamp":"2026-11-20T23:43:42.000Z","ordinal":23,"type":"response_item","payload":{"ty"#;
    check_resumes(torn, Some(Problem::Torn), 8, 23);
    check_resumes(b"\0\0\0\0", Some(Problem::Torn), 8, 23);
}

#[test]
fn a_line_that_lacks_only_its_end_is_kept() {
    let line = br#"{"timestamp":"2026-11-20T23:43:42.000Z","ordinal":23,"type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"kept"}]}}"#;
    check_resumes(line, None, 9, 24);
}

#[test]
fn a_line_that_is_too_long_does_not_swallow_the_next_one() {
    let home = tempfile::tempdir().expect("a directory");
    let path = copy(home.path());
    let end = path.metadata().expect("the file").len();
    let file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .expect("the file opens");
    // Blocks that nobody wrote take no space.
    file.set_len(end + (257 << 20)).expect("it grows");
    let (thread, recorder) = RolloutRecorder::resume(&path).expect("it resumes");
    let mut feed = Feed::of(recorder, thread.info.thread_id);
    feed.turn("again", "Yes.");
    let again = load_thread(&path).expect("it loads");
    assert_eq!(again.items.len(), thread.items.len() + 2);
    let damaged = |thread: &dovetail_store::LoadedThread| -> Vec<u64> {
        thread.damage.iter().map(|damage| damage.line).collect()
    };
    assert_eq!((damaged(&again), damaged(&thread)), (vec![24], vec![24]));
}

#[test]
fn a_number_that_no_line_can_have_ends_no_history() {
    let home = tempfile::tempdir().expect("a directory");
    let path = copy(home.path());
    let text = std::fs::read_to_string(&path).expect("the file");
    let odd = text.replace("\"ordinal\":9,", "\"ordinal\":18446744073709551615,");
    assert_ne!(odd, text);
    std::fs::write(&path, odd).expect("written");
    let thread = load_thread(&path).expect("it loads");
    assert_eq!((thread.items.len(), thread.next_ordinal), (8, 23));
}

#[test]
fn a_thread_whose_first_line_cannot_be_written_leaves_no_file() {
    const LIMIT: &str = "DOVETAIL_TEST_LIMITED_HOME";
    let Some(home) = std::env::var_os(LIMIT) else {
        let home = tempfile::tempdir().expect("a directory");
        let test = std::env::current_exe().expect("this program");
        let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" --exact survive::a_thread_whose_first_line_cannot_be_written_leaves_no_file";
        let ran = Command::new("sh")
            .args(["-c", script])
            .arg(test)
            .env(LIMIT, home.path())
            .output();
        let ran = ran.expect("the shell runs");
        assert!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stdout)
        );
        return;
    };
    let mut info = crate::fixture::thread_info();
    info.base_instructions = "long ".repeat(1000);
    let mut recorder = RolloutRecorder::create(Path::new(&home), info);
    let error = recorder.begin().expect_err("the limit is reached");
    assert!(
        error.message.contains("File too large"),
        "{}",
        error.message
    );
    assert!(!recorder.path().exists());
}

#[test]
fn damaged_lines_are_named_and_skipped() {
    let home = tempfile::tempdir().expect("a directory");
    let path = copy(home.path());
    append(
        &path,
        b"garbage\n\xff\xfe\n\n{\"type\":\"response_item\",\"payload\":7,\"ordinal\":25}\n",
    );
    let thread = load_thread(&path).expect("it loads");
    assert_eq!(thread.items.len(), 8);
    let told: Vec<String> = thread
        .damage
        .iter()
        .map(|damage| damage.to_string())
        .collect();
    assert_eq!(
        told,
        [
            "line 24 cannot be read (not JSON); it is left out",
            "line 25 cannot be read (not JSON); it is left out",
            "line 27 cannot be read (JSON of another shape); it is left out",
        ]
    );
}

#[test]
fn every_cut_of_a_file_can_be_taken_up() {
    let home = tempfile::tempdir().expect("a directory");
    let whole = std::fs::read(captured("basic-turn")).expect("the file");
    let first_line = whole
        .iter()
        .position(|byte| *byte == b'\n')
        .expect("a line")
        + 1;
    for length in (first_line..whole.len()).step_by(97) {
        let path = home.path().join(format!("rollout-{length}.jsonl"));
        std::fs::write(&path, &whole[..length]).expect("a file");
        let (thread, recorder) = RolloutRecorder::resume(&path).expect("it resumes");
        let mut feed = Feed::of(recorder, thread.info.thread_id);
        feed.turn("again", "Yes.");
        for (ordinal, line) in lines(&path).iter().enumerate() {
            assert_eq!(line["ordinal"], ordinal, "cut at {length}");
        }
    }
}

#[test]
fn a_second_writer_is_refused_and_told_who_the_first_is() {
    let home = tempfile::tempdir().expect("a directory");
    let path = copy(home.path());
    let (_thread, first) = RolloutRecorder::resume(&path).expect("it resumes");
    let error = RolloutRecorder::resume(&path).err().expect("it is in use");
    assert!(
        matches!(&error, StoreError::InUse { owner, .. } if owner.contains("process")),
        "{error}"
    );
    load_thread(&path).expect("reading is free");
    drop(first);
    RolloutRecorder::resume(&path).expect("the lock is gone with its owner");
}

/// Existing clients hold a lock of the same name while they write.
#[test]
fn another_client_that_writes_is_seen() {
    let home = tempfile::tempdir().expect("a directory");
    let path = copy(home.path());
    let locks = home.path().join("thread-writer-locks");
    std::fs::create_dir(&locks).expect("a directory");
    let theirs = locks.join("01a1fb58-2811-7ea0-9e27-e6be064a83e5.lock");
    let held = std::fs::File::create(&theirs).expect("a file");
    held.lock().expect("it is free");
    let error = RolloutRecorder::resume(&path).err().expect("it is in use");
    let told = error.to_string();
    let process = std::process::id().to_string();
    assert!(
        told.starts_with("thread `01a1fb58-2811-7ea0-9e27-e6be064a83e5` is in use by process "),
        "{told}"
    );
    assert!(told.contains(&process), "{told}");
    drop(held);
    let (_thread, recorder) = RolloutRecorder::resume(&path).expect("a file that nobody holds");
    assert!(theirs.exists());
    drop(recorder);
    assert!(!theirs.exists(), "nothing is left behind");
}

/// The clock of a machine may go back; within a file time does not.
#[test]
fn time_does_not_go_back_within_a_file() {
    let home = tempfile::tempdir().expect("a directory");
    let path = copy(home.path());
    let future = r#"{"timestamp":"2099-01-01T00:00:00.000Z","ordinal":23,"type":"event_msg","payload":{"type":"x"}}"#;
    append(&path, format!("{future}\n").as_bytes());
    let (thread, recorder) = RolloutRecorder::resume(&path).expect("it resumes");
    Feed::of(recorder, thread.info.thread_id).turn("again", "Yes.");
    let written = lines(&path);
    let times: Vec<&str> = written
        .iter()
        .filter_map(|line| line["timestamp"].as_str())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(times.last(), Some(&"2099-01-01T00:00:00.000Z"));
}

/// Set in a child process of a test: the home directory it works in.
const CHILD_HOME: &str = "DOVETAIL_STORE_TEST_HOME";

fn child(test: &str, home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command
        .args(["--exact", test])
        .env(CHILD_HOME, home)
        .stdout(Stdio::null());
    command
}

/// What `kill -9` leaves: a child writes turns without end, says when the first is written, and is killed.
#[test]
fn a_killed_writer_loses_at_most_its_last_line() {
    if let Some(home) = std::env::var_os(CHILD_HOME) {
        let mut feed = Feed::new(Path::new(&home));
        feed.turn("first", "done");
        std::io::stderr()
            .write_all(b"ready\n")
            .expect("the sign is given");
        loop {
            feed.turn("more", &"x".repeat(10_000));
        }
    }
    let home = tempfile::tempdir().expect("a directory");
    let mut writer = child(
        "survive::a_killed_writer_loses_at_most_its_last_line",
        home.path(),
    );
    let mut writer = writer
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test starts itself");
    let mut sign = String::new();
    BufReader::new(writer.stderr.take().expect("a pipe"))
        .read_line(&mut sign)
        .expect("a sign");
    assert_eq!(sign, "ready\n");
    writer.kill().expect("it is killed");
    writer.wait().expect("it is gone");
    let found = dovetail_store::find_last(home.path(), None).expect("its thread is there");
    let (thread, _) = RolloutRecorder::resume(&found).expect("it resumes");
    assert!(thread.damage.len() <= 1, "{:?}", thread.damage);
    assert!(thread.items.len() >= 2);
    assert!(thread.totals.input_tokens >= 100);
    for (ordinal, line) in lines(&found).iter().enumerate() {
        assert_eq!(line["ordinal"], ordinal);
    }
}

/// A full disk, played by a limit on the size of files, which holds for a whole process: a child's.
#[test]
fn a_write_that_fails_stops_the_thread_and_leaves_whole_lines() {
    let Some(home) = std::env::var_os(CHILD_HOME) else {
        let home = tempfile::tempdir().expect("a directory");
        let test = "survive::a_write_that_fails_stops_the_thread_and_leaves_whole_lines";
        let ended = child(test, home.path())
            .status()
            .expect("the test starts itself");
        assert!(ended.success());
        return;
    };
    let mut feed = Feed::new(Path::new(&home));
    feed.turn("first", "done");
    let path = feed.recorder.path().to_owned();
    let before = std::fs::read(&path).expect("the file");
    let message = TurnEvent::UserMessage {
        turn_id: TurnId::generate(),
        text: "y".repeat(4096),
        images: Vec::new(),
    };
    limit_file_size(before.len() as u64 + 1000);
    let error = feed
        .recorder
        .record(feed.thread_id, &message)
        .expect_err("there is no room");
    assert!(
        error.to_string().contains(path.to_str().expect("text")),
        "{error}"
    );
    assert_eq!(
        std::fs::read(&path).expect("the file"),
        before,
        "the half-written line is gone"
    );
    limit_file_size(libc::RLIM_INFINITY);
    let again = feed
        .recorder
        .record(feed.thread_id, &message)
        .expect_err("it stays broken");
    assert_eq!(again.to_string(), error.to_string());
}

fn limit_file_size(bytes: u64) {
    // SAFETY: the pointers are to valid values on this stack; an ignored signal has no handler to run.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit), 0);
        limit.rlim_cur = bytes;
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
}
