//! `provider add`: what it refuses, and servers that nothing can be found out about.

use serde_json::json;

use super::api::{Api, Reply, listing, not_found};
use super::{SECRET, lab, tells_no_secret};

/// Adds, and expects these words; nothing is written.
async fn refused(server: Option<&Api>, args: &[&str], words: &[&str]) {
    let lab = lab("# mine\n");
    let url = server.map(|server| server.url(""));
    let url: Vec<&str> = url.iter().map(String::as_str).collect();
    let args = [&["provider", "add"], &url[..], args, &["--yes"]].concat();
    let ran = lab.run(&args).await.expect_code(1);
    tells_no_secret(&ran);
    assert_eq!(ran.stdout, "");
    let stderr = lab.normal(&ran.stderr);
    for part in words {
        assert!(stderr.contains(part), "`{part}` is missing in:\n{stderr}");
    }
    let text = std::fs::read_to_string(lab.home().join("config.toml")).unwrap();
    assert_eq!(text, "# mine\n");
}

#[tokio::test]
async fn credentials_on_the_command_line_are_refused_and_not_repeated() {
    for (args, words) in [
        (
            vec![format!("http://user:{SECRET}@127.0.0.1:9/v1")],
            "error: the address holds a user name or a password",
        ),
        (
            vec![format!("http://127.0.0.1:9/v1?api_key={SECRET}")],
            "error: the address holds a key, in its parameter `api_key`",
        ),
        (
            vec![
                "http://127.0.0.1:9".to_owned(),
                "--env-key".to_owned(),
                format!("sk-{SECRET}"),
            ],
            "error: `--env-key` takes the name of a variable, not a key",
        ),
        (
            vec![
                "http://127.0.0.1:9".to_owned(),
                "--token-command".to_owned(),
                format!("echo sk-{SECRET}"),
            ],
            "error: `--token-command` holds what looks like a credential",
        ),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        refused(None, &args, &[words, "hint: "]).await;
    }
}

