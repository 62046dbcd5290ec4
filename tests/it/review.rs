//! `exec review`: another thread looks at changes, and its findings become part of the conversation.

mod refusals;

use std::path::{Path, PathBuf};

use dovetail_tests::{Lab, NO_RM, Ran, read_lines, script};
use serde_json::{Value, json};

use crate::lab;

/// An answer in the form of reviews.
fn review_answer() -> String {
    script::answer(
        &json!({
            "findings": [
                { "title": "[P0] First", "body": "one\ntwo", "confidence_score": 1, "priority": 0,
                  "code_location": { "absolute_file_path": "/p/a.rs", "line_range": { "start": 1, "end": 2 } } },
                { "title": "[P3] Second", "body": "three", "confidence_score": 0.5, "priority": 3,
                  "code_location": { "absolute_file_path": "/p/b.rs", "line_range": { "start": 7, "end": 7 } } },
            ],
            "overall_correctness": "patch is incorrect",
            "overall_explanation": "Two things.",
            "overall_confidence_score": 0.9,
        })
        .to_string(),
    )
}

/// That answer as people read it.
const REVIEW: &str = "Two things.\n\nFull review comments:\n\n- [P0] First — /p/a.rs:1-2\n  one\n  two\n\n- [P3] Second — /p/b.rs:7-7\n  three";

/// A work tree with a commit, and something that is not committed.
fn with_changes(lab: &Lab) {
    lab.init_git();
    lab.write("readme", "old\n");
    lab.commit("https://github.com/example/repo.git");
    lab.write("readme", "new\n");
}

async fn review(lab: &Lab, args: &[&str]) -> Ran {
    lab.run(&[&["exec", "review"], args].concat()).await
}

/// What the reviewer was asked last.
fn asked(lab: &Lab) -> String {
    let request = lab.last_request();
    let prompt = request["input"].as_array().unwrap().iter().rev();
    let mut prompts = prompt.filter(|item| item["role"] == "user");
    let prompt = prompts.next().expect("something was asked");
    prompt["content"][0]["text"].as_str().unwrap().to_owned()
}

/// The files of the thread that asked and of the reviewer.
fn files(lab: &Lab) -> [PathBuf; 2] {
    let files = lab.rollouts();
    let (own, reviewers): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|file| read_lines(file)[0]["payload"]["source"] == "exec");
    [own, reviewers].map(|files| match <[PathBuf; 1]>::try_from(files) {
        Ok([file]) => file,
        Err(files) => panic!("expected one file of each, found {files:?}"),
    })
}

/// The items that clients see, by type, and what the last of them says of a review.
fn shown(file: &Path) -> (Vec<String>, Value) {
    let lines = read_lines(file);
    let items: Vec<&Value> = lines
        .iter()
        .map(|line| &line["payload"]["item"])
        .filter(|item| item.is_object())
        .collect();
    let kinds = items
        .iter()
        .map(|item| item["type"].as_str().unwrap().to_owned());
    let exited = items.iter().find(|item| item["type"] == "ExitedReviewMode");
    let output = exited.map_or_else(|| "none".into(), |item| item["review_output"].clone());
    (kinds.collect(), output)
}

#[tokio::test]
async fn findings_are_printed_for_people_and_programs() {
    let lab = lab(&[&review_answer(), &review_answer()]).await;
    with_changes(&lab);
    let file = lab.outside().join("answer");
    let ran = review(&lab, &["--uncommitted", "-o", file.to_str().unwrap()]).await;
    let ran = ran.expect_code(0);
    assert_eq!(ran.stdout, format!("{REVIEW}\n"));
    ran.expect_errors(&["› current changes", "tokens used 110 (in 100"]);
    assert_eq!(std::fs::read_to_string(file).unwrap(), REVIEW);
    let ran = lab
        .run(&["review", "--uncommitted", "--json"])
        .await
        .expect_code(0);
    assert_eq!(ran.events()[2]["item"]["text"], REVIEW);
}

