//! Who requests say they are from.

use dovetail_rehearsal::RecordedRequest;
use dovetail_tests::{Lab, script};
use serde_json::Value;

use crate::lab;

fn blob(request: &RecordedRequest) -> Value {
    let header = request
        .header("x-codex-turn-metadata")
        .expect("every request has one");
    let flat = &request.json.as_ref().unwrap()["client_metadata"]["x-codex-turn-metadata"];
    assert_eq!(flat, header, "two projections of one value");
    serde_json::from_str(header).expect("the blob is JSON")
}

/// The originator of the newest request, and what begins its user agent.
fn originators(lab: &Lab) -> (String, String) {
    let requests = lab.requests();
    let last = requests.last().unwrap();
    let agent = last.header("user-agent").unwrap();
    let prefix = agent.split_once('/').unwrap().0;
    (
        last.header("originator").unwrap().to_owned(),
        prefix.to_owned(),
    )
}

fn pair(originator: &str, agent: &str) -> (String, String) {
    (originator.to_owned(), agent.to_owned())
}

#[tokio::test]
async fn a_thread_keeps_its_originator_and_the_environment_overrides_it() {
    let mut lab = lab(&[
        &script::answer("one"),
        &script::answer("two"),
        &script::answer("three"),
    ])
    .await;
    lab.set_env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE", "my_desktop");
    lab.exec(&["first"]).await.expect_code(0);
    assert_eq!(originators(&lab), pair("my_desktop", "my_desktop"));
    assert_eq!(
        lab.rollout_lines()[0]["payload"]["originator"],
        "my_desktop"
    );

    lab.remove_env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE");
    lab.exec(&["resume", "--last", "second"])
        .await
        .expect_code(0);
    assert_eq!(
        originators(&lab),
        pair("my_desktop", "codex_exec"),
        "the thread's own, and the process's"
    );

    lab.set_env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE", "another");
    lab.exec(&["resume", "--last", "third"])
        .await
        .expect_code(0);
    assert_eq!(originators(&lab), pair("another", "another"));
}

#[tokio::test]
async fn an_originator_that_no_header_can_hold_is_not_used() {
    let mut lab = lab(&[&script::answer("one")]).await;
    lab.set_env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE", "ünusable");
    lab.exec(&["first"]).await.expect_code(0);
    assert_eq!(originators(&lab), pair("codex_exec", "codex_exec"));
}

#[tokio::test]
async fn an_originator_of_several_words_stays_with_its_thread() {
    let mut lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.set_env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE", "Codex Desktop");
    lab.exec(&["first"]).await.expect_code(0);
    lab.remove_env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE");
    lab.exec(&["resume", "--last", "second"])
        .await
        .expect_code(0);
    assert_eq!(originators(&lab), pair("Codex Desktop", "codex_exec"));
}

/// What the server gets of an installation whose file holds these bytes.
async fn installation(bytes: &[u8]) -> (String, String) {
    let lab = lab(&[&script::answer("one")]).await;
    lab.write_home("installation_id", bytes);
    lab.exec(&["first"]).await.expect_code(0);
    let sent = blob(&lab.requests()[0])["installation_id"].clone();
    let kept = std::fs::read_to_string(lab.home().join("installation_id")).unwrap();
    (sent.as_str().unwrap().to_owned(), kept)
}

#[tokio::test]
async fn an_installation_is_called_the_same_however_its_id_is_written() {
    let plain = "3b241101-e2bb-4255-8caf-4136c566a962";
    for written in [
        plain.to_owned(),
        format!("{plain}\n"),
        plain.to_uppercase(),
        format!("{{{plain}}}"),
    ] {
        let (sent, kept) = installation(written.as_bytes()).await;
        assert_eq!((sent.as_str(), kept), (plain, written));
    }
}

#[tokio::test]
async fn a_damaged_installation_id_is_made_anew() {
    for damaged in [&b"garbage"[..], b"", b"\xff\xfe"] {
        let (sent, kept) = installation(damaged).await;
        assert_eq!((sent.len(), &sent), (36, &kept));
    }
}

