//! Every value has a story: where it was set, what it overrode, whether it does anything.

use dovetail_config::{ExplainError, Explained};
use serde_json::json;

use crate::stage::Stage;

fn layered() -> Stage {
    Stage::new()
        .file("system.toml", "model = \"of-the-system\"")
        .trusting_user("model = \"of-the-user\"\n[model_providers.acme]\nexperimental_bearer_token = \"sk-low\"")
        .file("project/.codex/config.toml", "\nmodel = \"of-the-project\"")
        .set("model=of-the-flag")
        .set("model_providers.acme.experimental_bearer_token=sk-high")
}

fn one(stage: &Stage, key: &str) -> Explained {
    let all = stage.load().explain(Some(key)).expect("it is a setting");
    let [one] = <[Explained; 1]>::try_from(all).expect("one value");
    one
}

fn lines(stage: &Stage, explained: &Explained) -> Vec<String> {
    explained
        .set
        .iter()
        .chain(&explained.overrode)
        .map(|(value, place)| stage.normal(&format!("{value} {} {place}", place.kind.as_str())))
        .collect()
}

#[test]
fn a_value_names_its_place_and_what_it_overrode() {
    let stage = layered();
    assert_eq!(
        lines(&stage, &one(&stage, "model")),
        [
            "\"of-the-flag\" command line `-c model`",
            "\"of-the-project\" project `$STAGE/project/.codex/config.toml` line 2",
            "\"of-the-user\" user `$STAGE/home/config.toml` line 1",
            "\"of-the-system\" system `$STAGE/system.toml` line 1",
        ]
    );
    assert_eq!(
        lines(&stage, &one(&stage, "project_doc_max_bytes")),
        ["32768 default the built-in defaults"]
    );
}

#[test]
fn secrets_are_hidden_in_every_layer() {
    let stage = layered();
    let explained = one(&stage, "model_providers.acme.experimental_bearer_token");
    assert_eq!(lines(&stage, &explained).len(), 2);
    assert!(!format!("{:?}", stage.load().explain(None)).contains("sk-"));
}

#[test]
fn a_table_is_explained_value_by_value_and_what_is_not_set_is_said() {
    let stage = Stage::new().user("[sandbox_workspace_write]\nnetwork_access = true");
    let keys: Vec<String> = stage
        .load()
        .explain(Some("sandbox_workspace_write"))
        .expect("a table")
        .into_iter()
        .map(|explained| explained.key)
        .collect();
    assert_eq!(
        keys,
        [
            "exclude_slash_tmp",
            "exclude_tmpdir_env_var",
            "network_access",
            "writable_roots"
        ]
        .map(|key| format!("sandbox_workspace_write.{key}"))
    );
    let unset = one(&stage, "model_verbosity");
    assert_eq!((unset.set, unset.not_supported), (None, None));
    assert!(unset.meaning.is_some());
}

#[test]
fn what_does_nothing_says_so() {
    let stage = Stage::new()
        .user("[tui]\ntheme = \"x\"\n[history]\nmax_bytes = 1\n[features]\nmulti_agent = true");
    for (key, reason) in [
        ("tui.theme", "there is no terminal interface yet"),
        (
            "history.max_bytes",
            "prompts are kept nowhere but in their threads",
        ),
        ("features.multi_agent", "it does nothing here yet"),
    ] {
        assert_eq!(
            one(&stage, key).not_supported.as_deref(),
            Some(reason),
            "{key}"
        );
    }
    assert_eq!(
        one(&stage, "history.max_bytes").set.map(|(value, _)| value),
        Some(json!(1))
    );
}

#[test]
fn what_is_no_setting_is_named_with_what_it_may_have_been() {
    let config = Stage::new().load();
    for (key, nearest) in [
        ("modle", Some("model")),
        ("history.persistance", Some("history.persistence")),
        ("zebra", None),
    ] {
        assert_eq!(
            config.explain(Some(key)),
            Err(ExplainError::Unknown {
                key: key.to_owned(),
                nearest: nearest.map(str::to_owned)
            })
        );
    }
    assert_eq!(
        config.explain(Some("a b")),
        Err(ExplainError::NotAKey("a b".to_owned()))
    );
}