#[tokio::test]
async fn an_answer_in_words_is_the_review() {
    let lab = lab(&[&script::answer("Fine, but `{}` is {odd}.\n")]).await;
    with_changes(&lab);
    let ran = review(&lab, &["--uncommitted"]).await.expect_code(0);
    assert_eq!(ran.stdout, "Fine, but `{}` is {odd}.\n");
    let [own, _] = files(&lab);
    let (_, output) = shown(&own);
    assert_eq!(
        output,
        json!({ "findings": [], "overall_correctness": "", "overall_explanation": "Fine, but `{}` is {odd}.", "overall_confidence_score": 0.0 })
    );
}

#[tokio::test]
async fn a_branch_is_compared_from_where_the_work_left_it() {
    let answer = script::answer("fine");
    let lab = lab(&[&answer, &answer, &answer]).await;
    with_changes(&lab);
    let git = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.args(args).current_dir(lab.project());
        let output = git.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let base = git(&["rev-parse", "HEAD"]);
    review(&lab, &["--base", "main"]).await.expect_code(0);
    assert!(
        asked(&lab).contains(&format!("`git diff {base}`")),
        "{}",
        asked(&lab)
    );
    let short = &base[..9];
    let ran = review(&lab, &["--commit", short, "--title", "All of it"]).await;
    ran.expect_code(0)
        .expect_errors(&[&format!("› commit {}: All of it", &base[..7])]);
    assert!(
        asked(&lab).contains(&format!("{short} (\"All of it\")")),
        "{}",
        asked(&lab)
    );
    review(&lab, &["--commit", "HEAD"]).await.expect_code(0);
    assert!(
        asked(&lab).contains("the commit HEAD changed"),
        "{}",
        asked(&lab)
    );
}

#[tokio::test]
async fn words_are_reviewed_as_they_are_and_anywhere() {
    let answer = script::answer("fine");
    let lab = lab(&[&answer, &answer]).await;
    let anywhere = "--skip-git-repo-check";
    let ran = review(&lab, &[anywhere, " the  words "])
        .await
        .expect_code(0);
    ran.expect_errors(&["› the  words"]);
    assert_eq!(asked(&lab), "the  words");
    let ran = lab
        .run_with_input(&["exec", "review", anywhere, "-"], "from\nelsewhere\n")
        .await;
    ran.expect_code(0);
    assert_eq!(asked(&lab), "from\nelsewhere");
}

#[tokio::test]
async fn reviews_have_a_model_of_their_own_unless_one_is_named() {
    let answer = script::answer("fine");
    let lab = lab(&[&answer, &answer, &answer]).await;
    with_changes(&lab);
    let used = || lab.last_request()["model"].clone();
    review(&lab, &["--uncommitted"]).await.expect_code(0);
    assert_eq!(used(), "gpt-5.5");
    let config = std::fs::read_to_string(lab.home().join("config.toml")).unwrap();
    lab.write_config(&format!("review_model = \"gpt-6.1-sol\"\n{config}"));
    let ran = review(&lab, &["--uncommitted"]).await.expect_code(0);
    ran.expect_errors(&["model     gpt-6.1-sol"]);
    assert_eq!(used(), "gpt-6.1-sol");
    review(&lab, &["--uncommitted", "-m", "gpt-5.5"])
        .await
        .expect_code(0);
    assert_eq!(used(), "gpt-5.5");
}

#[tokio::test]
async fn the_work_of_a_reviewer_is_seen_and_its_words_are_not() {
    let lab = lab(&[
        &script::response("{ text = \"I look.\", phase = \"commentary\" }, { tool_call = \"exec_command\", call_id = \"c\", arguments = { cmd = \"git diff --stat\" } }"),
        &review_answer(),
    ])
    .await;
    with_changes(&lab);
    let ran = review(&lab, &["--uncommitted", "--json"])
        .await
        .expect_code(0);
    assert_eq!(
        ran.event_kinds(),
        [
            "thread.started",
            "turn.started",
            "item.started command_execution",
            "item.completed command_execution",
            "item.completed agent_message",
            "turn.completed",
        ]
    );
    assert!(
        lab.output_of("c").contains("readme | 2 +-"),
        "{}",
        lab.output_of("c")
    );
    let tools = &lab.last_request()["tools"];
    let names: Vec<&Value> = tools
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| &tool["name"])
        .collect();
    assert_eq!(
        names,
        ["exec_command", "write_stdin", "apply_patch", "view_image"]
    );
    let [own, reviewer] = files(&lab);
    let (kinds, _) = shown(&own);
    assert_eq!(
        kinds,
        [
            "EnteredReviewMode",
            "UserMessage",
            "CommandExecution",
            "ExitedReviewMode",
            "AgentMessage"
        ]
    );
    let (kinds, _) = shown(&reviewer);
    assert_eq!(
        kinds,
        [
            "UserMessage",
            "AgentMessage",
            "CommandExecution",
            "AgentMessage"
        ]
    );
}

