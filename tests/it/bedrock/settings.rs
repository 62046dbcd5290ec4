//! What can be set, and what is said where something else is.

use serde_json::json;

use super::{SECRET, answer, bedrock, config, set_keys};

/// Each of these tables is refused with these words before anything is sent.
const REFUSED: [(&str, &str); 14] = [
    (
        "name = \" \"",
        "model_providers.amazon-bedrock: name must not be blank",
    ),
    (
        "env_key = \"K\"",
        "model_providers.amazon-bedrock: env_key cannot be set for this provider, only base_url, auth, http_headers, aws.profile, aws.region, aws.credential_export and aws.auth_refresh can",
    ),
    (
        "query_params = { a = \"b\" }",
        "query_params cannot be set for this provider",
    ),
    (
        "request_max_retries = 3",
        "request_max_retries cannot be set for this provider",
    ),
    (
        "auth = { command = \" \" }",
        "model_providers.amazon-bedrock.auth: command must not be blank",
    ),
    (
        "auth = { command = \"x\", timeout_ms = 0 }",
        "timeout_ms must be more than zero",
    ),
    (
        "supports_websockets = true\naws = { profile = \"p\" }",
        "aws cannot be combined with supports_websockets",
    ),
    (
        "env_key = \"K\"\nexperimental_bearer_token = \"t\"\nauth = { command = \"x\" }\nrequires_openai_auth = true\naws = { profile = \"p\" }",
        "aws cannot be combined with env_key, experimental_bearer_token, auth, requires_openai_auth",
    ),
    (
        "aws = { auth_refresh = { command = \"\" } }",
        "aws.auth_refresh: command must not be blank",
    ),
    (
        "aws = { auth_refresh = { command = \"gcloud\" } }",
        "aws.auth_refresh: command must be `aws`",
    ),
    (
        "aws = { auth_refresh = { command = \"aws\", timeout_ms = 0 } }",
        "aws.auth_refresh: timeout_ms must be more than zero",
    ),
    (
        "aws = { credential_export = { command = \"\" } }",
        "aws.credential_export: command must not be blank",
    ),
    (
        "aws = { profile = \"p\", credential_export = { command = \"x\" } }",
        "model_providers.amazon-bedrock.aws: credential_export cannot be combined with profile",
    ),
    (
        "aws = { region = \"ca-central-1\" }",
        "Amazon Bedrock does not support region `ca-central-1`",
    ),
];

#[tokio::test]
async fn what_cannot_be_set_is_named() {
    let mut lab = bedrock(&[&answer()]).await;
    lab.set_env("AWS_REGION", "us-east-1");
    for (table, words) in REFUSED {
        lab.write_config(&format!(
            "model_provider = \"amazon-bedrock\"\n[model_providers.amazon-bedrock]\n{table}\n"
        ));
        let ran = lab.exec(&["hello"]).await.expect_code(1);
        ran.expect_errors(&[words]);
    }
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn aws_is_for_these_providers_alone() {
    let lab = crate::lab(&[&answer()]).await;
    lab.write_config(&lab.provider_config("aws = { profile = \"p\" }"));
    let ran = lab.exec(&["hello"]).await.expect_code(1);
    ran.expect_errors(&[
        "model_providers.rehearsal: aws works only with the Amazon Bedrock providers",
    ]);
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn a_region_is_needed_before_anybody_is_asked() {
    let mut lab = bedrock(&[&answer()]).await;
    lab.write_config("model_provider = \"amazon-bedrock\"\n");
    lab.set_env("AWS_BEARER_TOKEN_BEDROCK", "k");
    let ran = lab.exec(&["hello"]).await.expect_code(1);
    ran.expect_errors(&[
        "Amazon Bedrock needs a region and none is set",
        "AWS_REGION",
    ]);
}

#[tokio::test]
async fn keys_of_the_openai_login_do_not_go_there() {
    let mut lab = bedrock(&[&answer()]).await;
    lab.set_env("CODEX_API_KEY", "from-codex");
    lab.set_env("OPENAI_API_KEY", "from-openai");
    lab.write_home("auth.json", r#"{"OPENAI_API_KEY":"from-file"}"#);
    lab.set_env("AWS_BEARER_TOKEN_BEDROCK", "k");
    lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(lab.requests()[0].header("authorization"), Some("Bearer k"));
}

#[tokio::test]
async fn what_the_plugin_gets_is_shown() {
    let mut lab = bedrock(&[&answer()]).await;
    lab.set_env("AWS_PROFILE", "dev");
    let shown = lab
        .run(&["plugin", "inspect", "bedrock"])
        .await
        .expect_code(0);
    for part in [
        "https://sts.*.amazonaws.com",
        "file:~/.aws/credentials",
        "AWS_PROFILE",
        "env:AWS_SECRET_ACCESS_KEY",
    ] {
        assert!(
            shown.stdout.contains(part),
            "`{part}` is missing in:\n{}",
            shown.stdout
        );
    }
}

#[tokio::test]
async fn which_credential_would_sign_is_explained_without_it() {
    let mut lab = bedrock(&[&answer()]).await;
    let explain = ["auth", "explain", "amazon-bedrock", "turn", "--json"];
    let told = lab.run(&explain).await.expect_code(1).json();
    let problem = told["problem"].as_str().unwrap();
    assert!(
        problem.starts_with("there are no AWS credentials"),
        "{problem}"
    );
    set_keys(&mut lab, "AKIDEXAMPLE");
    let shown = lab.run(&explain).await.expect_code(0);
    assert!(!shown.stdout.contains(SECRET), "{}", shown.stdout);
    let told = shown.json();
    let used: Vec<_> = told["sources"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|source| source["used"] == true)
        .collect();
    assert_eq!(
        used,
        [&json!({ "name": "AWS_ACCESS_KEY_ID", "finding": "set", "used": true })]
    );
    assert_eq!(
        (&told["headers"], &told["destination"]),
        (
            &json!([
                "Authorization: AWS4-HMAC-SHA256 … (signed for `bedrock-mantle` in us-east-1)"
            ]),
            &json!(lab.server().base_url())
        )
    );
    lab.write_config(&config(&lab, "region = \"us-east-1\"\nprofile = \"work\""));
    let told = lab.run(&explain).await.expect_code(1).json();
    assert_eq!(
        told["problem"],
        "AWS profile `work` is neither in the config file nor in the credentials file"
    );
    assert!(lab.requests().is_empty());
}