#[tokio::test]
async fn ids_of_others_are_refused_before_anything_is_asked() {
    let server = Api::speaking("responses", &["m-1"]).await;
    for (id, words) in [
        (
            "openai",
            "error: `openai` is reserved for the built-in provider",
        ),
        (
            "ollama",
            "hint: give it another id, such as --id ollama-custom",
        ),
        ("amazon-bedrock", "error: `amazon-bedrock` is built in"),
        ("a b", "error: that cannot be the id of a provider"),
    ] {
        refused(Some(&server), &["--id", id], &[words]).await;
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn nothing_is_sent_without_the_credential_that_is_named() {
    let server = Api::speaking("responses", &["m-1"]).await;
    refused(
        Some(&server),
        &["--env-key", "NOT_SET"],
        &[
            "error: Missing environment variable: `NOT_SET`.",
            "hint: export NOT_SET=…",
        ],
    )
    .await;
    refused(
        Some(&server),
        &["--token-command", "sh -c 'echo gone >&2; exit 3'"],
        &["gone", "hint: run `sh`"],
    )
    .await;
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_server_that_wants_a_key_is_told_from_one_that_does_not_take_it() {
    let server =
        Api::start(|_| Reply::Json(401, json!({ "error": { "message": "who are you" } }))).await;
    refused(
        Some(&server),
        &[],
        &[
            "error: the server wants a credential: ",
            "who are you",
            "hint: put the key into a variable, and name that: --env-key NAME",
        ],
    )
    .await;
    assert_eq!(
        server.lines(),
        ["GET /v1/models", "POST /v1/responses"],
        "without a key, one refusal is enough"
    );

    let server = Api::start(|request| {
        let key = request
            .header("authorization")
            .or(request.header("x-api-key"));
        let words = format!("Incorrect API key provided: {}", key.unwrap_or("none"));
        Reply::Json(401, json!({ "error": { "message": words } }))
    })
    .await;
    refused(
        Some(&server),
        &["--env-key", "VENDOR_KEY"],
        &[
            "error: the server does not take this credential: ",
            "Incorrect API key provided: …",
        ],
    )
    .await;
}

#[tokio::test]
async fn what_speaks_nothing_that_is_known_is_told_with_each_attempt() {
    let page = Api::start(|_| Reply::Other(200, "text/html", "<html>Welcome</html>")).await;
    refused(
        Some(&page),
        &[],
        &[
            "speaks Responses, Chat Completions or Messages",
            "Responses at http://127.0.0.1:<port>/v1: ",
            "Messages at http://127.0.0.1:<port>: ",
            "`text/html` instead of an event stream",
            "hint: is the path right?",
        ],
    )
    .await;
    let nothing = Api::start(|_| not_found()).await;
    refused(
        Some(&nothing),
        &[],
        &[
            "Chat Completions at http://127.0.0.1:<port>: ",
            "404 Not Found",
        ],
    )
    .await;
    assert_eq!(
        nothing
            .lines()
            .iter()
            .filter(|line| line.starts_with("POST"))
            .count(),
        6
    );
}

#[tokio::test]
async fn servers_that_break_are_told_in_their_way() {
    let closing = Api::start(|request| match request.line.as_str() {
        "GET /v1/models" => listing(&["m-1"]),
        _ => Reply::Close,
    })
    .await;
    refused(
        Some(&closing),
        &[],
        &["error: Responses at http://127.0.0.1:<port>/v1 cannot be used: no answer from"],
    )
    .await;

    let garbage =
        Api::start(|_| Reply::Other(200, "text/event-stream", "data: {{{{\n\n:\n\n\u{1}\u{2}\n"))
            .await;
    refused(
        Some(&garbage),
        &[],
        &[
            "cannot be used: stream disconnected before completion",
            "hint: turns are always streamed",
        ],
    )
    .await;

    let unstreamed = Api::start(|request| match request.line.as_str() {
        "POST /v1/chat/completions" => Reply::Json(
            400,
            json!({ "error": { "message": "streaming is not available on this plan" } }),
        ),
        _ => not_found(),
    })
    .await;
    refused(
        Some(&unstreamed),
        &[],
        &[
            "Chat Completions at",
            "streaming is not available on this plan",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_model_that_is_not_there_is_told_with_those_that_are() {
    let server = Api::start(|request| match request.line.as_str() {
        "GET /v1/models" => listing(&["m-1", "m-2"]),
        "POST /v1/responses" => Reply::Json(
            404,
            json!({ "error": { "message": "The model `nope` does not exist" } }),
        ),
        _ => not_found(),
    })
    .await;
    refused(
        Some(&server),
        &["-m", "nope"],
        &[
            "has no model `nope`",
            "hint: name a model that it has, with -m: m-1, m-2",
        ],
    )
    .await;
}

#[tokio::test]
async fn where_nobody_can_be_asked_it_needs_a_yes() {
    let server = Api::speaking("responses", &["m-1"]).await;
    let lab = lab("");
    let ran = lab
        .run(&["provider", "add", &server.url("")])
        .await
        .expect_code(1);
    ran.expect_errors(&[
        "error: this needs a decision",
        "hint: write it without asking: --yes",
    ]);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_in_time_and_at_once_on_an_interrupt() {
    let server = Api::start(|_| Reply::Hang).await;
    refused(
        Some(&server),
        &["--timeout", "1"],
        &[
            "error: the server was not found out about within 1 s; nothing was written",
            "--timeout 3",
        ],
    )
    .await;
    let asked = server.lines().len();
    let lab = lab("");
    let running = lab.start(&["provider", "add", &server.url(""), "--yes"]);
    server.wait_for(asked + 1).await;
    running.signal("INT");
    let ran = running.finish().await.expect_code(1);
    ran.expect_errors(&["error: interrupted; nothing was written"]);
}
