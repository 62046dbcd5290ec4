//! What becomes of a list: beside the catalogue, below what the user says.

use dovetail_tests::{Lab, MISBEHAVER};
use serde_json::{Value, json};

use super::service::list;
use super::{TURN, World, usual};
use crate::DOVETAIL;

#[tokio::test]
async fn entries_are_replaced_and_added_and_the_users_word_is_the_last() {
    let world = World::new(vec![list(&usual())]).await;
    let more = "[dovetail.models.brand-new]\ncontext_window = 60000\n";
    world.configure("brand-new", more);
    world.listed(&[]).await;
    let model = world.explained("brand-new").await;
    let online = json!({"layer": "online", "provider": "corp"});
    assert_eq!(
        model["fields"]["display_name"],
        json!({"value": "Brand New", "origin": online})
    );
    let window = &model["fields"]["context_window"];
    assert_eq!(window["value"], 60_000);
    assert_eq!(window["origin"]["layer"], "user");
    assert_eq!(model["from"], online);
    assert_eq!(model["online"]["provider"], "corp");
    assert_eq!(model["online"]["fresh"], true);
    assert_eq!(
        model["request"]["reasoning.effort"],
        json!({"value": "high", "from": "online list of corp"})
    );

    // A replaced entry is the new one alone.
    let replaced = world.explained("gpt-5.5").await;
    assert_eq!(
        replaced["fields"]["context_window"],
        json!({"value": 70_000, "origin": online})
    );
    assert_eq!(
        replaced["fields"]["default_reasoning_level"],
        json!({"value": null, "origin": {"layer": "default"}})
    );
    assert_eq!(
        world.explained("gpt-6.1-sol").await["from"],
        json!({"layer": "catalogue"})
    );

    let text = world
        .lab
        .run(&["models", "list"])
        .await
        .expect_code(0)
        .stdout;
    let line = |name: &str| {
        let found = text.lines().find(|line| line.contains(name));
        found
            .unwrap_or_else(|| panic!("{name} is not in {text}"))
            .split_whitespace()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        line("brand-new"),
        [
            "*",
            "brand-new",
            "57000",
            "online",
            "list",
            "of",
            "corp",
            "[high]"
        ]
    );
    assert_eq!(line("gpt-6-astra")[2], "catalogue");
    let text = world
        .lab
        .run(&["models", "explain"])
        .await
        .expect_code(0)
        .stdout;
    assert!(
        text.starts_with("brand-new · in the online list of corp\n"),
        "{text}"
    );
}

#[tokio::test]
async fn an_empty_list_leaves_the_catalogue_alone() {
    let world = World::new(vec![list(&json!({"models": []}))]).await;
    let with = world.listed(&[]).await;
    assert_eq!(world.kept()["models"], json!([]));
    let lab = Lab::bare(DOVETAIL);
    let without = lab
        .run(&["models", "list", "--json"])
        .await
        .expect_code(0)
        .json();
    let without: Vec<&str> = without
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["model"].as_str().unwrap())
        .collect();
    assert_eq!(with, without);
}

#[tokio::test]
async fn a_catalogue_of_ones_own_is_all_there_is() {
    let world = World::new(vec![list(&usual())]).await;
    world.lab.write_home(
        "mine.json",
        r#"{"models": [{"slug": "mine", "visibility": "list"}]}"#,
    );
    let url = world.service.url();
    world.lab.write_config(&format!(
        "model = \"mine\"\nmodel_provider = \"corp\"\nmodel_catalog_json = \"mine.json\"\n{}\nmodel_catalog_url = \"{url}/x\"\n[model_providers.corp.auth]\ncommand = \"/bin/echo\"\nargs = [\"token-1\"]\n",
        world.table("corp")
    ));
    world.service.tell("x-models-etag: \"e1\"");
    world.turn().await;
    assert_eq!(world.asked(), [TURN]);
    assert_eq!(world.listed(&["--refresh"]).await, ["mine"]);
    assert_eq!(world.asked(), Vec::<String>::new());
    assert!(!world.kept_path().exists());
}

#[tokio::test]
async fn models_that_keys_cannot_use_are_hidden_from_keys() {
    let models = json!({"models": [{"slug": "for-accounts", "supported_in_api": false, "visibility": "list"}]});
    let world = World::new(vec![list(&models)]).await;
    assert!(!world.listed(&[]).await.contains(&"for-accounts".to_owned()));
    assert!(
        world
            .listed(&["--all"])
            .await
            .contains(&"for-accounts".to_owned())
    );
}

