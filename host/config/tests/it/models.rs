//! What a person says of models, and in which order it holds.

use dovetail_models::{Catalogue, Origin, Resolved, resolve};

use crate::stage::Stage;

fn resolved(stage: &Stage, slug: &str) -> Resolved<String> {
    let overrides = stage.load().model_overrides(slug);
    let named = overrides
        .into_iter()
        .map(|(patch, place)| (patch, stage.normal(&place.to_string())));
    resolve(&Catalogue::bundled(), slug, named)
}

#[track_caller]
fn check_window(stage: &Stage, window: u64, place: &str) {
    let model = resolved(stage, "gpt-5.5");
    assert_eq!(
        (model.info.context_window, model.origin("context_window")),
        (window, &Origin::Said(place.to_owned()))
    );
}

#[test]
fn a_models_own_table_beats_the_setting_for_all_of_the_same_layer() {
    let user = "model_context_window = 1\n[dovetail.models.\"gpt-5.5\"]\ncontext_window = 2";
    check_window(
        &Stage::new().user(user),
        2,
        "`$STAGE/home/config.toml` line 3",
    );
    check_window(
        &Stage::new().user(user).set("model_context_window=3"),
        3,
        "`-c model_context_window`",
    );
    check_window(
        &Stage::new().user("model_context_window = 1").file(
            "system.toml",
            "[dovetail.models.\"gpt-5.5\"]\ncontext_window = 2",
        ),
        1,
        "`$STAGE/home/config.toml` line 1",
    );
}

#[test]
fn settings_for_all_models_stand_for_facts() {
    let stage = Stage::new().user(
        "model_supports_reasoning_summaries = false\nmodel_auto_compact_token_limit = 5\ntool_output_token_limit = 7",
    );
    let info = resolved(&stage, "gpt-5.5").info;
    assert!(!info.supports_reasoning_summaries);
    assert_eq!(info.auto_compact_token_limit, Some(5));
    assert_eq!(info.truncation_policy.in_tokens(), 7);
}

#[test]
fn a_table_describes_its_model_alone() {
    let config = Stage::new()
        .user("[dovetail.models.acme-1]\ncontext_window = 9")
        .load();
    assert!(config.describes_model("acme-1") && !config.describes_model("acme-2"));
    assert_eq!(config.model_overrides("acme-1").len(), 1);
    assert_eq!(config.model_overrides("acme-2").len(), 0);
}
