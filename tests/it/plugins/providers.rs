//! A provider with its own headers.

use dovetail_tests::{ACME, Lab, script};
use sha2::Digest as _;

use crate::DOVETAIL;

/// A lab in which the plugin `acme` serves the model. Nothing is granted yet.
async fn acme(script: &str) -> Lab {
    let mut lab = Lab::bare(DOVETAIL);
    lab.play(script).await;
    let url = lab.server().base_url();
    lab.write_config(&format!(
        "model = \"acme-1\"\nmodel_provider = \"acme\"\n[model_providers.acme]\nbase_url = \"{url}\"\n"
    ));
    let origin = url.strip_suffix("/v1").unwrap();
    lab.drop_in_with(
        &ACME,
        &ACME.manifest.replace("https://llm.acme.example", origin),
    );
    lab.set_env("ACME_TOKEN", "acme-secret");
    lab
}

#[tokio::test]
async fn a_provider_plugin_serves_a_turn_with_its_own_headers() {
    let lab = acme(
        "[[response]]\nexpect = [\n{ header = \"x-acme-key\", equals = \"acme-secret\" },\n\
         { header = \"x-acme-signature\", matches = \"^v1;POST;[0-9a-f]{64}$\" },\n\
         { header = \"authorization\", absent = true } ]\nactions = [{ text = \"from acme\" }]\n",
    )
    .await;
    lab.grant(&ACME).await;
    let ran = lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(ran.stdout, "from acme\n");
    lab.expect_played();
    let request = &lab.requests()[0];
    let digest: String = sha2::Sha256::digest(&request.body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        request.header("x-acme-signature"),
        Some(format!("v1;POST;{digest}").as_str()),
        "the bytes that were sent"
    );
}

#[tokio::test]
async fn a_provider_without_a_grant_is_refused_with_the_command_to_grant_it() {
    let lab = acme(&script::answer("hi")).await;
    let ran = lab.exec(&["hello"]).await.expect_code(1);
    ran.expect_errors(&[
        "plugin `acme` is installed but nobody has granted it",
        "acme-token",
        "dovetail plugin grant acme",
    ]);
    assert!(lab.requests().is_empty(), "no other plugin takes its place");
}

#[tokio::test]
async fn a_provider_whose_secret_is_missing_fails_before_anything_is_sent() {
    let mut lab = acme(&script::answer("hi")).await;
    lab.grant(&ACME).await;
    lab.remove_env("ACME_TOKEN");
    let ran = lab.exec_json(&["hello"], 1).await;
    assert!(ran.failure().contains("ACME_TOKEN"), "{}", ran.failure());
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn a_provider_reaches_granted_origins_only() {
    let lab = acme(&script::answer("hi")).await;
    // What it may reach is not where its table points to.
    lab.install(&ACME).await;
    let ran = lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure().contains("acme") && ran.failure().contains("127.0.0.1"),
        "{}",
        ran.failure()
    );
    assert!(lab.requests().is_empty());
}
