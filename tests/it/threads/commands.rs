//! `dovetail thread` and `dovetail resume`.

use std::path::Path;

use dovetail_tests::{Lab, script};
use serde_json::{Value, json};

use super::said;
use crate::lab;

/// What `thread list` shows, as JSON.
async fn listed(lab: &Lab, more: &[&str]) -> Vec<Value> {
    let ran = lab
        .run(&[&["thread", "list", "--json"], more].concat())
        .await
        .expect_code(0);
    ran.json().as_array().unwrap().clone()
}

/// A thread's file of one turn, as the existing client writes it.
fn foreign(cwd: &Path, id: &str, prompt: &str) -> String {
    let line = |kind: &str, payload: Value| {
        json!({"timestamp": "2026-11-20T23:43:41.091Z", "type": kind, "payload": payload})
            .to_string()
            + "\n"
    };
    let message = |role: &str, kind: &str, text: &str| json!({"type": "message", "role": role, "content": [{"type": kind, "text": text}]});
    [
        line(
            "session_meta",
            json!({"id": id, "cwd": cwd, "source": "cli", "history_mode": "paginated"}),
        ),
        line("event_msg", json!({"type": "task_started", "turn_id": id})),
        line("response_item", message("user", "input_text", prompt)),
        line(
            "response_item",
            message("assistant", "output_text", "theirs"),
        ),
        line("event_msg", json!({"type": "task_complete", "turn_id": id})),
    ]
    .concat()
}

const FOREIGN: &str = "01a1fb58-2811-7ea0-9e27-e6be064a83e5";

fn foreign_name(id: &str) -> String {
    format!("sessions/2026/11/20/rollout-2026-11-20T23-43-41-{id}.jsonl")
}

#[tokio::test]
async fn lists_show_this_directory_or_all() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    std::fs::create_dir(lab.project().join("sub")).unwrap();
    let here = lab.exec_json(&["fix the parser"], 0).await.thread_id();
    let there = lab
        .exec_json(&["-C", "sub", "write docs"], 0)
        .await
        .thread_id();
    let ids = |rows: Vec<Value>| {
        rows.into_iter()
            .map(|row| row["id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(listed(&lab, &[]).await), [json!(here)]);
    assert_eq!(
        ids(listed(&lab, &["--all"]).await),
        [json!(there), json!(here)]
    );
    assert_eq!(
        ids(listed(&lab, &["--all", "--limit", "1"]).await),
        [json!(there)]
    );

    let table = lab.run(&["thread", "list"]).await.expect_code(0).stdout;
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert!(
        rows[1].starts_with(&here) && rows[1].ends_with("1      fix the parser"),
        "{table}"
    );
    assert!(rows.iter().all(|row| row.chars().count() <= 80), "{table}");
}

#[tokio::test]
async fn a_thread_is_found_by_its_name() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    let id = lab.exec_json(&["first"], 0).await.thread_id();
    lab.run(&["thread", "name", &id, "the plan"])
        .await
        .expect_code(0);
    assert_eq!(listed(&lab, &[]).await[0]["name"], "the plan");
    let resumed = lab.exec_json(&["resume", "the plan", "second"], 0).await;
    assert_eq!(resumed.thread_id(), id);
    let shown = lab
        .run(&["thread", "show", "the plan"])
        .await
        .expect_code(0)
        .stdout;
    for part in [
        id.as_str(),
        "name      the plan",
        "1     ",
        "first",
        "second",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    lab.exec(&["resume", "no plan", "x"])
        .await
        .expect_code(1)
        .expect_errors(&["no thread is named `no plan`", "hint: "]);
    lab.run(&["thread", "name", &id, &id])
        .await
        .expect_code(1)
        .expect_errors(&["cannot be the name of a thread"]);
}

#[tokio::test]
async fn an_archived_thread_is_put_away_until_it_is_taken_out() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    let id = lab.exec_json(&["first"], 0).await.thread_id();
    let file = lab.rollout();
    lab.run(&["thread", "archive", &id]).await.expect_code(0);
    assert_eq!(listed(&lab, &[]).await, Vec::<Value>::new());
    assert_eq!(listed(&lab, &["--archived"]).await[0]["id"], json!(id));
    lab.exec(&["resume", &id, "second"])
        .await
        .expect_code(1)
        .expect_errors(&[
            "is archived",
            "hint: take it out first: dovetail thread unarchive",
        ]);
    lab.run(&["thread", "unarchive", &id]).await.expect_code(0);
    assert_eq!(lab.rollout(), file);
    lab.exec(&["resume", &id, "second"]).await.expect_code(0);
    lab.expect_played();
}

#[tokio::test]
async fn deleting_asks_and_spares_what_forks_begin_in() {
    let lab = lab(&[&script::answer("one")]).await;
    let id = lab.exec_json(&["first"], 0).await.thread_id();
    let fork = lab.exec_json(&["fork", &id], 0).await.thread_id();
    lab.run(&["thread", "delete", &id])
        .await
        .expect_code(1)
        .expect_errors(&["there is nobody to ask", "hint: add `--yes`"]);
    lab.run(&["thread", "delete", &id, "--yes"])
        .await
        .expect_code(1)
        .expect_errors(&["is where 1 other thread begins", &fork]);
    assert_eq!(lab.rollouts().len(), 2);
    lab.run(&["thread", "delete", &fork, &id, "--yes"])
        .await
        .expect_code(0);
    assert!(lab.rollouts().is_empty());
}

#[tokio::test]
async fn words_are_found_in_what_was_said() {
    let lab = lab(&[
        &script::answer("the Parser is broken"),
        &script::answer("fine"),
    ])
    .await;
    let id = lab.exec_json(&["what is wrong?"], 0).await.thread_id();
    lab.exec_json(&["something else"], 0).await;
    let found = lab
        .run(&["thread", "search", "parser", "--json"])
        .await
        .expect_code(0)
        .json();
    let rows = found.as_array().unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (
            &rows[0]["thread"]["id"],
            &rows[0]["role"],
            &rows[0]["excerpt"]
        ),
        (
            &json!(id),
            &json!("assistant"),
            &json!("the Parser is broken")
        )
    );
    let none = lab
        .run(&["thread", "search", "nowhere"])
        .await
        .expect_code(0);
    assert_eq!(none.stdout, "");
}

