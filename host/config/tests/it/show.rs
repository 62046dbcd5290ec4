//! What people see of the configuration.

use serde_json::json;

use crate::stage::Stage;

#[test]
fn every_value_has_its_origin_and_no_secret_is_shown() {
    let stage = Stage::new()
        .user("model = \"m\"\n[model_providers.acme]\nexperimental_bearer_token = \"sk-1\"\nhttp_headers = { x-any = \"v\" }\nbase_url = \"https://u:p@h/v1\"\n")
        .set("model_verbosity=low");
    let config = stage.load();
    let shown: Vec<String> = config
        .shown()
        .iter()
        .map(|shown| {
            stage.normal(&format!(
                "{} = {} | {}",
                shown.key, shown.value, shown.place
            ))
        })
        .filter(|line| line.starts_with("model"))
        .collect();
    assert_eq!(
        shown,
        [
            "model = \"m\" | `$STAGE/home/config.toml` line 1",
            "model_auto_compact_token_limit_scope = \"total\" | the built-in defaults",
            "model_provider = \"openai\" | the built-in defaults",
            "model_providers.acme.base_url = \"https://<redacted>@h/v1\" | `$STAGE/home/config.toml` line 5",
            "model_providers.acme.experimental_bearer_token = \"<redacted>\" | `$STAGE/home/config.toml` line 3",
            "model_providers.acme.http_headers.x-any = \"<redacted>\" | `$STAGE/home/config.toml` line 4",
            "model_verbosity = \"low\" | `-c model_verbosity`",
        ]
    );
    assert_eq!(
        config.shown_json()["model_providers"]["acme"],
        json!({
            "experimental_bearer_token": "<redacted>", "http_headers": {"x-any": "<redacted>"},
            "base_url": "https://<redacted>@h/v1",
        })
    );
    assert!(!config.shown_json().to_string().contains("sk-1"));
}

#[test]
fn keys_that_are_not_bare_are_quoted() {
    let config = Stage::new()
        .user("[projects.\"/a.b\"]\ntrust_level = \"trusted\"")
        .load();
    assert!(
        config
            .shown()
            .iter()
            .any(|shown| shown.key == "projects.\"/a.b\".trust_level")
    );
}
