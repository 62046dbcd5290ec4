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
        found.ends_with("1 files checked, 1 damaged\nhint: dovetail thread fsck --repair\n"),
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
