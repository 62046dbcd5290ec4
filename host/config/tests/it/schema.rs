//! The JSON Schema of the configuration: it is the one in the documentation, takes what is right and refuses what is not.

use serde_json::{Value, json};

use crate::stage::Stage;

const PUBLISHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.schema.json");

fn problems(toml: &str) -> Vec<String> {
    let validator = jsonschema::validator_for(&dovetail_config::config_schema())
        .expect("the schema is a schema");
    let value: Value = toml::from_str(toml).expect("the example is TOML");
    validator
        .iter_errors(&value)
        .map(|error| error.instance_path().to_string())
        .collect()
}

#[track_caller]
fn check_good(toml: &str) {
    assert_eq!(problems(toml), Vec::<String>::new(), "{toml}");
    // What the schema takes can be read, down to the last key.
    Stage::new().user(toml).strict().load();
}

#[track_caller]
fn check_bad(toml: &str, path: &str) {
    assert_eq!(problems(toml), [path], "{toml}");
    assert!(
        Stage::new().user(toml).strict().try_load().is_err(),
        "reading takes what the schema refuses: {toml}"
    );
}

#[test]
fn the_published_schema_is_the_one_that_is_read_by() {
    let published = std::fs::read_to_string(PUBLISHED).unwrap_or_default();
    let ours = format!("{:#}\n", dovetail_config::config_schema());
    assert!(
        published == ours,
        "docs/config.schema.json is out of date: dovetail config schema > docs/config.schema.json"
    );
}

/// Every block of TOML in a document that is a configuration.
fn examples(document: &str) -> Vec<String> {
    let path = format!("{}/../../{document}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect(&path);
    text.split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .map(|(block, _)| block.to_owned())
        .filter(|block| !block.starts_with("id = "))
        .collect()
}

#[test]
fn examples_in_the_documentation_are_configurations() {
    for document in ["README.md", "docs/config.md"] {
        let examples = examples(document);
        assert!(!examples.is_empty(), "{document} has no example");
        for example in examples {
            check_good(&example);
        }
    }
}

#[test]
fn settings_of_every_kind_are_taken() {
    check_good("");
    check_good(
        r#"
model = "gpt-5.5"
model_provider = "acme"
model_reasoning_effort = "weird"
model_reasoning_summary = "none"
model_verbosity = "high"
service_tier = "flex"
web_search = "indexed"
approval_policy = "untrusted"
approvals_reviewer = "auto_review"
project_root_markers = [".git", ".hg"]
notify = ["notify-send", "done"]
[sandbox_workspace_write]
writable_roots = ["/data"]
network_access = true
[shell_environment_policy]
inherit = "core"
set = { A = "1" }
[history]
persistence = "none"
max_bytes = 5
[projects."/a"]
trust_level = "untrusted"
[features]
fast_mode = false
item_ids = true
codex_hooks = true
multi_agent = { enabled = true, depth = 2 }
[model_providers.acme]
name = "Acme"
base_url = "https://llm.acme.example/v1"
query_params = { api-version = "1" }
auth = { command = "token", args = ["print"], timeout_ms = 100 }
something_of_a_plugin = [1]
[mcp_servers.files]
command = "npx"
startup_timeout_sec = 10
[tui]
theme = "dark"
[dovetail.models."acme-1"]
context_window = 32000
supported_reasoning_levels = ["low", { effort = "high", description = "slow" }]
truncation_policy = { mode = "bytes", limit = 4000 }
input_modalities = ["text"]
[dovetail.plugins.sink]
config = { path = "x" }
secrets = { token = { env = "ACME" } }
"#,
    );
    check_good("[approval_policy.granular]\nrules = true");
}

#[test]
fn what_is_wrong_is_refused_where_it_is() {
    check_bad("model = 5", "/model");
    check_bad("modle = \"x\"", "");
    check_bad("sandbox_mode = \"loose\"", "/sandbox_mode");
    check_bad("approval_policy = \"always\"", "/approval_policy");
    check_bad("model_reasoning_effort = \"\"", "/model_reasoning_effort");
    check_bad("[history]\npersistance = \"none\"", "/history");
    check_bad("[features]\nzebra = true", "/features");
    check_bad("[features]\nfast_mode = \"yes\"", "/features/fast_mode");
    check_bad(
        "[model_providers.a]\nrequest_max_retries = \"many\"",
        "/model_providers/a/request_max_retries",
    );
    check_bad(
        "[dovetail.models.m]\ncontext_window = -1",
        "/dovetail/models/m/context_window",
    );
    check_bad("[dovetail.models.m]\nwindow = 1", "/dovetail/models/m");
}

#[test]
fn every_setting_says_what_it_is_for() {
    fn check(schema: &Value, name: &str) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(
                property["description"].is_string(),
                "`{key}` of {name} has no description"
            );
        }
    }
    let schema = dovetail_config::config_schema();
    assert!(
        schema["properties"]
            .as_object()
            .is_some_and(|all| all.len() > 60)
    );
    check(&schema, "the root");
    for (name, definition) in schema["$defs"].as_object().expect("definitions") {
        if name != "FeatureSetting" && name != "ApprovalSetting" {
            check(definition, name);
        }
    }
    assert_eq!(schema["properties"]["model"]["type"], json!("string"));
}
