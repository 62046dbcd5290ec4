//! `provider list`.

use dovetail_tests::{ACME, Lab};
use serde_json::{Value, json};

use super::{SECRET, lab, tells_no_secret, told};

/// The entry of one provider.
#[track_caller]
fn entry(told: &Value, id: &str) -> Value {
    let providers = told["providers"].as_array().expect("a list");
    let found = providers.iter().find(|provider| provider["id"] == id);
    found
        .unwrap_or_else(|| panic!("`{id}` is not listed: {told:#}"))
        .clone()
}

fn builtin(id: &str) -> Value {
    json!({ "id": id, "version": "<version>", "scope": "built-in", "sandboxed": true, "speaker": null })
}

#[tokio::test]
async fn every_provider_is_listed_with_who_serves_it_and_where_it_is_from() {
    let config = "model_provider = \"chatty\"\n\n[model_providers.chatty]\nname = \"Chatty\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
                  wire_api = \"chat\"\nenv_key = \"VENDOR_KEY\"\n\n[model_providers.corp]\nname = \"Corp\"\n\
                  base_url = \"https://llm.corp.example/v1\"\nauth = { command = \"print-token\", args = [\"--deep-secret\"] }\n\
                  wire_api = \"messages\"\n\n[model_providers.inline]\nname = \"Inline\"\nbase_url = \"https://llm.example/v1\"\n\
                  experimental_bearer_token = \"vendor-secret-0123456789\"\n";
    let lab = lab(config);
    let ran = lab
        .run(&["provider", "list", "--json"])
        .await
        .expect_code(0);
    let told = told(&lab, &ran);
    assert!(!ran.stdout.contains("--deep-secret"));
    assert_eq!(told["selected"], "chatty");
    let ids: Vec<&str> = told["providers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "openai",
            "amazon-bedrock",
            "amazon-bedrock-runtime",
            "ollama",
            "lmstudio",
            "chatty",
            "corp",
            "inline"
        ]
    );
    assert_eq!(
        entry(&told, "chatty"),
        json!({
            "id": "chatty", "kind": "table", "selected": true, "name": "Chatty", "wire": "chat",
            "base_url": "http://127.0.0.1:<port>/v1",
            "credential": { "source": "the variable VENDOR_KEY", "is_there": true },
            "plugin": builtin("chat-completions"),
            "origin": { "layer": "user", "file": "/home/config.toml", "line": 3 },
            "problem": null,
        })
    );
    let corp = entry(&told, "corp");
    assert_eq!(
        corp["credential"],
        json!({ "source": "the command `print-token`", "is_there": null })
    );
    assert_eq!(corp["plugin"]["speaker"], "messages");
    assert_eq!(
        entry(&told, "inline")["credential"]["source"],
        "`experimental_bearer_token` of its table"
    );
    assert_eq!(
        entry(&told, "ollama"),
        json!({
            "id": "ollama", "kind": "local", "selected": false, "name": "gpt-oss", "wire": "responses",
            "base_url": "http://localhost:11434/v1", "credential": null, "plugin": builtin("openai"),
            "origin": null, "problem": null,
        })
    );
    assert_eq!(entry(&told, "openai")["credential"]["is_there"], false);
}

#[tokio::test]
async fn broken_tables_are_listed_with_what_is_wrong() {
    let config = "model_provider = \"nobody\"\n[model_providers.openai]\nname = \"Mine\"\n\n[model_providers.typed]\nname = \"T\"\n\
                  base_url = 5\n\n[model_providers.nameless]\nbase_url = \"https://a.example\"\n\n[model_providers.fine]\nname = \"F\"\n\
                  base_url = \"https://a.example/v1\"\n\n[model_providers.gcp]\nproject_id = \"x\"\n";
    let lab = lab(config);
    let ran = lab
        .run(&["provider", "list", "--json"])
        .await
        .expect_code(0);
    let told = told(&lab, &ran);
    let problem = |id: &str| {
        entry(&told, id)["problem"]["message"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(
        problem("openai").as_deref(),
        Some(
            "`model_providers.openai` in `/home/config.toml` line 2: `openai` is reserved for the built-in provider"
        )
    );
    let typed = problem("typed").unwrap();
    assert!(
        typed.starts_with("`model_providers.typed.base_url` in `/home/config.toml` line 7: "),
        "{typed}"
    );
    assert_eq!(
        problem("nameless").as_deref(),
        Some("model_providers.nameless: name is missing")
    );
    assert_eq!(
        problem("nobody").as_deref(),
        Some("Model provider `nobody` not found")
    );
    assert!(
        problem("gcp")
            .unwrap()
            .starts_with("the provider `gcp` is not supported yet")
    );
    assert_eq!(problem("fine"), None);

    let text = lab.run(&["provider", "list"]).await.expect_code(0);
    tells_no_secret(&text);
    let shown = lab.normal(&text.stdout);
    for part in [
        "broken: model_providers.nameless: name is missing",
        "F · Responses · https://a.example/v1",
        "user: /home/config.toml:12",
    ] {
        assert!(shown.contains(part), "{part}:\n{shown}");
    }
    assert!(text.stdout.lines().all(|line| line.chars().count() <= 100));
}

#[tokio::test]
async fn providers_of_plugins_are_listed_with_their_slots() {
    let mut lab: Lab = lab("");
    lab.install(&ACME).await;
    lab.set_env("ACME_TOKEN", SECRET);
    let told = told(
        &lab,
        &lab.run(&["provider", "list", "--json"])
            .await
            .expect_code(0),
    );
    let acme = entry(&told, "acme");
    assert_eq!(
        (&acme["kind"], &acme["plugin"]["scope"], &acme["problem"]),
        (&json!("plugin"), &json!("user"), &json!(null))
    );
}
