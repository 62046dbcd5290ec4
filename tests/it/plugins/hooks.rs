//! A hook that denies and one that rewrites.

use dovetail_tests::{NO_RM, REWRITE, script};

use crate::lab;

#[tokio::test]
async fn a_hook_without_a_grant_stops_a_headless_run() {
    for guest in [&NO_RM, &REWRITE] {
        let lab = lab(&[&script::answer("hi")]).await;
        lab.drop_in(guest);
        let ran = lab.exec(&["hello"]).await.expect_code(3);
        let (sentence, hint) = (
            format!("plugin `{}` is installed but nobody", guest.id),
            format!("dovetail plugin grant {}", guest.id),
        );
        ran.expect_errors(&[&sentence, &hint]);
        assert!(lab.requests().is_empty());
    }
}

#[tokio::test]
async fn a_hook_denies_a_command_and_the_model_reads_why() {
    let lab = lab(&[
        &script::command("c", "touch ran; rm -rf build"),
        &script::answer("ok"),
    ])
    .await;
    lab.install(&NO_RM).await;
    let ran = lab
        .exec(&["-s", "danger-full-access", "clean up"])
        .await
        .expect_code(0);
    assert_eq!(
        lab.output_of("c"),
        "Command blocked by PreToolUse hook: destructive commands need a person. Command: touch ran; rm -rf build"
    );
    assert!(
        !lab.project().join("ran").exists(),
        "the command did not run"
    );
    ran.expect_errors(&[
        "deny",
        "rm -rf build",
        "hook `no-rm`",
        "destructive commands need a person",
    ]);
}

#[tokio::test]
async fn a_hook_sees_every_command_of_a_batch() {
    let batch = script::response(
        "{ tool_call = \"exec_command\", call_id = \"good\", arguments = { cmd = \"echo good\" } },\n\
         { tool_call = \"exec_command\", call_id = \"bad\", arguments = { cmd = \"rm -rf x\" } }",
    );
    let lab = lab(&[&batch, &script::answer("ok")]).await;
    lab.install(&NO_RM).await;
    lab.exec(&["go"]).await.expect_code(0);
    assert!(lab.output_of("good").contains("good\n"));
    assert!(lab.output_of("bad").contains("blocked by PreToolUse hook"));
}

#[tokio::test]
async fn a_hook_rewrites_a_command_before_it_runs() {
    let lab = lab(&[
        &script::command("c", "echo would: git push origin"),
        &script::answer("ok"),
    ])
    .await;
    lab.install(&REWRITE).await;
    let ran = lab.exec(&["push"]).await.expect_code(0);
    assert!(
        lab.output_of("c")
            .contains("would: git push --dry-run origin\n"),
        "{}",
        lab.output_of("c")
    );
    ran.expect_errors(&["rewritten by `push-dry-run`", "pushes are rehearsed"]);
}

#[tokio::test]
async fn hooks_judge_what_other_hooks_rewrote() {
    let lab = lab(&[
        &script::command("c", "git push && rm -rf x"),
        &script::answer("ok"),
    ])
    .await;
    lab.install(&NO_RM).await;
    lab.install(&REWRITE).await;
    lab.exec(&["push"]).await.expect_code(0);
    assert!(
        lab.output_of("c")
            .contains("destructive commands need a person"),
        "{}",
        lab.output_of("c")
    );
}
