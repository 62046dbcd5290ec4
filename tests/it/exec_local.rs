//! `exec --oss`: a model server that people run themselves. And flags of other clients that are refused.

use dovetail_tests::{Lab, script};

use crate::DOVETAIL;

/// A lab whose server stands at the place of the local one, with another provider in the configuration.
async fn with_local_server(responses: &[&str]) -> Lab {
    let mut lab = Lab::bare(DOVETAIL);
    lab.play(&responses.concat()).await;
    lab.set_env("CODEX_OSS_BASE_URL", &lab.server().base_url());
    lab.write_config("model = \"gpt-5.5\"\n");
    lab
}

#[tokio::test]
async fn a_local_server_is_asked_for_its_own_model() {
    for (provider, model) in [
        ("ollama", "gpt-oss:20b"),
        ("lmstudio", "openai/gpt-oss-20b"),
    ] {
        let lab = with_local_server(&[&script::answer("hi")]).await;
        lab.exec_json(&["--oss", "--local-provider", provider, "hello"], 0)
            .await;
        assert_eq!(lab.last_request()["model"], model);
        assert_eq!(
            lab.requests()[0].header("authorization"),
            None,
            "a local server gets no key"
        );
    }
}

#[tokio::test]
async fn the_server_may_be_configured_and_the_model_be_given() {
    let lab = with_local_server(&[&script::answer("hi")]).await;
    lab.add_config("oss_provider = \"ollama\"");
    lab.exec_json(&["--oss", "-m", "qwen3-coder", "hello"], 0)
        .await;
    assert_eq!(lab.last_request()["model"], "qwen3-coder");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_before_the_turn() {
    let mut lab = Lab::bare(DOVETAIL);
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    lab.set_env("CODEX_OSS_BASE_URL", &format!("http://127.0.0.1:{port}/v1"));
    let ran = lab
        .exec(&["--oss", "--local-provider", "ollama", "hello"])
        .await
        .expect_code(1);
    assert_eq!(ran.stdout, "");
    ran.expect_errors(&[
        &format!(
            "error: no Ollama server answers at http://127.0.0.1:{port}/v1: Connection refused"
        ),
        "hint: start it with `ollama serve`, or say where it is: CODEX_OSS_BASE_URL=",
    ]);
}

#[tokio::test]
async fn flags_that_leave_something_open_are_refused() {
    let lab = with_local_server(&[&script::answer("hi")]).await;
    for (args, words) in [
        (
            &["--oss", "hello"][..],
            "error: `--oss` needs to know which server to ask",
        ),
        (
            &["--local-provider", "ollama", "hello"],
            "hint: add `--oss`",
        ),
        (
            &["--worktree", "hello"],
            "error: `--worktree` is not supported yet",
        ),
        (
            &["--approve-for-me", "hello"],
            "error: `--approve-for-me` is not supported yet",
        ),
    ] {
        lab.exec(args)
            .await
            .expect_code(1)
            .expect_errors(&[words, "hint: "]);
    }
    lab.exec(&["--oss", "--local-provider", "nobody", "hello"])
        .await
        .expect_code(2)
        .expect_errors(&["ollama, lmstudio"]);
    assert!(lab.requests().is_empty());
}
