//! `provider test`: each step that can fail, with what is said and what to do.

use serde_json::json;

use super::api::{Api, Reply, answer, listing, not_found, spoken};
use super::{SECRET, failure, lab, told, vendor};

/// Tests the provider `vendor`, and compares the step that fails, the begin of what is known, and the first fix.
async fn fails(config: &str, step: &str, fact: &str, fix: &str) {
    let lab = lab(config);
    let ran = lab
        .run(&["provider", "test", "vendor", "--json"])
        .await
        .expect_code(1);
    let (failed, known, fixes) = failure(&lab, &ran);
    assert_eq!(failed, step, "{known}");
    assert!(known.contains(fact), "`{fact}` is missing in: {known}");
    assert!(
        fixes.iter().any(|known| known.contains(fix)),
        "`{fix}` is missing in: {fixes:#?}"
    );
}

/// The same for a server that lists `m-1` and answers everything else like this.
async fn answers(reply: Reply, step: &str, fact: &str, fix: &str) {
    let server = Api::start(move |request| match request.line.as_str() {
        "GET /v1/models" => listing(&["m-1", "m-2"]),
        _ => reply.clone(),
    })
    .await;
    let config = vendor(&server.url("/v1"), "env_key = \"VENDOR_KEY\"");
    fails(&config, step, fact, fix).await;
}

#[tokio::test]
async fn configurations_that_cannot_be_used_fail_first() {
    fails(
        "[model_providers.vendor]\nname = \"V\"\nbase_url = 5\n",
        "configuration",
        "`model_providers.vendor.base_url` in `/home/config.toml` line 3",
        "dovetail config explain model_providers",
    )
    .await;
    fails(
        "model = \"m\"\n",
        "plugin",
        "Model provider `vendor` not found",
        "add a table `[model_providers.vendor]`",
    )
    .await;
    fails(
        &vendor("ftp://a.example", ""),
        "plugin",
        "`model_providers.vendor.base_url` is not an http or https URL",
        "write it like https://llm.example.com/v1",
    )
    .await;
    fails(
        &vendor("http://127.0.0.1:9/v1", "wire_api = \"nonsense\""),
        "plugin",
        "wire_api `nonsense` is not known",
        "dovetail config explain model_providers.vendor",
    )
    .await;
    fails(
        &vendor(
            "http://127.0.0.1:9/v1",
            "env_key = \"K\"\nauth = { command = \"x\" }",
        ),
        "plugin",
        "auth cannot be combined with env_key",
        "dovetail config explain model_providers.vendor",
    )
    .await;
}

