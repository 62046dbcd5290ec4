//! `dovetail models` and `dovetail features`: what is known, what holds, and who says so.

use dovetail_tests::Lab;
use serde_json::{Value, json};

use crate::DOVETAIL;

async fn explained(lab: &Lab, args: &[&str]) -> Value {
    let args = [&["models", "explain", "--json"], args].concat();
    lab.run(&args).await.expect_code(0).json()
}

#[tokio::test]
async fn every_fact_of_a_model_says_where_it_comes_from() {
    let lab = Lab::bare(DOVETAIL);
    lab.write_config("\nmodel_context_window = 1000\nmodel_verbosity = \"high\"\n[dovetail.models.\"gpt-5.5\"]\nsupports_parallel_tool_calls = false\n");
    let model = explained(&lab, &["gpt-5.5", "-c", "tool_output_token_limit=5"]).await;
    let file = lab.home().join("config.toml").display().to_string();
    for (field, expected) in [
        (
            "context_window",
            json!({"value": 1000, "origin": {"layer": "user", "file": file, "line": 2}}),
        ),
        (
            "supports_parallel_tool_calls",
            json!({"value": false, "origin": {"layer": "user", "file": file, "line": 5}}),
        ),
        (
            "truncation_policy",
            json!({
                "value": {"mode": "tokens", "limit": 5},
                "origin": {"layer": "command line", "flag": "-c tool_output_token_limit"},
            }),
        ),
        (
            "auto_compact_token_limit",
            json!({"value": 900, "origin": {"layer": "derived"}}),
        ),
        (
            "default_reasoning_level",
            json!({"value": "medium", "origin": {"layer": "catalogue"}}),
        ),
        (
            "supports_reasoning_summaries",
            json!({"value": true, "origin": {"layer": "default"}}),
        ),
    ] {
        assert_eq!(model["fields"][field], expected, "{field}");
    }
    assert_eq!(model["usable_window"], 950);
    assert_eq!(
        model["request"]["text.verbosity"],
        json!({"value": "high", "from": format!("user: {file}:3")})
    );
    assert_eq!(
        model["request"]["reasoning.effort"],
        json!({"value": "medium", "from": "catalogue"})
    );
}

#[tokio::test]
async fn models_nobody_knows_are_explained_with_a_warning() {
    let lab = Lab::bare(DOVETAIL);
    let ran = lab
        .run(&["models", "explain", "mystery"])
        .await
        .expect_code(0)
        .expect_errors(&["warning: Model metadata for `mystery` not found"]);
    assert!(
        ran.stdout.starts_with("mystery · not in the catalogue\n"),
        "{}",
        ran.stdout
    );
    let window = ran
        .stdout
        .lines()
        .find(|line| line.contains("usable window"));
    assert!(
        window.is_some_and(|line| line.contains("258400")),
        "{}",
        ran.stdout
    );
    let dated = lab
        .run(&["models", "explain", "gpt-5.5-2026-01-01"])
        .await
        .expect_code(0);
    assert!(
        dated.stdout.contains("known as gpt-5.5"),
        "{}",
        dated.stdout
    );
    assert_eq!(dated.stderr, "");
}

#[tokio::test]
async fn the_list_has_the_catalogue_and_what_the_user_describes() {
    let lab = Lab::bare(DOVETAIL);
    lab.write_config(
        "model = \"mystery\"\n[dovetail.models.acme-1]\ncontext_window = 1000\npriority = 0\n",
    );
    let names = |list: Value| -> Vec<String> {
        let models = list.as_array().unwrap().iter();
        models
            .map(|model| model["model"].as_str().unwrap().to_owned())
            .collect()
    };
    let shown = names(
        lab.run(&["models", "list", "--json"])
            .await
            .expect_code(0)
            .json(),
    );
    assert_eq!(shown[..3], ["acme-1", "gpt-6.1-sol", "gpt-6-astra"]);
    assert_eq!(shown.last().map(String::as_str), Some("mystery"));
    assert!(!shown.contains(&"codex-auto-review".to_owned()));
    let all = names(
        lab.run(&["models", "list", "--all", "--json"])
            .await
            .expect_code(0)
            .json(),
    );
    assert!(all.contains(&"codex-auto-review".to_owned()));
    let text = lab.run(&["models", "list"]).await.expect_code(0).stdout;
    assert!(text.contains("* mystery"), "{text}");
    assert!(
        text.contains("  gpt-5.5          258400  catalogue  low [medium] high xhigh\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_catalogue_of_ones_own_takes_the_place_of_the_built_in_one() {
    let lab = Lab::bare(DOVETAIL);
    lab.write_home(
        "models.json",
        r#"{"models": [{"slug": "mine", "context_window": 5000, "base_instructions": "x"}]}"#,
    );
    lab.write_config("model_catalog_json = \"models.json\"\nmodel = \"mine\"\n");
    let mine = explained(&lab, &[]).await;
    assert_eq!(
        mine["fields"]["context_window"],
        json!({
            "value": 5000,
            "origin": {"layer": "catalogue", "file": lab.home().join("models.json")},
        })
    );
    assert_eq!(explained(&lab, &["gpt-5.5"]).await["matched"], Value::Null);
    lab.write_home("models.json", "{\"models\": 5}");
    let ran = lab.run(&["models", "list"]).await.expect_code(1);
    ran.expect_errors(&[
        "cannot use the model catalogue",
        "models.json",
        "hint: `model_catalog_json`",
    ]);
}

#[tokio::test]
async fn features_are_listed_with_their_stage_and_value() {
    let lab = Lab::bare(DOVETAIL);
    let line = |text: &str, name: &str| -> Vec<String> {
        let found = text
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        let line = found.unwrap_or_else(|| panic!("{name} is not in {text}"));
        line.split("  ")
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let text = lab.run(&["features", "list"]).await.expect_code(0).stdout;
    assert_eq!(line(&text, "fast_mode"), ["fast_mode", "stable", "true"]);
    assert_eq!(line(&text, "item_ids"), ["item_ids", "removed", "true"]);
    assert_eq!(
        line(&text, "multi_agent"),
        ["multi_agent", "under development", "false"]
    );
    let args = [
        "features",
        "list",
        "--disable",
        "fast_mode",
        "--enable",
        "multi_agent",
        "--enable",
        "undo",
        "--strict-config",
    ];
    let text = lab.run(&args).await.expect_code(0).stdout;
    assert_eq!(line(&text, "fast_mode")[2], "false");
    assert_eq!(
        line(&text, "multi_agent")[2],
        "false",
        "what does nothing is not on"
    );
    let ran = lab
        .run(&["features", "list", "--enable", "zebra"])
        .await
        .expect_code(0);
    ran.expect_errors(&["`features.zebra` in `--enable`", "has no effect"]);
    lab.run(&["features", "list", "--enable", "zebra", "--strict-config"])
        .await
        .expect_code(1)
        .expect_errors(&["`features.zebra`", "is not a known setting"]);
}
