//! `exec --oss`: a model server that people run themselves. And flags of other clients that are refused.

use dovetail_tests::{Lab, script};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::DOVETAIL;
use crate::raw_server::RawServer;

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

/// A server that answers each path with JSON, or not at all, and says nothing of models otherwise.
async fn answering(answers: &'static [(&'static str, &'static str)]) -> RawServer {
    RawServer::start(move |mut stream| async move {
        let mut bytes = vec![0; 4096];
        let read = stream.read(&mut bytes).await.unwrap();
        let request = String::from_utf8_lossy(&bytes[..read]).into_owned();
        let path = request.split(' ').nth(1).unwrap_or_default();
        let body = answers.iter().find(|(known, _)| *known == path);
        let response = match body {
            Some((_, body)) => format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            ),
            None => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                .to_owned(),
        };
        // The first connection only looks whether anybody is there.
        drop(stream.write_all(response.as_bytes()).await);
        stream
    })
    .await
}

#[tokio::test]
async fn what_is_wrong_with_a_local_server_is_said_with_what_to_do() {
    const LIST: &str = r#"{"object":"list","data":[{"id":"gpt-oss:120b"}]}"#;
    type Answers = &'static [(&'static str, &'static str)];
    let cases: [(Answers, &str, &[&str], &[&str]); 5] = [
        (
            &[
                ("/v1/models", LIST),
                ("/api/version", r#"{"version":"0.14.1"}"#),
            ],
            "ollama",
            &[],
            &[
                "has no model `gpt-oss:20b`",
                "hint: get it: `ollama pull gpt-oss:20b`",
                "hint: or use one that is there, with `-m`: gpt-oss:120b",
            ],
        ),
        (
            &[("/v1/models", r#"{"object":"list","data":null}"#)],
            "lmstudio",
            &["-m", "m"],
            &[
                "LM Studio at",
                "has no model `m`",
                "hint: get it: `lms get m`",
            ],
        ),
        (
            &[
                ("/v1/models", LIST),
                ("/api/version", r#"{"version":"0.9.0"}"#),
            ],
            "ollama",
            &["-m", "gpt-oss:120b"],
            &[
                "Ollama 0.9.0 at",
                "does not speak the Responses API",
                "update it to 0.13.4",
                "wire_api = \"chat\"",
            ],
        ),
        (
            &[],
            "ollama",
            &[],
            &[
                "is not Ollama, or not its API",
                "is answered with 404 Not Found",
                "hint: say where Ollama is",
            ],
        ),
        (
            &[("/v1/models", "<html>")],
            "lmstudio",
            &[],
            &[
                "is not LM Studio, or not its API",
                "is not answered with a JSON object",
            ],
        ),
    ];
    for (answers, provider, more, words) in cases {
        let server = answering(answers).await;
        let mut lab = Lab::bare(DOVETAIL);
        lab.set_env(
            "CODEX_OSS_BASE_URL",
            &format!("http://{}/v1", server.address()),
        );
        let args = [&["--oss", "--local-provider", provider], more, &["hello"]].concat();
        lab.exec(&args).await.expect_code(1).expect_errors(words);
    }
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
