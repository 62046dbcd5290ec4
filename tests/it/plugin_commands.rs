//! `dovetail plugin …`.

use dovetail_tests::{ACME, Lab, NO_RM, NOTES, TOO_GREEDY};
use serde_json::{Value, json};

use crate::DOVETAIL;

/// One plugin of `plugin list --json`.
async fn listed(lab: &Lab, id: &str) -> Value {
    let list = lab
        .run(&["plugin", "list", "--json"])
        .await
        .expect_code(0)
        .json();
    let plugins = list["plugins"].as_array().unwrap();
    plugins
        .iter()
        .find(|plugin| plugin["id"] == id)
        .unwrap_or(&Value::Null)
        .clone()
}

#[tokio::test]
async fn the_built_in_plugins_are_listed() {
    let lab = Lab::bare(DOVETAIL);
    let list = lab
        .run(&["plugin", "list", "--json"])
        .await
        .expect_code(0)
        .json();
    let names = |key: &str| -> Vec<String> {
        list["plugins"]
            .as_array()
            .unwrap()
            .iter()
            .map(|plugin| plugin[key].as_str().unwrap().to_owned())
            .collect()
    };
    let mut ids = names("id");
    ids.sort();
    assert_eq!(
        ids,
        [
            "bedrock",
            "chat-completions",
            "command-auth",
            "jsonl-sink",
            "messages",
            "openai"
        ]
    );
    assert!(
        names("source")
            .iter()
            .all(|source| source == "built-in" || source == "builtin"),
        "{:?}",
        names("source")
    );
    assert_eq!(list["problems"], json!([]));
}

#[tokio::test]
async fn a_plugin_that_was_dropped_in_says_what_it_asks_for_and_what_to_do() {
    let lab = Lab::bare(DOVETAIL);
    lab.drop_in(&ACME);
    let plugin = listed(&lab, "acme").await;
    assert_eq!(plugin["state"], "not granted");
    assert_eq!(plugin["granted"], Value::Null);
    assert_eq!(plugin["kinds"], json!(["provider"]));
    assert_eq!(
        plugin["requested"]["net"],
        json!(["https://llm.acme.example"])
    );
    assert_eq!(plugin["requested"]["secrets"], json!(["acme-token"]));
    assert!(
        plugin["refusal"]["hint"]
            .as_str()
            .unwrap()
            .starts_with("dovetail plugin grant acme")
    );
    let text = lab.run(&["plugin", "list"]).await.expect_code(0).stdout;
    assert!(
        text.contains("acme")
            && text.contains("not granted")
            && text.contains("hint: dovetail plugin grant acme"),
        "{text}"
    );
}

#[tokio::test]
async fn without_a_terminal_a_grant_wants_an_explicit_yes() {
    let lab = Lab::bare(DOVETAIL);
    lab.drop_in(&ACME);
    let ran = lab.run(&["plugin", "grant", "acme"]).await.expect_code(1);
    ran.expect_errors(&[
        "https://llm.acme.example",
        "secret `acme-token`",
        "may not",
        "hint: ",
        "--yes",
    ]);
    assert_eq!(listed(&lab, "acme").await["state"], "not granted");
    lab.grant(&ACME).await;
    let plugin = listed(&lab, "acme").await;
    assert_eq!(plugin["state"], "ready");
    assert_eq!(plugin["granted"], plugin["requested"]);
}

#[tokio::test]
async fn a_grant_can_be_less_than_was_asked_for() {
    let lab = Lab::bare(DOVETAIL);
    lab.drop_in(&ACME);
    lab.run(&[
        "plugin",
        "grant",
        "acme",
        "net",
        "https://llm.acme.example",
        "--yes",
    ])
    .await;
    let plugin = listed(&lab, "acme").await;
    if plugin["state"] == "ready" {
        assert_eq!(plugin["granted"]["secrets"], json!([]));
    } else {
        // Flags may have to come first.
        lab.run(&[
            "plugin",
            "grant",
            "--yes",
            "acme",
            "net",
            "https://llm.acme.example",
        ])
        .await
        .expect_code(0);
        assert_eq!(listed(&lab, "acme").await["granted"]["secrets"], json!([]));
    }
}