#[tokio::test]
async fn hooks_judge_the_commands_of_a_reviewer() {
    let lab = lab(&[
        &script::command("c", "rm -rf build"),
        &script::answer("fine"),
    ])
    .await;
    with_changes(&lab);
    lab.install(&NO_RM).await;
    let ran = review(&lab, &["--uncommitted", "-s", "danger-full-access"]).await;
    ran.expect_code(0).expect_errors(&["deny", "hook `no-rm`"]);
    assert!(
        lab.output_of("c")
            .contains("destructive commands need a person")
    );
}

#[tokio::test]
async fn a_thread_goes_on_after_its_review_and_the_reviewers_does_not() {
    let lab = lab(&[&review_answer(), &script::answer("mended")]).await;
    with_changes(&lab);
    let ran = review(&lab, &["--uncommitted", "--json"])
        .await
        .expect_code(0);
    let on = lab
        .exec_json(&["resume", "--last", "mend the first"], 0)
        .await;
    assert_eq!(on.thread_id(), ran.thread_id());
    let input = lab.last_request()["input"].clone();
    let said: Vec<(&str, &str)> = input
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["role"] != "developer")
        .map(|item| {
            (
                item["role"].as_str().unwrap(),
                item["content"][0]["text"].as_str().unwrap(),
            )
        })
        .collect();
    let [
        ("user", action),
        ("assistant", answer),
        ("user", context),
        ("user", prompt),
    ] = said[..]
    else {
        panic!("{said:#?}");
    };
    assert!(
        action.starts_with("<user_action>") && action.contains(REVIEW),
        "{action}"
    );
    assert_eq!((answer, prompt), (REVIEW, "mend the first"));
    assert!(context.starts_with("<environment_context>"), "{context}");
    let listed = lab.run(&["thread", "list", "--json"]).await.expect_code(0);
    let listed = listed.json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["preview"], "review: current changes");
}

#[tokio::test]
async fn a_review_that_is_not_kept_leaves_nothing() {
    let lab = lab(&[&review_answer()]).await;
    with_changes(&lab);
    review(&lab, &["--uncommitted", "--ephemeral"])
        .await
        .expect_code(0);
    assert_eq!(lab.rollouts(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn sinks_tell_the_reviewer_from_the_thread_that_asked() {
    let lab = lab(&[&script::command("c", "true"), &review_answer()]).await;
    with_changes(&lab);
    let path = lab.outside().join("events.jsonl");
    lab.add_config(&format!(
        "[dovetail.plugins.jsonl-sink]\nenabled = true\nconfig = {{ path = \"{}\" }}",
        path.display()
    ));
    let ran = review(&lab, &["--uncommitted", "--json"])
        .await
        .expect_code(0);
    let events = read_lines(&path);
    let (own, reviewers): (Vec<&Value>, Vec<&Value>) = events
        .iter()
        .partition(|event| event["thread_id"] == ran.thread_id());
    let kinds = |events: &[&Value]| -> Vec<String> {
        let kinds = events
            .iter()
            .map(|event| event["kind"].as_str().unwrap().to_owned());
        kinds
            .filter(|kind| !kind.starts_with("tool.") && kind != "request.completed")
            .collect()
    };
    assert_eq!(
        kinds(&own),
        [
            "thread.started",
            "plugin.loaded",
            "plugin.loaded",
            "review.started",
            "turn.settings",
            "review.completed",
            "message.completed",
            "turn.completed"
        ]
    );
    assert_eq!(
        kinds(&reviewers),
        [
            "thread.started",
            "turn.started",
            "turn.settings",
            "prompt.submitted",
            "message.completed",
            "turn.completed"
        ]
    );
}