/// The index is never asked what the files can answer.
#[tokio::test]
async fn threads_of_other_clients_appear_at_once_whatever_the_index_says() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.exec(&["first"]).await.expect_code(0);
    assert_eq!(listed(&lab, &[]).await.len(), 1);
    lab.write_home(
        &foreign_name(FOREIGN),
        foreign(&lab.project(), FOREIGN, "from elsewhere"),
    );
    assert_eq!(listed(&lab, &[]).await[0]["preview"], "from elsewhere");
    let resumed = lab.exec_json(&["resume", "--last", "second"], 0).await;
    assert_eq!(resumed.thread_id(), FOREIGN);
    assert_eq!(said(&lab), ["from elsewhere", "theirs", "second"]);

    lab.write_home("dovetail/threads.sqlite3", "garbage");
    assert_eq!(listed(&lab, &[]).await.len(), 2);
    let made = lab
        .run(&["thread", "reindex", "--json"])
        .await
        .expect_code(0)
        .json();
    assert_eq!(made["threads"], 2);
}

#[tokio::test]
async fn resume_without_a_terminal_says_what_to_do() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.run(&["resume", "--skip-git-repo-check"])
        .await
        .expect_code(1)
        .expect_errors(&["no thread to resume"]);
    let id = lab.exec_json(&["first"], 0).await.thread_id();
    lab.run(&["resume", "--skip-git-repo-check"])
        .await
        .expect_code(1)
        .expect_errors(&[
            "there is no terminal to pick a thread on",
            "dovetail resume --last",
        ]);
    let ran = lab
        .run(&["resume", "--skip-git-repo-check", "--json", &id, "second"])
        .await
        .expect_code(0);
    assert_eq!(ran.thread_id(), id);
    assert_eq!(said(&lab), ["first", "one", "second"]);
}
