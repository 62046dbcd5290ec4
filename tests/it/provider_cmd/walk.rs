//! `provider test`: providers that can be used.

use dovetail_rehearsal::RecordedRequest;
use dovetail_tests::{ACME, script};
use serde_json::{Value, json};

use super::api::{Api, Reply, spoken};
use super::{SECRET, failure, lab, steps, tells_no_secret, told, vendor};
use crate::DOVETAIL;

/// One step of a whole test.
fn step(name: &str, status: &str, fact: &str) -> Value {
    let ms = match status {
        "skipped" => json!(null),
        _ => json!("<ms>"),
    };
    json!({ "step": name, "status": status, "fact": fact, "fix": [], "ms": ms })
}

#[tokio::test]
async fn a_provider_that_works_is_told_step_by_step() {
    for (wire, words, plugin, header) in [
        (
            "responses",
            "Responses",
            "openai <version> (built-in)",
            "Authorization",
        ),
        (
            "chat",
            "Chat Completions",
            "chat-completions <version> (built-in)",
            "Authorization",
        ),
        (
            "messages",
            "Messages",
            "messages <version> (built-in)",
            "x-api-key",
        ),
    ] {
        let server = Api::speaking(wire, &["m-0", "m-1"]).await;
        let more = format!("wire_api = \"{wire}\"\nenv_key = \"VENDOR_KEY\"");
        let lab = lab(&vendor(&server.url("/v1"), &more));
        let ran = lab
            .run(&["provider", "test", "--json"])
            .await
            .expect_code(0);
        let expected = json!({
            "provider": "vendor", "model": "m-1", "ok": true, "requests": 3, "ms": "<ms>",
            "steps": [
                step("configuration", "ok", "vendor, user: /home/config.toml:4"),
                step("plugin", "ok", &format!("{plugin}, which speaks {words}, for http://127.0.0.1:<port>/v1")),
                step("dns", "skipped", "127.0.0.1 is an address"),
                step("tcp", "ok", "127.0.0.1:<port> accepts connections"),
                step("proxy", "skipped", "none is used"),
                step("tls", "skipped", "http:// is not encrypted, and does not leave this machine"),
                step("credential", "ok", &format!("the variable VENDOR_KEY; sent as {header}")),
                step("models", "ok", "2 listed; asking `m-1`"),
                step("stream", "ok", "it says \"ready\"; first words after <time>; 20 tokens in, 2 out"),
                step("tools", "ok", "called, and its result taken"),
            ],
        });
        assert_eq!(told(&lab, &ran), expected, "{wire}");
        let requests = server.requests();
        assert_eq!(requests.len(), 4);
        for request in &requests {
            let key = request
                .header("authorization")
                .or(request.header("x-api-key"));
            assert!(
                key.is_some_and(|key| key.ends_with(SECRET)),
                "{}",
                request.line
            );
        }
        let last = requests[3].body.to_string();
        assert!(
            last.contains("acorn") && last.contains("dovetail_check"),
            "the result went back: {last}"
        );
    }
}

