//! `model_catalog_url`: the list of a provider that is asked with a key.

use serde_json::json;

use super::service::{Service, list, status};
use super::{TURN, World, usual};
use crate::auth::{access_token, chatgpt};

const CATALOGUE: &str = "GET /lists/all.json?kind=x&client_version=0.169.0";

/// A world whose provider is asked with a key and names its list.
async fn world(more: &str) -> World {
    let mut world = World::new(vec![list(&usual())]).await;
    world.lab.set_env("CORP_KEY", "key-number-1");
    let url = format!("{}/lists/all.json?kind=x", world.service.url());
    configure(&world, &url, more);
    world
}

fn configure(world: &World, url: &str, more: &str) {
    world.lab.write_config(&format!(
        "model = \"gpt-5.5\"\nmodel_provider = \"corp\"\n{}\nenv_key = \"CORP_KEY\"\nmodel_catalog_url = \"{url}\"\n{more}\n",
        world.table("corp")
    ));
}

#[tokio::test]
async fn a_list_that_is_named_is_asked_for_with_the_providers_key() {
    let world = world("").await;
    world.turn().await;
    let asked = world.service.take();
    assert_eq!(asked.len(), 2, "{asked:#?}");
    assert_eq!(
        asked[1].path,
        "/lists/all.json?kind=x&client_version=0.169.0"
    );
    assert_eq!(
        asked[1].header("authorization"),
        Some("Bearer key-number-1")
    );
    world.turn().await;
    assert_eq!(world.asked(), [TURN]);
    assert_eq!(
        world.explained("gpt-5.5").await["fields"]["context_window"],
        json!({"value": 70_000, "origin": {"layer": "online", "provider": "corp"}})
    );
}

#[tokio::test]
async fn another_key_is_another_account() {
    let mut world = world("").await;
    world.turn().await;
    let of_first = world.kept()["identity"].clone();
    world.asked();
    world.lab.set_env("CORP_KEY", "key-number-2");
    assert!(
        !world
            .listed(&["--offline"])
            .await
            .contains(&"brand-new".to_owned())
    );
    world.turn().await;
    assert_eq!(world.asked(), [TURN, CATALOGUE]);
    assert_ne!(world.kept()["identity"], of_first);
    world.lab.set_env("CORP_KEY", "key-number-1");
    world.turn().await;
    assert_eq!(world.asked(), [TURN]);
}

#[tokio::test]
async fn nobody_is_asked_where_that_is_switched_off() {
    let world = world("[features]\napi_key_model_discovery = false").await;
    world.turn().await;
    assert_eq!(world.asked(), [TURN]);
}

#[tokio::test]
async fn the_list_may_be_elsewhere_and_a_login_does_not_follow() {
    let elsewhere = Service::start(vec![list(&usual())]).await;
    let world = world("").await;
    let url = format!("{}/list", elsewhere.url());
    configure(&world, &url, "");
    world.turn().await;
    assert_eq!(world.asked(), [TURN]);
    let asked = elsewhere.take();
    assert_eq!(
        asked[0].header("authorization"),
        Some("Bearer key-number-1")
    );

    let login = chatgpt(&access_token("a", 3600), "refresh-1", "account-1");
    world.lab.write_home("auth.json", login.to_string());
    world.lab.write_config(&format!(
        "model = \"gpt-5.5\"\nmodel_provider = \"corp\"\n{}\nrequires_openai_auth = true\nmodel_catalog_url = \"{url}\"\n[dovetail]\nlogin_origins = [\"{}\"]\n",
        world.table("corp"),
        world.service.url()
    ));
    world.turn().await;
    assert_eq!(world.asked(), [TURN]);
    let ran = world.lab.run(&["models", "list", "--refresh"]).await;
    ran.expect_code(1)
        .expect_errors(&["the login is not sent to", "login_origins"]);
    assert_eq!(elsewhere.take().len(), 0);
}

#[tokio::test]
async fn an_address_that_is_none_is_named() {
    let world = world("").await;
    configure(&world, "ftp://lists.example/x", "");
    let ran = world.lab.exec(&["hello"]).await;
    ran.expect_code(1)
        .expect_errors(&["`model_providers.corp.model_catalog_url` is not an http or https URL"]);
    configure(&world, "", "");
    world.turn().await;
    assert_eq!(world.asked(), [TURN]);
}

#[tokio::test]
async fn a_key_that_is_refused_is_not_asked_for_twice() {
    let mut world = World::new(vec![status(401, "{}")]).await;
    world.lab.set_env("CORP_KEY", "key-number-1");
    configure(
        &world,
        &format!("{}/lists/all.json?kind=x", world.service.url()),
        "",
    );
    world.turn().await;
    assert_eq!(world.asked(), [TURN, CATALOGUE]);
}

#[tokio::test]
async fn a_list_for_other_clients_gives_names_and_windows() {
    let common = json!({ "object": "list", "data": [
        { "id": "qwen3-coder", "object": "model", "max_model_len": 40_960 },
        { "id": "plain", "object": "model" },
    ] });
    let mut world = World::new(vec![list(&common)]).await;
    world.lab.set_env("CORP_KEY", "key-number-1");
    configure(&world, &format!("{}/v1/models", world.service.url()), "");
    let names = world.listed(&["--refresh"]).await;
    for name in ["qwen3-coder", "plain"] {
        assert!(names.contains(&name.to_owned()), "{names:?}");
    }
    assert_eq!(
        world.explained("qwen3-coder").await["fields"]["context_window"],
        json!({"value": 40_960, "origin": {"layer": "online", "provider": "corp"}})
    );
}