#[tokio::test]
async fn without_its_credential_nothing_is_sent() {
    let server = Api::speaking("responses", &["m-1"]).await;
    for (more, fact, fix) in [
        (
            "env_key = \"NOT_SET\"",
            "Missing environment variable: `NOT_SET`.",
            "export NOT_SET=…",
        ),
        (
            "auth = { command = \"sh\", args = [\"-c\", \"echo gone >&2; exit 3\"] }",
            "gone",
            "run `sh` as user: /home/config.toml:4 has it",
        ),
        (
            "auth = { command = \"no-such-program\" }",
            "no-such-program",
            "run `no-such-program`",
        ),
        ("requires_openai_auth = true", "", "dovetail login"),
    ] {
        fails(&vendor(&server.url("/v1"), more), "credential", fact, fix).await;
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn refusals_are_told_in_the_servers_words_without_secrets() {
    let error =
        |status: u16, words: &str| Reply::Json(status, json!({ "error": { "message": words } }));
    answers(
        error(401, &format!("Incorrect API key provided: {SECRET}")),
        "stream",
        "401 Unauthorized: Incorrect API key provided: …",
        "look at the variable VENDOR_KEY",
    )
    .await;
    answers(
        error(403, "not for this project"),
        "stream",
        "not for this project",
        "look at its permissions",
    )
    .await;
    answers(
        error(404, "The model `m-1` does not exist"),
        "stream",
        "does not exist",
        "`m-1` is listed, and cannot be used like this",
    )
    .await;
    answers(
        not_found(),
        "stream",
        "404 Not Found",
        "dovetail provider add http://127.0.0.1:<port>/v1 --dry-run",
    )
    .await;
    answers(error(429, "slow down"), "stream", "429", "wait").await;
    answers(
        error(500, "out of memory"),
        "stream",
        "out of memory",
        "look at the server's own log",
    )
    .await;
    answers(
        Reply::Other(200, "text/html", "<html>Sign in</html>"),
        "stream",
        "`text/html` instead of an event stream",
        "something else than a model answers",
    )
    .await;
    answers(
        Reply::Other(200, "text/event-stream", "data: {{{{\n\n\u{1}\n"),
        "stream",
        "stream disconnected before completion",
        "turns are always streamed",
    )
    .await;
    answers(Reply::Close, "stream", "no answer from", "try again").await;
    answers(
        error(400, "streaming is not available"),
        "stream",
        "streaming is not available",
        "does it speak Responses?",
    )
    .await;
}

#[tokio::test]
async fn a_model_that_is_not_there_is_told_with_those_that_are() {
    let server = Api::start(|request| match request.line.as_str() {
        "GET /v1/models" => listing(&["a", "b"]),
        _ => Reply::Json(
            404,
            json!({ "error": { "message": "The model `m-1` does not exist" } }),
        ),
    })
    .await;
    let config = vendor(&server.url("/v1"), "");
    fails(
        &config,
        "stream",
        "The model `m-1` does not exist",
        "name a model that it has, with -m: a, b",
    )
    .await;
}

#[tokio::test]
async fn a_refusal_that_does_not_end_is_recovered_from_once() {
    let server =
        Api::start(|_| Reply::Json(401, json!({ "error": { "message": "expired" } }))).await;
    let lab = lab("");
    let count = lab.outside().join("runs");
    let line = format!("echo x >> {0}; wc -l < {0}", count.display());
    lab.write_config(&vendor(
        &server.url("/v1"),
        &format!("auth = {{ command = \"sh\", args = [\"-c\", \"{line}\"] }}"),
    ));
    let ran = lab
        .run(&["provider", "test", "--json"])
        .await
        .expect_code(1);
    let (step, fact, fixes) = failure(&lab, &ran);
    assert_eq!(step, "stream");
    assert!(fact.contains("expired"), "{fact}");
    assert_eq!(
        fixes[0],
        "look at the command `sh`: is it for this service, and whole?"
    );
    let posts = server
        .lines()
        .iter()
        .filter(|line| line.starts_with("POST"))
        .count();
    assert_eq!(posts, 2, "asked, recovered, asked again");
}

#[tokio::test]
async fn a_server_without_a_list_is_asked_all_the_same() {
    for list in [
        not_found(),
        Reply::Other(200, "text/html", "<html>"),
        Reply::Json(200, json!({ "hello": 1 })),
        Reply::Json(500, json!({ "error": { "message": "no" } })),
    ] {
        let list = list.clone();
        let server = Api::start(move |request| match request.line.as_str() {
            "GET /v1/models" => list.clone(),
            _ => spoken("responses", &[], request),
        })
        .await;
        let lab = lab(&vendor(&server.url("/v1"), ""));
        let ran = lab
            .run(&["provider", "test", "--json"])
            .await
            .expect_code(0);
        let told = told(&lab, &ran);
        assert_eq!(told["steps"][7]["status"], "skipped", "{told:#}");
        let fact = told["steps"][7]["fact"].as_str().unwrap();
        assert!(
            fact.starts_with("no list: ") && fact.ends_with("; asking `m-1`"),
            "{fact}"
        );
    }
}

#[tokio::test]
async fn tools_that_are_not_called_fail_the_last_step() {
    let server = Api::start(|request| {
        let mut request = request.clone();
        // It does not see that any are offered.
        request.body["tools"] = json!(null);
        spoken("chat", &["m-1", "m-2"], &request)
    })
    .await;
    let config = vendor(&server.url("/v1"), "wire_api = \"chat\"");
    fails(
        &config,
        "tools",
        "it answered with text instead of a call",
        "try another model with -m, such as m-2",
    )
    .await;

    let server = Api::start(|request| match request.body["tools"].is_array() {
        true => Reply::Json(
            400,
            json!({ "error": { "message": "m-1 does not support tools" } }),
        ),
        false => match request.line.as_str() {
            "POST /v1/chat/completions" => answer("chat", request),
            _ => listing(&["m-1"]),
        },
    })
    .await;
    let config = vendor(&server.url("/v1"), "wire_api = \"chat\"");
    fails(
        &config,
        "tools",
        "m-1 does not support tools",
        "try another model",
    )
    .await;
}

#[tokio::test]
async fn a_server_that_hangs_ends_the_test_in_time_and_at_once_on_an_interrupt() {
    let server = Api::start(|request| match request.line.as_str() {
        "GET /v1/models" => not_found(),
        _ => Reply::Hang,
    })
    .await;
    let lab = lab(&vendor(&server.url("/v1"), ""));
    let ran = lab
        .run(&["provider", "test", "--timeout", "2", "--json"])
        .await
        .expect_code(1);
    let (step, fact, fixes) = failure(&lab, &ran);
    assert_eq!(
        (step.as_str(), fact.as_str()),
        ("stream", "not done within 2 s altogether")
    );
    assert_eq!(
        fixes,
        ["a model that is slow to load may need more: --timeout 6"]
    );

    let asked = server.lines().len();
    let running = lab.start(&["provider", "test", "--json"]);
    server.wait_for(asked + 2).await;
    running.signal("INT");
    let ran = running.finish().await.expect_code(1);
    assert_eq!(
        failure(&lab, &ran),
        ("stream".to_owned(), "interrupted".to_owned(), vec![])
    );
}
