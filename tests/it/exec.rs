//! `exec`: what it prints, where, and how it ends.

use dovetail_tests::{Lab, script};

use crate::{DOVETAIL, lab};

#[tokio::test]
async fn standard_output_is_the_answer_alone() {
    let lab = lab(&[
        &script::command("c", "echo noise"),
        &script::answer("The answer."),
    ])
    .await;
    let ran = lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(ran.stdout, "The answer.\n");
    ran.expect_errors(&["echo noise", "hello", "tokens used 220", "exec resume "]);
    lab.expect_played();
}

#[tokio::test]
async fn the_answer_is_also_written_to_a_file() {
    let lab = lab(&[&script::answer("The answer.")]).await;
    lab.exec(&["-o", "answer.txt", "hello"])
        .await
        .expect_code(0);
    assert_eq!(
        std::fs::read_to_string(lab.project().join("answer.txt")).unwrap(),
        "The answer."
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_noticed_before_anything_is_sent() {
    let lab = lab(&[&script::answer("The answer.")]).await;
    std::fs::create_dir(lab.project().join("folder")).unwrap();
    for file in ["folder", "nowhere/answer.txt"] {
        let ran = lab.exec(&["-o", file, "hello"]).await.expect_code(1);
        ran.expect_errors(&["cannot write the answer to", file]);
    }
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn a_full_disk_under_standard_output_is_an_error() {
    let lab = lab(&[&script::answer("The answer."), &script::answer("Another.")]).await;
    for json in ["", "--json"] {
        let line = format!("'{DOVETAIL}' exec --skip-git-repo-check {json} hello > /dev/full");
        let output = in_shell(&lab, &line).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(
            errors.contains("error: cannot write to standard output"),
            "{errors}"
        );
    }
}

/// Runs a line of a shell where a test runs the command.
async fn in_shell(lab: &Lab, line: &str) -> std::process::Output {
    let mut shell = tokio::process::Command::new("bash");
    shell
        .args(["-c", line])
        .current_dir(lab.project())
        .env("CODEX_HOME", lab.home())
        .env("DOVETAIL_CACHE", lab.cache())
        .env("REHEARSAL_KEY", "k")
        .stdin(std::process::Stdio::null());
    shell.output().await.unwrap()
}

#[tokio::test]
async fn without_an_answer_that_file_is_empty() {
    let lab = lab(&[&script::status(400, "no")]).await;
    lab.write("answer.txt", "of yesterday");
    lab.exec(&["-o", "answer.txt", "hello"])
        .await
        .expect_code(1);
    assert_eq!(
        std::fs::read_to_string(lab.project().join("answer.txt")).unwrap(),
        ""
    );
}

#[tokio::test]
async fn a_failed_turn_is_exit_code_1_and_the_last_two_lines() {
    let lab = lab(&[&script::status(
        400,
        r#"{"error":{"message":"bad request"}}"#,
    )])
    .await;
    let ran = lab.exec_json(&["hello"], 1).await;
    assert_eq!(
        ran.event_kinds(),
        ["thread.started", "turn.started", "error", "turn.failed"]
    );
    assert_eq!(ran.failure(), r#"{"error":{"message":"bad request"}}"#);
}

#[tokio::test]
async fn a_wrong_command_line_is_exit_code_2() {
    let lab = Lab::bare(DOVETAIL);
    lab.run(&["exec", "--no-such-flag", "hello"])
        .await
        .expect_code(2)
        .expect_errors(&["--no-such-flag"]);
    lab.run(&["exec", "--sandbox", "loose", "hello"])
        .await
        .expect_code(2)
        .expect_errors(&["read-only"]);
}

#[tokio::test]
async fn outside_of_git_it_wants_to_be_told() {
    let lab = lab(&[&script::answer("hi")]).await;
    let ran = lab.run(&["exec", "hello"]).await.expect_code(1);
    ran.expect_errors(&[
        "Not inside a trusted directory and --skip-git-repo-check was not specified.",
    ]);
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn in_a_git_work_tree_it_runs_and_names_the_tree() {
    let lab = lab(&[&script::answer("hi")]).await;
    lab.init_git();
    lab.run(&["exec", "hello"]).await.expect_code(0);
    let requests = lab.requests();
    let metadata = requests[0].header("x-codex-turn-metadata").unwrap();
    let metadata: serde_json::Value = serde_json::from_str(metadata).unwrap();
    // An empty tree has no commit and no remote to tell of.
    assert!(
        metadata["workspaces"].is_null() || metadata["workspaces"].is_object(),
        "{metadata}"
    );
}

#[tokio::test]
async fn trust_is_remembered() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.run(&["exec", "--trust", "hello"]).await.expect_code(0);
    lab.run(&["exec", "hello again"]).await.expect_code(0);
    lab.expect_played();
}

#[tokio::test]
async fn distrust_that_was_written_down_is_not_overruled_by_a_flag() {
    let lab = lab(&[&script::answer("one")]).await;
    let project = lab.project().display().to_string();
    lab.add_config(&format!(
        "[projects.\"{project}\"]\ntrust_level = \"untrusted\""
    ));
    let before = std::fs::read(lab.home().join("config.toml")).unwrap();
    let ran = lab.run(&["exec", "--trust", "hello"]).await.expect_code(1);
    ran.expect_errors(&["is marked as untrusted", "hint: change its `trust_level`"]);
    assert_eq!(
        std::fs::read(lab.home().join("config.toml")).unwrap(),
        before
    );
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn a_model_that_says_nothing_leaves_standard_output_empty() {
    let lab = lab(&["[[response]]\nactions = []\n"]).await;
    let ran = lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(ran.stdout, "");
}

#[tokio::test]
async fn terminal_codes_of_a_model_do_not_reach_standard_error() {
    let lab = lab(&[
        &script::command("c", "printf '\\033[31mred\\n'"),
        &script::answer("\u{1b}[31mred"),
    ])
    .await;
    let ran = lab
        .exec(&["--color", "never", "\u{1b}]0;title\u{7}"])
        .await
        .expect_code(0);
    assert!(!ran.stderr.contains('\u{1b}'), "{:?}", ran.stderr);
    // Whoever reads the answer by program gets it as it is.
    assert_eq!(ran.stdout, "\u{1b}[31mred\n");
}

#[tokio::test]
async fn a_plan_is_one_item_that_is_updated_and_completed() {
    let plan = |first: &str, second: &str| {
        format!(
            "{{ plan = [{{ step = \"one\", status = \"{first}\" }}, {{ step = \"two\", status = \"{second}\" }}] }}"
        )
    };
    let lab = lab(&[
        &script::call("p1", "update_plan", &plan("in_progress", "pending")),
        &script::call("p2", "update_plan", &plan("completed", "in_progress")),
        &script::answer("planned"),
    ])
    .await;
    let ran = lab.exec_json(&["plan"], 0).await;
    let todo = |first: bool| {
        serde_json::json!({ "id": "item_0", "type": "todo_list", "items": [
            { "text": "one", "completed": first }, { "text": "two", "completed": false }] })
    };
    let items: Vec<_> = ran
        .events()
        .into_iter()
        .filter(|event| event["item"]["type"] == "todo_list")
        .collect();
    assert_eq!(
        items,
        [
            serde_json::json!({ "type": "item.started", "item": todo(false) }),
            serde_json::json!({ "type": "item.updated", "item": todo(true) }),
            serde_json::json!({ "type": "item.completed", "item": todo(true) }),
        ]
    );
}

#[tokio::test]
async fn completions_are_printed_for_every_shell() {
    let lab = Lab::bare(DOVETAIL);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = lab.run(&["completions", shell]).await.expect_code(0);
        assert!(
            ran.stdout.contains("dovetail") && ran.stdout.contains("exec"),
            "{shell}: {}",
            ran.stdout
        );
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_does_not_fail_the_turn() {
    let lab = lab(&[&script::answer("The answer.")]).await;
    let pipeline = format!(
        "'{DOVETAIL}' exec --skip-git-repo-check --json hello | true; echo ${{PIPESTATUS[0]}}"
    );
    let output = in_shell(&lab, &pipeline).await;
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "0\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    lab.expect_played();
}

#[tokio::test]
async fn another_directory_may_be_written_too() {
    let lab = lab(&[
        &script::command("in", "touch ../user/made && echo made"),
        &script::answer("ok"),
    ])
    .await;
    let args = ["-s", "workspace-write", "--add-dir", "../user", "hello"];
    lab.exec_json(&args, 0).await;
    assert!(
        lab.output_of("in").contains("\nmade\n"),
        "{}",
        lab.output_of("in")
    );
    assert!(lab.outside().join("made").exists());
}

#[tokio::test]
async fn colours_are_where_they_are_asked_for() {
    let mut lab = lab(&[
        &script::answer("1"),
        &script::answer("2"),
        &script::answer("3"),
    ])
    .await;
    let coloured = |ran: &dovetail_tests::Ran| ran.stderr.contains("\u{1b}[");
    assert!(
        !coloured(&lab.exec(&["hello"]).await),
        "nobody looks at a pipe"
    );
    assert!(coloured(&lab.exec(&["--color", "always", "hello"]).await));
    lab.set_env("NO_COLOR", "1");
    assert!(!coloured(&lab.exec(&["hello"]).await));
    lab.expect_played();
}

#[tokio::test]
async fn the_source_of_a_thread_is_kept() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.exec_json(&["--thread-source", "nightly", "hello"], 0)
        .await;
    lab.exec_json(&["resume", "--last", "again"], 0).await;
    for request in lab.requests() {
        let metadata = request.header("x-codex-turn-metadata").unwrap();
        let metadata: serde_json::Value = serde_json::from_str(metadata).unwrap();
        assert_eq!(metadata["thread_source"], "nightly");
    }
    assert_eq!(
        lab.rollout_lines()[0]["payload"]["thread_source"],
        "nightly"
    );
}

#[tokio::test]
async fn what_goes_on_without_a_record_leaves_the_thread_as_it_was() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.exec_json(&["hello"], 0).await;
    let before = std::fs::read(lab.rollout()).unwrap();
    let ran = lab
        .exec_json(&["--ephemeral", "resume", "--last", "again"], 0)
        .await;
    assert_eq!(
        ran.events().last().unwrap()["usage"]["input_tokens"],
        200,
        "totals of the thread"
    );
    assert_eq!(std::fs::read(lab.rollout()).unwrap(), before);
    lab.expect_played();
}
