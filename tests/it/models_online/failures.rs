//! Lists that cannot be had: the turn is as it would be without.

use serde_json::json;

use super::service::{Answer, Service, list, status};
use super::{LIST, TURN, World, usual};

/// Whatever the service answers, a turn with a model that is known works, and so does a look at the models.
async fn check(answer: Answer, words: &str) {
    let world = World::new(vec![answer]).await;
    let ran = world.turn().await;
    assert_eq!(ran.complaints(), Vec::<String>::new(), "{words}");
    assert_eq!(world.asked(), [TURN, LIST], "{words}");
    assert!(!world.kept_path().exists(), "{words}");
    let ran = world.lab.run(&["models", "list"]).await.expect_code(0);
    assert!(ran.stdout.contains("gpt-6.1-sol"), "{}", ran.stdout);
    let said = "warning: the provider's list of models cannot be had: ";
    assert!(
        ran.stderr.contains(said) && ran.stderr.contains(words),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn whatever_comes_in_the_place_of_a_list_harms_no_turn() {
    check(status(500, r#"{"error": {"message": "on fire"}}"#), "500").await;
    check(status(404, ""), "404").await;
    check(
        status(200, "{\"models\": [{\"slug\""),
        "it is not a list of models",
    )
    .await;
    check(
        status(200, r#"{"list": [{"id": "gpt-5.5"}]}"#),
        "missing field `models`",
    )
    .await;
    check(status(200, ""), "it is not a list of models").await;
    check(status(304, ""), "304").await;
    let page = status(200, "<html>").with_header("content-type: text/html");
    check(page, "instead of a list of models").await;
    let packed = list(&usual()).with_header("content-encoding: gzip");
    check(packed, "`gzip`, which was not asked for").await;
}

#[tokio::test]
async fn a_list_without_end_is_not_read_to_the_end() {
    let long = json!({"models": [{"slug": "long", "base_instructions": "x".repeat(9 << 20)}]});
    check(list(&long), "longer than 8 MiB").await;
}

#[tokio::test]
async fn a_redirect_does_not_carry_the_credential_elsewhere() {
    let elsewhere = Service::start(vec![list(&usual())]).await;
    let target = format!("location: {}/v1/models", elsewhere.url());
    check(
        status(302, "").with_header(&target),
        "redirects are not followed",
    )
    .await;
    check(
        status(307, "").with_header(&target),
        "redirects are not followed",
    )
    .await;
    assert_eq!(elsewhere.take().len(), 0);
}

#[tokio::test]
async fn a_service_that_says_nothing_does_not_hold_a_turn_up() {
    let world = World::new(vec![Answer::silence()]).await;
    world.turn().await;
    assert_eq!(world.asked(), [TURN, LIST]);
    // Not even where nobody else knows the model is it waited for without end.
    world.configure("brand-new", "");
    let ran = world.turn().await;
    let warned = ran.complaints();
    assert!(
        warned
            .iter()
            .any(|text| text.contains("metadata for `brand-new` not found")),
        "{warned:?}"
    );
}

#[tokio::test]
async fn a_list_that_could_not_be_waited_for_is_not_asked_for_again() {
    let world = World::new(vec![status(500, "{}")]).await;
    world.configure("brand-new", "");
    world.service.tell("x-models-etag: \"e1\"");
    world.turn().await;
    assert_eq!(world.asked(), [LIST, TURN]);
}

#[tokio::test]
async fn what_is_not_understood_of_a_list_is_left_out() {
    let models = json!({"models": [
        7,
        {"slug": "half", "context_window": 1234, "default_verbosity": "chatty", "visibility": "list"},
        {"display_name": "nameless"},
    ]});
    let mut world = World::new(vec![list(&models)]).await;
    world.lab.set_env("DOVETAIL_LOG", "warn");
    let ran = world.turn().await;
    for words in [
        "left out of the list of models: an entry that is no object",
        "`default_verbosity` of `half`, whose value is not understood",
        "an entry without a usable `slug`",
    ] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    let half = world.explained("half").await;
    assert_eq!(half["fields"]["context_window"]["value"], 1234);
    assert_eq!(
        half["fields"]["default_verbosity"]["origin"],
        json!({"layer": "default"})
    );
}

#[tokio::test]
async fn no_credential_means_no_question() {
    let world = World::new(vec![list(&usual())]).await;
    let config = format!(
        "model = \"brand-new\"\nmodel_provider = \"corp\"\n{}\n[model_providers.corp.auth]\ncommand = \"/bin/false\"\n",
        world.table("corp")
    );
    world.lab.write_config(&config);
    let ran = world.lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure().contains("ended with exit code 1"),
        "{}",
        ran.failure()
    );
    let ran = world.lab.run(&["models", "list", "--refresh"]).await;
    ran.expect_code(1)
        .expect_errors(&["ended with exit code 1"]);
    assert_eq!(world.asked(), Vec::<String>::new());
}
