//! Damage is reported with its place, and mended without losing what there was.

use std::io::Write as _;

use dovetail_tests::script;
use serde_json::json;

use super::said;
use crate::lab;

#[tokio::test]
async fn damage_is_reported_with_its_line_and_repaired_beside_the_original() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.exec(&["first"]).await.expect_code(0);
    let file = lab.rollout();
    let whole = std::fs::read_to_string(&file).unwrap();
    let line = whole
        .lines()
        .position(|line| line.contains("\"AgentMessage\""))
        .unwrap();
    let mut lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    lines[line].insert(20, '"');
    let damaged = lines.join("\n") + "\n{\"timestamp\":\"20";
    std::fs::write(&file, &damaged).unwrap();

    let found = lab.run(&["thread", "fsck"]).await.expect_code(1).stdout;
    let place = format!("{}:{}: cannot be read", file.display(), line + 1);
    assert!(found.contains(&place), "{found}");
    assert!(found.contains("lost: an event `item_completed`"), "{found}");
    assert!(found.contains("not written to its end"), "{found}");
    assert!(
        found.ends_with("1 file checked, 1 damaged\nhint: dovetail thread fsck --repair\n"),
        "{found}"
    );

    let repaired = lab
        .run(&["thread", "fsck", "--repair", "--json"])
        .await
        .expect_code(0)
        .json();
    assert_eq!(repaired["damaged"][0]["damage"][0]["line"], json!(line + 1));
    let original = repaired["damaged"][0]["repaired"]["original"]
        .as_str()
        .unwrap();
    assert_eq!(std::fs::read_to_string(original).unwrap(), damaged);
    lab.run(&["thread", "fsck"]).await.expect_code(0);
    let ran = lab.exec_json(&["resume", "--last", "second"], 0).await;
    assert_eq!(ran.complaints(), Vec::<String>::new());
    assert_eq!(said(&lab), ["first", "one", "second"]);
}

#[tokio::test]
async fn a_compressed_thread_goes_on() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    let id = lab.exec_json(&["first"], 0).await.thread_id();
    let file = lab.rollout();
    let packed = std::process::Command::new("zstd")
        .args(["-q", "--rm"])
        .arg(&file)
        .status();
    if packed.is_err() {
        let mut stderr = std::io::stderr();
        stderr
            .write_all(b"not run: a_compressed_thread_goes_on: no `zstd` here\n")
            .unwrap();
        return;
    }
    assert!(!file.exists());
    lab.run(&["thread", "show", &id]).await.expect_code(0);
    assert!(!file.exists(), "looking changes nothing");
    lab.exec_json(&["resume", "--last", "second"], 0).await;
    assert_eq!(said(&lab), ["first", "one", "second"]);
    assert_eq!(lab.rollout(), file, "unpacked, as other clients leave it");
}

#[tokio::test]
async fn what_is_no_thread_keeps_nobody_waiting_and_is_put_aside() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    let id = lab.exec_json(&["first"], 0).await.thread_id();
    let file = lab.rollout();
    let other = |id: &str| file.with_file_name(format!("rollout-2026-01-01T00-00-00-{id}.jsonl"));
    let pipe = other("01a1fb58-2811-7ea0-9e27-000000000001");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let empty = other("01a1fb58-2811-7ea0-9e27-000000000002");
    std::fs::write(&empty, "").unwrap();
    let copy = other(&id);
    std::fs::copy(&file, &copy).unwrap();

    let ran = lab.run(&["thread", "list"]).await.expect_code(0);
    assert!(ran.stdout.contains(&id), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("2 files are not readable as threads"),
        "{}",
        ran.stderr
    );
    lab.exec(&["resume", "--last", "second"])
        .await
        .expect_code(0);
    assert_eq!(said(&lab), ["first", "one", "second"]);

    let repaired = lab
        .run(&["thread", "fsck", "--repair"])
        .await
        .expect_code(1)
        .stdout;
    let lines: Vec<&str> = repaired.lines().collect();
    assert_eq!(
        lines,
        [
            format!("cannot read `{}`: it is no regular file", pipe.display()),
            format!(
                "`{}` has no line that says which thread it is",
                empty.display()
            ),
            format!(
                "  nothing could be kept; it is now: {}.damaged",
                empty.display()
            ),
            format!(
                "{}: not used; the thread's file is {}",
                copy.display(),
                file.display()
            ),
            "4 files checked, 3 damaged".to_owned(),
        ]
    );
    std::fs::remove_file(&pipe).unwrap();
    std::fs::remove_file(&copy).unwrap();
    lab.run(&["thread", "fsck"]).await.expect_code(0);
}

#[tokio::test]
async fn an_ephemeral_turn_leaves_a_thread_as_it_is() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    let id = lab.exec_json(&["first"], 0).await.thread_id();
    let file = lab.rollout();
    let torn = std::fs::read_to_string(&file).unwrap() + "{\"timestamp\":\"20";
    std::fs::write(&file, &torn).unwrap();
    let (_, writer) = dovetail_store::RolloutRecorder::resume(&file).unwrap();
    std::fs::write(&file, &torn).unwrap();
    lab.exec(&["--ephemeral", "resume", &id, "second"])
        .await
        .expect_code(0);
    assert_eq!(
        said(&lab),
        ["first", "one", "second"],
        "although somebody else writes to it"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), torn);
    drop(writer);
}
