//! Each rule of `[model_providers.<id>]`: what is refused before anything is sent, and what reaches the service.

use dovetail_tests::{Lab, script};

use crate::lab;

/// The table of the scripted provider with these lines instead of its credential.
fn write(lab: &Lab, lines: &str) {
    let table = lab.provider_config(lines);
    lab.write_config(&table.replace("env_key = \"REHEARSAL_KEY\"\n", ""));
}

#[tokio::test]
async fn each_rule_is_checked_before_anything_is_sent() {
    let lab = lab(&[&script::answer("hi")]).await;
    let of_auth = "model_providers.rehearsal: auth cannot be combined with";
    for (lines, words) in [
        (
            "auth = { command = \" \" }",
            "model_providers.rehearsal.auth: command must not be blank".to_owned(),
        ),
        (
            "auth = { args = [\"x\"] }",
            "model_providers.rehearsal.auth: command must not be blank".to_owned(),
        ),
        (
            "auth = { command = \"x\" }\nenv_key = \"K\"",
            format!("{of_auth} env_key\n"),
        ),
        (
            "auth = { command = \"x\" }\nexperimental_bearer_token = \"t\"",
            format!("{of_auth} experimental_bearer_token\n"),
        ),
        (
            "auth = { command = \"x\" }\nrequires_openai_auth = true",
            format!("{of_auth} requires_openai_auth\n"),
        ),
        (
            "requires_openai_auth = true\nexperimental_bearer_token = \"t\"\nenv_key = \"K\"\nauth = { command = \"x\" }",
            format!("{of_auth} env_key, experimental_bearer_token, requires_openai_auth\n"),
        ),
        (
            "auth = { command = \"x\", timeout_ms = 0 }",
            "timeout_ms must be more than zero".to_owned(),
        ),
        (
            "auth = { command = \"x\", timeout_ms = -1 }",
            "expected a whole number, 0 or more".to_owned(),
        ),
        (
            "env_key = \" \"",
            "model_providers.rehearsal: env_key must not be blank".to_owned(),
        ),
        (
            "env_key = 5",
            "expected a string, found a number".to_owned(),
        ),
        (
            "wire_api = \"grpc\"",
            "model_providers.rehearsal: wire_api `grpc` is not known".to_owned(),
        ),
        (
            "request_max_retries = -1",
            "expected a whole number, 0 or more".to_owned(),
        ),
        (
            "aws = { region = \"us-east-1\" }",
            "model_providers.rehearsal: aws works only with the Amazon Bedrock providers"
                .to_owned(),
        ),
    ] {
        let lines = lines.to_owned();
        let table = match lines.contains("request_max_retries") {
            true => lab
                .provider_config("")
                .replace("request_max_retries = 1", &lines),
            false => lab
                .provider_config(&lines)
                .replace("env_key = \"REHEARSAL_KEY\"\n", ""),
        };
        lab.write_config(&table);
        let ran = lab.exec(&["hello"]).await.expect_code(1);
        ran.expect_errors(&[&words]);
        assert!(lab.requests().is_empty(), "{lines}");
    }
    for (name, words) in [
        (
            "name = \" \"",
            "model_providers.nameless: name must not be blank",
        ),
        ("", "model_providers.nameless: name is missing"),
    ] {
        lab.write_config(&format!(
            "model_provider = \"nameless\"\n[model_providers.nameless]\nbase_url = \"{}\"\n{name}\n",
            lab.server().base_url()
        ));
        lab.exec(&["hello"])
            .await
            .expect_code(1)
            .expect_errors(&[words]);
        assert!(lab.requests().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn reserved_unknown_and_older_names_are_told() {
    let lab = lab(&[&script::answer("hi")]).await;
    for id in ["openai", "ollama", "lmstudio"] {
        lab.write_config(&format!("[model_providers.{id}]\nname = \"Mine\"\n"));
        let ran = lab.exec(&["hello"]).await.expect_code(1);
        ran.expect_errors(&[
            &format!("`{id}` is reserved for the built-in provider"),
            &format!("[model_providers.{id}-custom]"),
            "reserved are `openai`, `ollama`, `lmstudio`",
        ]);
    }
    lab.write_config("model_provider = \"nope\"\n");
    let ran = lab.exec(&["hello"]).await.expect_code(1);
    ran.expect_errors(&[
        "Model provider `nope` not found",
        "there are lmstudio, ollama, openai",
    ]);
    lab.write_config("model_provider = \"ollama-chat\"\n");
    let ran = lab.exec(&["hello"]).await.expect_code(1);
    ran.expect_errors(&[
        "Model provider `ollama-chat` not found",
        "it is called `ollama` now",
    ]);
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn headers_that_no_request_can_have_are_left_out() {
    let mut lab = lab(&[&script::answer("hi")]).await;
    lab.set_env("TENANT", "acme");
    lab.set_env("BLANK", "  ");
    write(
        &lab,
        "http_headers = { \"X-Own\" = \"1\", \"bad name\" = \"x\", \"X-Bell\" = \"a\\u0007\", \"Content-Length\" = \"3\", \
         \"Transfer-Encoding\" = \"chunked\", \"User-Agent\" = \"mine/1\" }\n\
         env_http_headers = { \"X-Tenant\" = \"TENANT\", \"X-Blank\" = \"BLANK\", \"X-Unset\" = \"UNSET\" }",
    );
    lab.exec(&["hello"]).await.expect_code(0);
    let request = &lab.requests()[0];
    let sent = [
        "x-own",
        "x-bell",
        "x-tenant",
        "x-blank",
        "x-unset",
        "transfer-encoding",
        "user-agent",
        "authorization",
    ];
    assert_eq!(
        sent.map(|name| request.header(name)),
        [
            Some("1"),
            None,
            Some("acme"),
            None,
            None,
            None,
            Some("mine/1"),
            None
        ]
    );
    assert_eq!(
        request.header("content-length"),
        Some(request.body.len().to_string().as_str())
    );
}

#[tokio::test]
async fn a_misspelt_key_is_told_since_the_provider_goes_without_it() {
    let lab = lab(&[&script::answer("hi")]).await;
    lab.write_config(&lab.provider_config("").replace("env_key =", "env_keyy ="));
    let ran = lab.exec_json(&["hello"], 0).await;
    let complaints = ran.complaints();
    let [told] = complaints.as_slice() else {
        panic!("one warning, not {complaints:?}")
    };
    assert!(
        told.starts_with("`model_providers.rehearsal.env_keyy` in")
            && told.ends_with("has no effect unless a plugin knows it (did you mean `model_providers.rehearsal.env_key`?)"),
        "{told}"
    );
    assert_eq!(lab.requests()[0].header("authorization"), None);
}