#[tokio::test]
async fn work_trees_are_named_without_the_credentials_of_their_remotes() {
    let lab = lab(&[&script::answer("one")]).await;
    lab.init_git();
    let config = lab.project().join(".git/config");
    let mut text = std::fs::read_to_string(&config).unwrap();
    text.push_str("[remote \"origin\"]\n\turl = https://me:s3cret-token@example.org/a/b.git\n");
    std::fs::write(&config, text).unwrap();
    lab.exec(&["first"]).await.expect_code(0);
    let requests = lab.requests();
    let blob = blob(&requests[0]);
    let project = lab.project().display().to_string();
    assert_eq!(
        blob["workspaces"][&project]["associated_remote_urls"]["origin"],
        "https://example.org/a/b.git"
    );
    let everything = format!(
        "{:?}{}",
        requests[0],
        std::fs::read_to_string(lab.rollout()).unwrap()
    );
    assert!(!everything.contains("s3cret-token"));
}

#[tokio::test]
async fn every_request_of_a_home_has_one_installation_and_every_turn_its_own_id() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.exec(&["first"]).await.expect_code(0);
    lab.exec(&["resume", "--last", "second"])
        .await
        .expect_code(0);
    let blobs: Vec<Value> = lab.requests().iter().map(blob).collect();
    let kept = std::fs::read_to_string(lab.home().join("installation_id")).unwrap();
    assert_eq!(blobs[0]["installation_id"], kept);
    assert_eq!(blobs[1]["installation_id"], kept);
    assert_eq!(blobs[0]["thread_id"], blobs[1]["thread_id"]);
    assert_eq!(blobs[0]["context_window_id"], blobs[1]["context_window_id"]);
    assert_ne!(blobs[0]["turn_id"], blobs[1]["turn_id"]);
    assert_eq!(blobs[0]["history_initialization"], "new");
    assert_eq!(blobs[1]["history_initialization"], "cold_resume");
}

#[tokio::test]
async fn a_fork_is_a_root_of_its_own_that_says_where_it_left_the_other() {
    let mut lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.set_env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE", "my_desktop");
    lab.exec(&["first"]).await.expect_code(0);
    lab.remove_env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE");
    let parent = blob(&lab.requests()[0]);
    let parent_id = parent["thread_id"].as_str().unwrap();
    let lines = lab.rollout_lines().len();
    lab.exec(&["fork", parent_id, "second"])
        .await
        .expect_code(0);
    let requests = lab.requests();
    let fork = blob(&requests[1]);
    assert_ne!(fork["thread_id"], parent["thread_id"]);
    assert_eq!(fork["session_id"], fork["thread_id"]);
    assert_eq!(
        requests[1].json.as_ref().unwrap()["prompt_cache_key"],
        fork["thread_id"]
    );
    assert_eq!(fork["forked_from_thread_id"], parent["thread_id"]);
    assert_eq!(fork["forked_from_ordinal_exclusive"], lines);
    assert_eq!(fork.get("parent_thread_id"), None, "a fork has no parent");
    assert_eq!(fork["history_initialization"], "cold_fork");
    assert_eq!(fork["context_window_id"], parent["context_window_id"]);
    assert_eq!(originators(&lab), pair("my_desktop", "codex_exec"));
}

#[tokio::test]
async fn a_work_tree_of_pipes_and_devices_holds_nobody_up() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.write(".git/HEAD", "ref: /dev/zero\n");
    lab.exec(&["first"]).await.expect_code(0);
    std::fs::remove_file(lab.project().join(".git/HEAD")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(lab.project().join(".git/HEAD"))
        .status();
    assert!(made.unwrap().success());
    lab.exec(&["second"]).await.expect_code(0);
    assert_eq!(blob(&lab.requests()[1])["workspaces"], Value::Null);
}
