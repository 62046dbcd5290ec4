//! Broken providers fail the turn, and nothing is sent without them.

use dovetail_tests::{Lab, MISBEHAVER, script};
use serde_json::{Value, json};

use super::{FAULTS, Row};
use crate::lab;

/// The misbehaver as provider, with short deadlines.
async fn provider(responses: &[&str], orders: Value) -> Lab {
    let lab = lab(responses).await;
    let url = lab.server().base_url();
    lab.write_config(&format!(
        "model = \"gpt-5.5\"\nmodel_provider = \"misbehaver\"\n[model_providers.misbehaver]\nbase_url = \"{url}\"\n\
         request_max_retries = 1\nstream_max_retries = 1\n"
    ));
    lab.configure(&MISBEHAVER, orders);
    let origin = url.strip_suffix("/v1").unwrap();
    let manifest = MISBEHAVER
        .manifest
        .replace("https://granted.example", origin);
    lab.install_with(
        &MISBEHAVER,
        &format!("{manifest}\n[limits]\ndeadline_ms = 2000\n"),
    )
    .await;
    lab
}

#[tokio::test]
async fn a_broken_provider_fails_the_turn_in_its_own_words_and_nothing_is_sent() {
    let results: &[Row] = &[
        ("bad-return", 0, "misbehaver"),
        ("flood-output", 2 << 20, "passed its limit of"),
        ("deny", 0, "denied as ordered"),
        ("reject", 0, "rejected as ordered"),
    ];
    for (behave, amount, words) in FAULTS.iter().chain(results) {
        let lab = provider(
            &[&script::answer("hi")],
            json!({ "behave": behave, "at": "prepare", "amount": amount }),
        )
        .await;
        let ran = lab.exec_json(&["go"], 1).await;
        assert!(ran.failure().contains(words), "{behave}: {}", ran.failure());
        assert!(lab.requests().is_empty(), "{behave}: a request went out");
        // Well again, the thread goes on.
        let config = std::fs::read_to_string(lab.home().join("config.toml")).unwrap();
        lab.write_config(&config.replace(&format!("\"{behave}\""), "\"well\""));
        lab.grant(&MISBEHAVER).await;
        lab.exec(&["resume", "--last", "go on"])
            .await
            .expect_code(0);
        lab.expect_played();
    }
}

#[tokio::test]
async fn a_provider_that_asks_to_be_asked_again_is() {
    let lab = provider(
        &[&script::answer("hi")],
        json!({ "behave": "retry", "at": "prepare", "amount": 10 }),
    )
    .await;
    let ran = lab.exec_json(&["go"], 1).await;
    assert!(
        ran.complaints()[0].starts_with("Reconnecting... 1/1 ("),
        "{:?}",
        ran.complaints()
    );
    assert!(
        ran.failure().contains("asked again as ordered"),
        "{}",
        ran.failure()
    );
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn a_provider_that_cannot_sign_sends_nothing() {
    for (behave, words) in [
        ("trap", "trapped as ordered"),
        ("fail", "failed as ordered"),
        ("bad-return", "misbehaver"),
    ] {
        let lab = provider(
            &[&script::answer("hi")],
            json!({ "behave": behave, "at": "authorize" }),
        )
        .await;
        let ran = lab.exec_json(&["go"], 1).await;
        assert!(ran.failure().contains(words), "{behave}: {}", ran.failure());
        assert!(
            lab.requests().is_empty(),
            "{behave}: a request went out unsigned"
        );
    }
}

#[tokio::test]
async fn a_provider_that_cannot_explain_a_failure_does_not_hide_it() {
    let lab = provider(
        &[
            &script::status(400, "the model's words"),
            &script::answer("on"),
        ],
        json!({ "behave": "trap", "at": "classify" }),
    )
    .await;
    let ran = lab.exec_json(&["go"], 1).await;
    assert_eq!(ran.failure(), "the model's words");
}

#[tokio::test]
async fn a_provider_that_refuses_its_table_ends_the_command() {
    let lab = provider(
        &[&script::answer("hi")],
        json!({ "behave": "fail", "at": "configure" }),
    )
    .await;
    lab.exec(&["go"])
        .await
        .expect_code(1)
        .expect_errors(&["error: ", "failed as ordered"]);
    assert!(lab.requests().is_empty());
}