#[tokio::test]
async fn a_grant_cannot_be_more_than_is_asked_for() {
    let lab = Lab::bare(DOVETAIL);
    lab.drop_in(&ACME);
    let ran = lab
        .run(&[
            "plugin",
            "grant",
            "--yes",
            "acme",
            "net",
            "https://elsewhere.example",
        ])
        .await;
    ran.expect_code(1)
        .expect_errors(&["acme", "https://elsewhere.example"]);
}

#[tokio::test]
async fn installing_copies_grants_and_removing_takes_both_away() {
    let lab = Lab::bare(DOVETAIL);
    lab.write("pack/plugin.toml", NOTES.manifest);
    lab.write("pack/notes.wasm", NOTES.wasm);
    lab.run(&["plugin", "install", "./pack"])
        .await
        .expect_code(1)
        .expect_errors(&["./notes", "--yes"]);
    assert_eq!(
        listed(&lab, "notes").await,
        Value::Null,
        "nothing is installed without an answer"
    );
    lab.run(&["plugin", "install", "./pack", "--yes"])
        .await
        .expect_code(0);
    assert_eq!(listed(&lab, "notes").await["state"], "ready");
    lab.run(&["plugin", "remove", "notes"]).await.expect_code(0);
    assert_eq!(listed(&lab, "notes").await, Value::Null);
    assert!(!lab.plugin_dir(&NOTES).exists());
    // The grant is gone too: the same plugin, dropped in again, has none.
    lab.drop_in(&NOTES);
    assert_eq!(listed(&lab, "notes").await["state"], "not granted");
}

#[tokio::test]
async fn inspect_shows_request_grant_and_component() {
    let lab = Lab::bare(DOVETAIL);
    lab.install(&NOTES).await;
    let json = lab
        .run(&["plugin", "inspect", "notes", "--json"])
        .await
        .expect_code(0)
        .json();
    assert_eq!(json, listed(&lab, "notes").await, "the same as in the list");
    assert_eq!(
        json["requested"]["fs"],
        json!([{ "path": "./notes", "mount": "/notes", "access": "read" }])
    );
    let text = lab
        .run(&["plugin", "inspect", "notes"])
        .await
        .expect_code(0)
        .stdout;
    for part in [
        "notes 0.1.0",
        "tools",
        "sha256",
        "./notes",
        "granted",
        "ready",
    ] {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
    lab.run(&["plugin", "inspect", "nobody"])
        .await
        .expect_code(1)
        .expect_errors(&["there is no plugin `nobody`", "hint: there are "]);
}

#[tokio::test]
async fn a_folder_can_be_inspected_before_it_is_installed() {
    let lab = Lab::bare(DOVETAIL);
    lab.write("pack/plugin.toml", NO_RM.manifest);
    lab.write("pack/no-rm.wasm", NO_RM.wasm);
    let json = lab
        .run(&["plugin", "inspect", "./pack", "--json"])
        .await
        .expect_code(0)
        .json();
    assert_eq!(
        (json["id"].as_str(), json["source"].as_str()),
        (Some("no-rm"), Some("folder"))
    );
}

#[tokio::test]
async fn what_cannot_run_cannot_be_installed() {
    let lab = Lab::bare(DOVETAIL);
    lab.write("pack/plugin.toml", TOO_GREEDY.manifest);
    lab.write("pack/too-greedy.wasm", TOO_GREEDY.wasm);
    let ran = lab
        .run(&["plugin", "install", "./pack", "--yes"])
        .await
        .expect_code(1);
    ran.expect_errors(&[
        "plugin `too-greedy` imports `dovetail:plugin/http",
        "net",
        "hint: ",
    ]);
    assert!(!lab.plugin_dir(&TOO_GREEDY).exists());
    lab.run(&["plugin", "install", "./nowhere", "--yes"])
        .await
        .expect_code(1)
        .expect_errors(&["there is no plugin in"]);
}

#[tokio::test]
async fn a_plugin_can_be_turned_off_and_on() {
    let lab = Lab::bare(DOVETAIL);
    lab.install(&NO_RM).await;
    lab.run(&["plugin", "disable", "no-rm"])
        .await
        .expect_code(0);
    assert_eq!(listed(&lab, "no-rm").await["state"], "disabled");
    lab.run(&["plugin", "enable", "no-rm"]).await.expect_code(0);
    assert_eq!(listed(&lab, "no-rm").await["state"], "ready");
}
