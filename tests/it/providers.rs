//! Where requests go and which credential they carry.

use dovetail_tests::{Lab, script};

use crate::{DOVETAIL, lab};

/// A script whose one request must carry this authorization.
fn expecting(authorization: &str) -> String {
    format!(
        "[[response]]\nexpect = [{{ header = \"authorization\", equals = {} }}]\nactions = [{{ text = \"hi\" }}]\n",
        script::quoted(authorization)
    )
}

#[tokio::test]
async fn a_key_from_the_environment_is_a_bearer_token() {
    let lab = lab(&[&expecting("Bearer test-key")]).await;
    lab.exec(&["hello"]).await.expect_code(0);
    lab.expect_played();
}

#[tokio::test]
async fn a_missing_variable_fails_the_turn_before_anything_is_sent() {
    let mut lab = lab(&[&script::answer("hi")]).await;
    lab.remove_env("REHEARSAL_KEY");
    let ran = lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure()
            .starts_with("Missing environment variable: `REHEARSAL_KEY`."),
        "{}",
        ran.failure()
    );
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn a_table_adds_headers_and_query_parameters() {
    let mut lab = lab(&[&script::answer("hi")]).await;
    lab.set_env("TEAM", "blue");
    let more = "query_params = { api-version = \"2026-01\", q = \"a b&c\" }\n\
                http_headers = { X-Fixed = \"one\" }\n\
                env_http_headers = { X-Team = \"TEAM\", X-Absent = \"NOT_SET\" }";
    lab.write_config(&lab.provider_config(more));
    lab.exec(&["hello"]).await.expect_code(0);
    let request = &lab.requests()[0];
    assert_eq!(request.path, "/v1/responses?api-version=2026-01&q=a+b%26c");
    assert_eq!(request.header("x-fixed"), Some("one"));
    assert_eq!(request.header("x-team"), Some("blue"));
    assert_eq!(request.header("x-absent"), None);
}

#[tokio::test]
async fn a_provider_without_a_key_sends_none() {
    let lab = lab(&["[[response]]\nexpect = [{ header = \"authorization\", absent = true }]\nactions = [{ text = \"hi\" }]\n"])
        .await;
    lab.write_config(
        &lab.provider_config("")
            .replace("env_key = \"REHEARSAL_KEY\"\n", ""),
    );
    lab.exec(&["hello"]).await.expect_code(0);
    lab.expect_played();
}

/// The built-in provider at the rehearsal's address.
async fn openai(script: &str) -> Lab {
    let mut lab = Lab::bare(DOVETAIL);
    lab.play(script).await;
    lab.write_config(&format!(
        "model = \"gpt-5.5\"\nopenai_base_url = \"{}\"\n",
        lab.server().base_url()
    ));
    lab
}

async fn check_key(variables: &[(&str, &str)], auth: Option<&str>, expected: &str) {
    let mut lab = openai(&expecting(expected)).await;
    for (name, value) in variables {
        lab.set_env(name, value);
    }
    if let Some(auth) = auth {
        lab.write_home("auth.json", auth);
    }
    lab.exec(&["hello"]).await.expect_code(0);
    lab.expect_played();
}

