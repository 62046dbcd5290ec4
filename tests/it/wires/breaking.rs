//! Wires of plugins that break: a request fails with the plugin's name, and nothing else does.

use dovetail_tests::{Ran, WIRE_BREAKER};

use super::server::{Reply, Server};

/// Has the plugin do as the events say; `model` is what it does with the request.
async fn broken(model: &str, events: &[&str]) -> (Ran, Vec<String>) {
    let again = Reply::events(&["again"]);
    let server = Server::start(vec![Reply::events(events), again]).await;
    let lab = server.lab("");
    let manifest = format!(
        "{}\n[request]\nnet = [\"{}\"]\n",
        WIRE_BREAKER.manifest,
        server.url("")
    );
    lab.install_with(&WIRE_BREAKER, &manifest).await;
    lab.write_config(&format!(
        "model_provider = \"wire-breaker\"\nmodel = \"{model}\"\n[model_providers.wire-breaker]\nname = \"B\"\n\
         base_url = \"{}\"\nstream_max_retries = 1\nrequest_max_retries = 0\n",
        server.url("/v1")
    ));
    let ran = lab.exec(&["--json", "go"]).await;
    let requests = server.requests();
    (
        ran,
        requests.into_iter().map(|request| request.path).collect(),
    )
}

#[track_caller]
fn failed(outcome: (Ran, Vec<String>), requests: usize, words: &str) {
    let (ran, paths) = outcome;
    let ran = ran.expect_code(1);
    assert!(ran.failure().contains(words), "{words}: {}", ran.failure());
    assert_eq!(paths.len(), requests, "{words}");
}

#[tokio::test]
async fn a_decoder_that_breaks_fails_its_request_with_the_plugins_name() {
    failed(
        broken("x", &["hello", "trap"]).await,
        1,
        "plugin `wire-breaker` trapped in `push`",
    );
    failed(
        broken("x", &["spin"]).await,
        1,
        "plugin `wire-breaker` did not answer `push` within 2000 ms",
    );
    failed(
        broken("x", &["eat"]).await,
        1,
        "plugin `wire-breaker` passed its limit of 64 MiB of memory in `push`",
    );
    failed(
        broken("x", &["flood"]).await,
        1,
        "plugin `wire-breaker` passed its limit of",
    );
}

#[tokio::test]
async fn an_encoder_that_breaks_or_refuses_sends_nothing() {
    failed(broken("refuse", &[]).await, 0, "this model is not for you");
    failed(
        broken("trap", &[]).await,
        0,
        "plugin `wire-breaker` trapped in `encode`",
    );
    failed(
        broken("../admin", &[]).await,
        0,
        "the plugin `wire-breaker` asks for `../admin`, which leads out of the base URL",
    );
    failed(
        broken("steal-host", &[]).await,
        0,
        "the plugin `wire-breaker` sets the header `Host`, which is the host's",
    );
}

#[tokio::test]
async fn errors_of_a_decoder_are_final_unless_it_says_otherwise() {
    failed(
        broken("x", &["refuse"]).await,
        1,
        "the service said something rude",
    );
    failed(
        broken("x", &["again"]).await,
        2,
        "the service wants another try",
    );
    failed(
        broken("x", &["hello"]).await,
        2,
        "the service wants another try",
    );
}

#[tokio::test]
async fn events_that_are_none_are_left_out_and_paths_have_queries() {
    let (ran, paths) = broken("models/x:talk?alt=sse", &["garbage", "hello", "end"]).await;
    ran.expect_code(0);
    assert_eq!(paths, ["/v1/models/x:talk?alt=sse"]);
}