#[tokio::test]
async fn the_models_of_a_cloud_are_those_that_its_plugin_names() {
    let mut lab = Lab::bare(DOVETAIL);
    lab.set_env("AWS_BEARER_TOKEN_BEDROCK", "key");
    lab.set_env("AWS_REGION", "us-east-1");
    lab.write_config("model_provider = \"amazon-bedrock\"\n");
    let listed: Value = lab
        .run(&["models", "list", "--json"])
        .await
        .expect_code(0)
        .json();
    let of_plugin = json!({"layer": "plugin", "plugin": "bedrock"});
    let models = listed.as_array().unwrap();
    let mut names: Vec<&str> = models
        .iter()
        .map(|model| model["model"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "openai.gpt-5.5",
            "openai.gpt-5.6-luna",
            "openai.gpt-5.6-sol",
            "openai.gpt-5.6-terra",
            "openai.gpt-6-astra",
            "openai.gpt-6-luna",
            "openai.gpt-6-sol",
            "openai.gpt-6.1-sol",
            "openai.gpt-6.1-terra",
        ]
    );
    assert!(
        models.iter().all(|model| model["from"] == of_plugin),
        "{listed:#}"
    );
    let model = lab
        .run(&["models", "explain", "--json"])
        .await
        .expect_code(0)
        .json();
    assert_eq!(model["model"], "openai.gpt-6.1-sol");
    assert_eq!(
        model["fields"]["display_name"],
        json!({"value": "GPT-6.1 Sol", "origin": of_plugin})
    );
    assert_eq!(
        model["fields"]["context_window"],
        json!({"value": 272_000, "origin": {"layer": "catalogue"}})
    );
    let all = lab
        .run(&["models", "list", "--all"])
        .await
        .expect_code(0)
        .stdout;
    assert!(
        all.contains("codex-auto-review") && all.contains("plugin bedrock"),
        "{all}"
    );
}

/// A world whose provider is a plugin of the user's, under these orders.
async fn of_a_plugin(world: &World, model: &str, orders: Value) {
    let url = world.service.url();
    world.lab.write_config(&format!(
        "model = \"{model}\"\nmodel_provider = \"misbehaver\"\n[model_providers.misbehaver]\nbase_url = \"{url}/v1\"\n"
    ));
    world.lab.configure(&MISBEHAVER, orders);
    let manifest = MISBEHAVER.manifest.replace("https://granted.example", &url);
    let manifest = format!("{manifest}\n[limits]\ndeadline_ms = 2000\n");
    world.lab.install_with(&MISBEHAVER, &manifest).await;
}

#[tokio::test]
async fn a_turn_goes_by_what_a_plugin_says_of_its_models() {
    let world = World::new(vec![list(&usual())]).await;
    of_a_plugin(&world, "tame-1", json!({})).await;
    let ran = world.turn().await;
    assert_eq!(ran.complaints(), Vec::<String>::new());
    let asked = world.service.take();
    assert_eq!(
        asked.len(),
        1,
        "its plugin is asked, not the service: {asked:#?}"
    );
    assert_eq!(asked[0].json()["parallel_tool_calls"], false);
    let model = world.explained("tame-1").await;
    let of_plugin = json!({"layer": "plugin", "plugin": "misbehaver"});
    assert_eq!(
        model["fields"]["context_window"],
        json!({"value": 40_000, "origin": of_plugin})
    );
    assert_eq!(world.listed(&[]).await, ["tame-1"]);
}

#[tokio::test]
async fn a_plugin_that_cannot_name_its_models_is_used_without() {
    for behave in ["trap", "fail", "spin"] {
        let world = World::new(Vec::new()).await;
        let orders = json!({ "behave": behave, "at": "list-models" });
        of_a_plugin(&world, "gpt-5.5", orders).await;
        world.turn().await;
        assert_eq!(world.asked(), [TURN], "{behave}");
    }
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_shows_the_catalogue() {
    let lab = Lab::bare(DOVETAIL);
    lab.write_config("model_provider = \"nowhere\"\n");
    let ran = lab.run(&["models", "list"]).await.expect_code(0);
    assert!(ran.stdout.contains("gpt-6.1-sol"), "{}", ran.stdout);
    ran.expect_errors(&[
        "warning: what the provider says of its models is not known",
        "`nowhere` not found",
    ]);
    lab.run(&["models", "list", "--refresh"])
        .await
        .expect_code(1);
    let both = lab.run(&["models", "list", "--refresh", "--offline"]).await;
    assert_eq!(both.code, Some(2), "{}", both.stderr);
}