#[tokio::test]
async fn keys_of_openai_are_looked_for_in_order() {
    let auth = Some(r#"{"OPENAI_API_KEY":"from-file"}"#);
    let (first, last) = (
        ("CODEX_API_KEY", "from-codex"),
        ("OPENAI_API_KEY", "from-openai"),
    );
    check_key(&[first, last], auth, "Bearer from-codex").await;
    check_key(&[last], auth, "Bearer from-file").await;
    check_key(&[last], None, "Bearer from-openai").await;
}

#[tokio::test]
async fn openai_without_any_key_fails_before_anything_is_sent() {
    let lab = openai(&script::answer("hi")).await;
    let ran = lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure().contains("OPENAI_API_KEY"),
        "{}",
        ran.failure()
    );
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn keys_of_the_login_do_not_go_to_other_providers() {
    let absent = "[[response]]\nexpect = [{ header = \"authorization\", absent = true }]\nactions = [{ text = \"hi\" }]\n";
    let mut lab = lab(&[absent]).await;
    lab.write_config(
        &lab.provider_config("")
            .replace("env_key = \"REHEARSAL_KEY\"\n", ""),
    );
    lab.write_home("auth.json", r#"{"OPENAI_API_KEY":"from-file"}"#);
    lab.set_env("OPENAI_API_KEY", "from-openai");
    lab.set_env("CODEX_API_KEY", "from-codex");
    lab.exec(&["hello"]).await.expect_code(0);
    lab.expect_played();
}

/// The provider's table with a command that prints a token.
fn with_command(lab: &Lab, script: &str) {
    let command = lab.write("token.sh", format!("#!/bin/sh\n{script}\n"));
    let auth = format!(
        "auth = {{ command = \"/bin/sh\", args = [\"{}\"], timeout_ms = 5000 }}",
        command.display()
    );
    lab.write_config(
        &lab.provider_config(&auth)
            .replace("env_key = \"REHEARSAL_KEY\"\n", ""),
    );
}

#[tokio::test]
async fn a_command_prints_the_token_once_per_run() {
    let lab = lab(&[
        "[[response]]\nexpect = [{ header = \"authorization\", equals = \"Bearer t-1\" }]\n\
         actions = [{ tool_call = \"exec_command\", arguments = { cmd = \"true\" } }]\n",
        &expecting("Bearer t-1"),
    ])
    .await;
    with_command(&lab, "echo run >> runs; echo t-$(wc -l < runs)");
    lab.exec(&["hello"]).await.expect_code(0);
    lab.expect_played();
}

#[tokio::test]
async fn a_refused_token_is_asked_for_again_once() {
    let refused = script::status(401, r#"{"error":{"message":"expired"}}"#);
    let lab = lab(&[&refused, &expecting("Bearer t-2")]).await;
    with_command(&lab, "echo run >> runs; echo t-$(wc -l < runs)");
    let ran = lab.exec_json(&["hello"], 0).await;
    lab.expect_played();
    assert_eq!(
        ran.complaints(),
        Vec::<String>::new(),
        "a recovered credential is nobody's concern"
    );
    let sent: Vec<_> = lab
        .requests()
        .iter()
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(sent, ["Bearer t-1", "Bearer t-2"]);
}

#[tokio::test]
async fn a_token_that_is_refused_twice_fails_the_turn() {
    let refused = script::status(401, r#"{"error":{"message":"expired"}}"#);
    let lab = lab(&[&refused, &refused]).await;
    with_command(&lab, "echo run >> runs; echo t-$(wc -l < runs)");
    let ran = lab.exec_json(&["hello"], 1).await;
    assert!(ran.failure().contains("401"), "{}", ran.failure());
    lab.expect_played();
}

#[tokio::test]
async fn a_command_that_gives_no_token_fails_the_turn_and_nothing_is_sent() {
    for (program, words) in [
        ("echo no login >&2; exit 3", "3"),
        ("printf ''", "token"),
        ("sleep 60", "did not end within 500 ms"),
        ("printf 'a\\nb\\n'", "printed more than one word"),
        ("printf '\\377tok'", "printed a token that is not UTF-8"),
        (
            "printf 'to\\000k'",
            "printed more than one word, or characters that no token has",
        ),
        (
            "head -c 3000000 /dev/zero | tr '\\0' a",
            "printed more than 64 KiB",
        ),
        ("kill -9 $$", "was ended by a signal"),
        (
            "echo '{\"expires_at\": 1}'",
            "printed JSON without a usable `token`",
        ),
        (
            "echo '{\"token\": \"t\", \"headers\": {\"Content-Length\": \"3\"}}'",
            "printed JSON whose header `Content-Length` cannot be sent",
        ),
        (
            "echo '{\"token\": \"t\", \"headers\": {\"Host\": \"other.example\"}}'",
            "printed JSON whose header `Host` cannot be sent",
        ),
    ] {
        let lab = lab(&[&script::answer("hi")]).await;
        with_command(&lab, program);
        let config = std::fs::read_to_string(lab.home().join("config.toml")).unwrap();
        lab.write_config(&config.replace("timeout_ms = 5000", "timeout_ms = 500"));
        let ran = lab.exec_json(&["hello"], 1).await;
        assert!(
            ran.failure().contains(words),
            "{program}: {}",
            ran.failure()
        );
        assert!(
            lab.requests().is_empty(),
            "{program}: a request went out without a credential"
        );
    }
}

#[tokio::test]
async fn a_command_that_cannot_start_fails_the_turn_and_nothing_is_sent() {
    for (auth, words) in [
        (
            "command = \"/bin/echo\", args = [\"t\"], cwd = \"/no/such/place\"",
            "its directory `/no/such/place` is not there",
        ),
        (
            "command = \"/bin/echo\", args = [\"t\"], cwd = \"/bin/echo\"",
            "its directory `/bin/echo` is not there, or is none",
        ),
        ("command = \"/no/such/program\"", "did not start"),
        ("command = \"no-such-program\"", "did not start"),
        ("command = \"/bin/echo t\"", "did not start"),
    ] {
        let lab = lab(&[&script::answer("hi")]).await;
        let table = lab.provider_config(&format!("auth = {{ {auth} }}"));
        lab.write_config(&table.replace("env_key = \"REHEARSAL_KEY\"\n", ""));
        let ran = lab.exec_json(&["hello"], 1).await;
        assert!(ran.failure().contains(words), "{auth}: {}", ran.failure());
        assert!(lab.requests().is_empty(), "{auth}");
    }
}

#[tokio::test]
async fn a_secret_appears_nowhere_but_in_its_request() {
    let mut lab = lab(&[
        &script::command(
            "c",
            "env; cat /proc/$PPID/environ 2>/dev/null | tr '\\0' '\\n'",
        ),
        &script::status(500, "the key sk-very-secret is wrong"),
        &script::status(500, "the key sk-very-secret is wrong"),
        &script::status(500, "the key sk-very-secret is wrong"),
        &script::status(500, "the key sk-very-secret is wrong"),
    ])
    .await;
    lab.set_env("REHEARSAL_KEY", "sk-very-secret");
    lab.set_env("DOVETAIL_LOG", "trace");
    let ran = lab.exec_json(&["hello"], 1).await;
    let requests = lab.requests();
    assert_eq!(
        requests[0].header("authorization"),
        Some("Bearer sk-very-secret")
    );
    let rollout = std::fs::read_to_string(lab.rollout()).unwrap();
    for (place, text) in [
        ("output", &ran.stdout),
        ("log", &ran.stderr),
        ("rollout", &rollout),
    ] {
        assert!(
            !text.contains("sk-very-secret"),
            "the key is in the {place}"
        );
    }
}

#[tokio::test]
async fn a_provider_that_nobody_serves_is_named_with_those_that_are() {
    let lab = lab(&[&script::answer("hi")]).await;
    let ran = lab
        .exec(&["-c", "model_provider=nobody", "hello"])
        .await
        .expect_code(1);
    ran.expect_errors(&[
        "Model provider `nobody` not found",
        "hint: ",
        "rehearsal",
        "openai",
    ]);
}

#[tokio::test]
async fn an_address_that_is_no_url_is_refused() {
    let lab = lab(&[&script::answer("hi")]).await;
    let ran = lab
        .exec(&["-c", "model_providers.rehearsal.base_url=ftp://x", "hello"])
        .await
        .expect_code(1);
    ran.expect_errors(&[
        "`model_providers.rehearsal.base_url` is not an http or https URL: `ftp://x`",
    ]);
}

#[tokio::test]
async fn providers_of_other_clients_say_that_they_are_not_there_yet() {
    let lab = lab(&[&script::answer("hi")]).await;
    for table in [
        "",
        "[model_providers.gcp]\nbase_url = \"http://127.0.0.1:9\"",
    ] {
        lab.write_config(&format!("model_provider = \"gcp\"\n{table}"));
        let ran = lab.exec(&["hello"]).await.expect_code(1);
        ran.expect_errors(&[
            "the provider `gcp` is not supported yet",
            "hint: install a plugin",
        ]);
    }
    assert!(lab.requests().is_empty());
}
