//! Reviews that cannot be made, that fail, and that are interrupted.

use dovetail_tests::{Lab, script};
use serde_json::{Value, json};

use super::{files, review, shown, with_changes};
use crate::{DOVETAIL, lab};

/// Nothing is sent and nothing kept, and a person is told why.
#[track_caller]
fn check_refused(lab: &Lab, ran: dovetail_tests::Ran, code: i32, words: &[&str]) {
    ran.expect_code(code).expect_errors(words);
    assert_eq!(lab.rollouts(), Vec::<std::path::PathBuf>::new());
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn what_is_reviewed_is_named_once() {
    let lab = lab(&[&script::answer("unused")]).await;
    with_changes(&lab);
    for (args, code, words) in [
        (&[][..], 1, "nothing is named to review"),
        (&["  "], 1, "nothing is named to review"),
        (&["-"], 1, "there is no prompt"),
        (
            &["--uncommitted", "--base", "main"],
            2,
            "'--uncommitted' cannot be used with '--base <BRANCH>'",
        ),
        (
            &["--base", "main", "--commit", "HEAD"],
            2,
            "'--base <BRANCH>' cannot be used with '--commit <SHA>'",
        ),
        (
            &["--uncommitted", "words"],
            2,
            "'--uncommitted' cannot be used with '[PROMPT]'",
        ),
        (&["--title", "t"], 2, "--commit <SHA>"),
        (
            &["--title", "t", "--uncommitted"],
            2,
            "'--title <TITLE>' cannot be used with '--uncommitted'",
        ),
    ] {
        check_refused(&lab, review(&lab, args).await, code, &[words]);
    }
}

#[tokio::test]
async fn what_git_does_not_know_is_not_reviewed() {
    let lab = lab(&[&script::answer("unused")]).await;
    with_changes(&lab);
    for name in ["nope", "0123456", "--all", "main:readme"] {
        for flag in ["--base", "--commit"] {
            let ran = review(&lab, &[&format!("{flag}={name}")]).await;
            let words = format!("git knows no branch or commit `{name}` here");
            check_refused(&lab, ran, 1, &[&words, "git branch -a"]);
        }
    }
}

#[tokio::test]
async fn nothing_is_reviewed_where_nothing_changed() {
    let lab = lab(&[&script::answer("unused")]).await;
    lab.init_git();
    let ran = review(&lab, &["--uncommitted"]).await;
    check_refused(
        &lab,
        ran,
        1,
        &[
            "there is nothing to review: everything is committed",
            "--base BRANCH",
        ],
    );
    let ran = review(&lab, &["--base", "main"]).await;
    check_refused(&lab, ran, 1, &["git knows no branch or commit `main` here"]);
    lab.write("readme", "old\n");
    lab.commit("https://github.com/example/repo.git");
    let ran = review(&lab, &["--uncommitted"]).await;
    check_refused(
        &lab,
        ran,
        1,
        &["there is nothing to review: everything is committed"],
    );
    let ran = review(&lab, &["--base", "main"]).await;
    check_refused(
        &lab,
        ran,
        1,
        &["nothing differs from where the work left `main`"],
    );
}

#[tokio::test]
async fn changes_are_reviewed_in_work_trees_only() {
    let lab = lab(&[&script::answer("unused")]).await;
    for target in [
        &["--uncommitted"][..],
        &["--base", "main"],
        &["--commit", "HEAD"],
    ] {
        let ran = review(&lab, &[&["--skip-git-repo-check"], target].concat()).await;
        check_refused(
            &lab,
            ran,
            1,
            &["is in no git work tree", "dovetail exec review"],
        );
    }
    let ran = review(&lab, &["--uncommitted"]).await;
    check_refused(&lab, ran, 1, &["Not inside a trusted directory"]);
}

/// A review came to nothing: what is kept says so, and the thread goes on.
async fn check_cut_short(lab: &Lab, end: &str) {
    let [own, _] = files(lab);
    let (kinds, output) = shown(&own);
    assert_eq!(
        kinds.iter().rev().take(2).collect::<Vec<_>>(),
        ["AgentMessage", "ExitedReviewMode"]
    );
    assert_eq!(output, Value::Null);
    for file in files(lab) {
        let lines = dovetail_tests::read_lines(&file);
        assert_eq!(lines.last().unwrap()["payload"]["type"], end);
    }
    lab.exec(&["resume", "--last", "go on"])
        .await
        .expect_code(0);
    let input = lab.last_request()["input"].to_string();
    assert!(input.contains("<user_action>"), "{input}");
    assert!(!input.contains("<turn_aborted>"), "{input}");
}

#[tokio::test]
async fn a_reviewer_that_fails_fails_the_turn() {
    let lab = lab(&[&script::status(400, "bad"), &script::answer("on")]).await;
    with_changes(&lab);
    let ran = review(&lab, &["--uncommitted", "--json"])
        .await
        .expect_code(1);
    assert_eq!(ran.failure(), "bad");
    assert_eq!(
        ran.event_kinds(),
        [
            "thread.started",
            "turn.started",
            "item.completed agent_message",
            "error",
            "turn.failed"
        ]
    );
    check_cut_short(&lab, "task_complete").await;
}

#[tokio::test]
async fn a_reviewer_without_an_answer_fails_the_turn() {
    let lab = lab(&[&script::answer(" "), &script::answer("on")]).await;
    with_changes(&lab);
    let ran = review(&lab, &["--uncommitted", "--json"])
        .await
        .expect_code(1);
    assert_eq!(ran.failure(), "the reviewer ended without an answer");
    check_cut_short(&lab, "task_complete").await;
}

#[tokio::test]
async fn a_review_can_be_interrupted() {
    let lab = lab(&[&script::command("c", "sleep 1000"), &script::answer("on")]).await;
    with_changes(&lab);
    let mut running = lab.start(&["exec", "review", "--uncommitted", "--json"]);
    running.wait_for("item.started").await;
    running.signal("INT");
    let ran = running.finish().await.expect_code(1);
    assert_eq!(ran.failure(), "turn interrupted");
    let commands: Vec<Value> = ran
        .events()
        .into_iter()
        .filter(|event| event["item"]["type"] == "command_execution")
        .map(|event| event["item"]["status"].clone())
        .collect();
    assert_eq!(commands, [json!("in_progress"), json!("failed")]);
    check_cut_short(&lab, "turn_aborted").await;
}

#[tokio::test]
async fn a_disk_that_is_full_ends_a_review() {
    let lab = Lab::new(DOVETAIL, &script::answer("fine")).await;
    with_changes(&lab);
    // The directory of today's files is a file.
    lab.write_home("sessions", "");
    let ran = review(&lab, &["--uncommitted"]).await.expect_code(1);
    ran.expect_errors(&["cannot record the thread"]);
    assert!(
        lab.requests().is_empty(),
        "what cannot be kept is not asked"
    );
}