#[tokio::test]
async fn people_see_one_line_for_each_step() {
    let server = Api::speaking("chat", &["m-1"]).await;
    let lab = lab(&vendor(&server.url("/v1"), "wire_api = \"chat\""));
    let ran = lab
        .run(&["provider", "test", "vendor"])
        .await
        .expect_code(0);
    assert_eq!(ran.stderr, "");
    let lines: Vec<String> = ran
        .stdout
        .lines()
        .map(|line| {
            line.split_whitespace()
                .take(2)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let begins = |words: &str| lines.iter().any(|line| line == words);
    for words in [
        "ok configuration",
        "ok plugin",
        "skipped dns",
        "ok tcp",
        "skipped credential",
        "ok models",
        "ok stream",
        "ok tools",
    ] {
        assert!(begins(words), "{words}: {}", ran.stdout);
    }
    assert!(
        ran.stdout.ends_with("`vendor` can be used, with `m-1`\n"),
        "{}",
        ran.stdout
    );
    assert!(
        !ran.stdout.contains('\u{1b}') && ran.stdout.lines().all(|line| line.chars().count() < 81),
        "{}",
        ran.stdout
    );
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_for_the_whole_test() {
    let server = Api::start(|request| match request.header("authorization") {
        Some("Bearer token-of-run-2") => spoken("responses", &["m-1"], request),
        _ => Reply::Json(401, json!({ "error": { "message": "expired" } })),
    })
    .await;
    let lab = lab("");
    let count = lab.outside().join("runs");
    let command = lab.write(
        "token.sh",
        format!(
            "echo x >> {0}; printf 'token-of-run-%s' $(wc -l < {0})",
            count.display()
        ),
    );
    lab.write_config(&vendor(
        &server.url("/v1"),
        &format!(
            "auth = {{ command = \"sh\", args = [\"{}\"] }}",
            command.display()
        ),
    ));
    let ran = lab
        .run(&["provider", "test", "--json"])
        .await
        .expect_code(0);
    let told = told(&lab, &ran);
    assert_eq!(
        told["steps"][6]["fact"],
        "the command `sh`; sent as Authorization"
    );
    // By the question for the list; what follows goes with the new one.
    assert_eq!(told["steps"][7]["fact"], "1 listed; asking `m-1`");
    assert_eq!(told["requests"], 3);
    assert_eq!(std::fs::read_to_string(count).unwrap(), "x\nx\n");
}

#[tokio::test]
async fn a_provider_that_is_not_chosen_is_asked_for_a_model_of_its_own() {
    let server = Api::speaking("responses", &["text-embedding-1", "m-7"]).await;
    let config = format!(
        "model = \"gpt-5.5\"\n{}",
        vendor(&server.url("/v1"), "").split_once("\n\n").unwrap().1
    );
    let lab = lab(&config);
    let ran = lab
        .run(&["provider", "test", "vendor", "--json"])
        .await
        .expect_code(0);
    assert_eq!(told(&lab, &ran)["model"], "m-7");
    let ran = lab
        .run(&["provider", "test", "vendor", "-m", "other", "--json"])
        .await
        .expect_code(0);
    let told = told(&lab, &ran);
    assert_eq!(told["model"], "other");
    assert_eq!(
        told["steps"][7]["fact"],
        "2 listed, `other` is not among them; asking it"
    );
}

#[tokio::test]
async fn openai_and_local_providers_are_tested_like_others() {
    let server = Api::speaking("responses", &["gpt-oss:20b", "gpt-5.5"]).await;
    let mut lab = lab(&format!(
        "openai_base_url = \"{}\"\n[dovetail]\nwebsockets = false\n",
        server.url("/v1")
    ));
    lab.set_env("CODEX_API_KEY", SECRET);
    lab.set_env("CODEX_OSS_BASE_URL", &server.url("/v1"));
    let ran = lab.run(&["provider", "test", "--json"]).await;
    let list = server.lines().first().cloned();
    assert_eq!(
        list.as_deref(),
        Some("GET /v1/models?client_version=0.169.0")
    );
    let ran = ran.expect_code(0);
    tells_no_secret(&ran);
    assert_eq!(
        (&ran.json()["provider"], &ran.json()["model"]),
        (&json!("openai"), &json!("gpt-5.5"))
    );

    let before = server.requests().len();
    let ran = lab
        .run(&["provider", "test", "ollama", "--json"])
        .await
        .expect_code(0);
    assert_eq!(ran.json()["model"], "gpt-oss:20b");
    let requests = server.requests();
    assert!(
        requests[before..]
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
}

#[tokio::test]
async fn bedrock_has_a_list_of_its_own() {
    let mut lab = dovetail_tests::Lab::bare(DOVETAIL);
    let call = script::call("c1", "dovetail_check", "{ word = \"oak\" }");
    lab.play(&[script::answer("ready"), call, script::answer("acorn")].concat())
        .await;
    lab.write_config(&format!(
        "model_provider = \"amazon-bedrock\"\n[model_providers.amazon-bedrock]\nbase_url = \"{}\"\naws = {{ region = \"us-east-1\" }}\n",
        lab.server().base_url()
    ));
    lab.set_env("AWS_BEARER_TOKEN_BEDROCK", SECRET);
    lab.set_env("AWS_EC2_METADATA_DISABLED", "true");
    let ran = lab
        .run(&["provider", "test", "--json"])
        .await
        .expect_code(0);
    tells_no_secret(&ran);
    assert!(
        steps(&ran).contains(&"models ok".to_owned()),
        "{:?}",
        steps(&ran)
    );
    assert_eq!(ran.json()["model"], "openai.gpt-6.1-sol");
    let paths: Vec<String> = lab
        .requests()
        .iter()
        .map(|request| request.path.clone())
        .collect();
    assert_eq!(paths, ["/v1/responses"; 3], "nobody is asked for a list");
}

#[tokio::test]
async fn a_plugins_provider_is_tested_once_it_is_granted() {
    let mut lab = lab("");
    let call = script::call("c1", "dovetail_check", "{ word = \"oak\" }");
    let answers = [script::answer("ready"), call, script::answer("acorn")];
    lab.play(&answers.concat()).await;
    let url = lab.server().base_url();
    let origin = url.strip_suffix("/v1").unwrap();
    let manifest = ACME.manifest.replace("https://llm.acme.example", origin);
    lab.drop_in_with(&ACME, &manifest);
    lab.set_env("ACME_TOKEN", SECRET);
    lab.write_config(&format!("[model_providers.acme]\nbase_url = \"{url}\"\n"));
    let args = ["provider", "test", "acme", "-m", "acme-1", "--json"];
    let ran = lab.run(&args).await.expect_code(1);
    let (step, fact, fixes) = failure(&lab, &ran);
    assert_eq!(step, "plugin");
    assert!(fact.contains("nobody has granted it"), "{fact}");
    assert!(fixes[0].contains("dovetail plugin grant acme"), "{fixes:?}");
    assert!(lab.requests().is_empty());

    lab.grant(&ACME).await;
    let ran = lab.run(&args).await.expect_code(0);
    let told = told(&lab, &ran);
    assert_eq!(told["steps"][7]["status"], "skipped");
    assert_eq!(
        told["steps"][7]["fact"],
        "no list: its plugin lists none; asking `acme-1`"
    );
    let requests = lab.requests();
    assert_eq!(requests.len(), 3);
    let signed = |request: &RecordedRequest| request.header("x-acme-key") == Some(SECRET);
    assert!(requests.iter().all(signed));
}

/// A Chat Completions server that answers each question with one JSON document.
async fn unstreamed() -> Api {
    Api::start(|request| {
        let body = request.body.to_string();
        let message = match body.contains("dovetail_check") && !body.contains("acorn") {
            true => json!({ "tool_calls": [{ "id": "c", "type": "function",
                "function": { "name": "dovetail_check", "arguments": "{\"word\":\"oak\"}" } }] }),
            false => json!({ "content": "ready" }),
        };
        match request.line.as_str() {
            "POST /v1/chat/completions" => Reply::Json(
                200,
                json!({ "choices": [{ "message": message, "finish_reason": "stop" }] }),
            ),
            _ => super::api::not_found(),
        }
    })
    .await
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_said_to_be_one() {
    let server = unstreamed().await;
    let lab = lab(&vendor(&server.url("/v1"), "wire_api = \"chat\""));
    let ran = lab
        .run(&["provider", "test", "--json"])
        .await
        .expect_code(0);
    let told_of = told(&lab, &ran);
    assert_eq!(
        told_of["steps"][8],
        step(
            "stream",
            "ok",
            "it says \"ready\"; in one piece: this server does not stream, so nothing is seen until an answer is whole"
        )
    );

    let added = lab
        .run(&["provider", "add", &server.url("/v1"), "--dry-run", "--json"])
        .await
        .expect_code(0);
    let added = told(&lab, &added);
    assert_eq!(
        (&added["found"]["streaming"], &added["found"]["tools"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        added["attempts"][1]["message"],
        "answers in one piece and calls tools"
    );
    assert_eq!(
        added["warnings"],
        json!(["this server does not stream: nothing is seen until an answer is whole"])
    );
}

#[tokio::test]
async fn the_list_that_a_table_names_is_the_one_that_is_looked_at() {
    let server = Api::start(|request| match request.line.as_str() {
        "GET /lists/all?client_version=0.169.0" => super::api::listing(&["m-7", "m-1"]),
        _ => spoken("responses", &["elsewhere"], request),
    })
    .await;
    let more = format!("model_catalog_url = \"{}\"", server.url("/lists/all"));
    let lab = lab(&vendor(&server.url("/v1"), &more));
    let ran = lab
        .run(&["provider", "test", "--json"])
        .await
        .expect_code(0);
    assert_eq!(
        told(&lab, &ran)["steps"][7]["fact"],
        "2 listed; asking `m-1`"
    );
}
