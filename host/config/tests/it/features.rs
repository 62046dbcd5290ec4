//! Features: what is said, what holds, and names that nobody knows.

use crate::stage::Stage;

#[test]
fn features_hold_as_they_are_set_by_whichever_name() {
    let config = Stage::new()
        .user("[features]\nshell_tool = false\nweb_search = true\nmulti_agent = true\nitem_ids = false\nfast_mode = { enabled = false }")
        .strict()
        .load();
    let on = [
        "shell_tool",
        "web_search_request",
        "multi_agent",
        "item_ids",
        "fast_mode",
        "zebra",
    ]
    .map(|name| config.has_feature(name));
    assert_eq!(on, [false, true, false, true, false, false]);
    let nothing = Stage::new().load();
    assert!(nothing.has_feature("shell_tool") && nothing.has_feature("fast_mode"));
}

#[test]
fn unknown_features_warn_and_are_errors_where_asked() {
    let stage = Stage::new().user("[features]\nfast_mod = true");
    let config = stage.load();
    assert_eq!(
        stage.normal(&config.warnings.join("\n")),
        "`features.fast_mod` in `$STAGE/home/config.toml` line 2 is not a known setting and has no effect (did you mean `features.fast_mode`?)"
    );
    assert_eq!(
        stage.strict().error(),
        "`features.fast_mod` in `$STAGE/home/config.toml` line 2 is not a known setting\nhint: did you mean `features.fast_mode`?"
    );
}

#[test]
fn features_of_other_clients_are_no_mistakes_and_do_nothing() {
    let stage = Stage::new()
        .user(
            "[features]\nbrowser_use = true\nremote_compaction_v2 = true\nview_image_tool = false",
        )
        .strict();
    let config = stage.load();
    assert_eq!(config.warnings, Vec::<String>::new());
    assert!(!config.has_feature("browser_use") && !config.has_feature("view_image"));
    let listed: Vec<&str> = config
        .listed_features()
        .iter()
        .filter(|feature| feature.stage == dovetail_config::FeatureStage::Elsewhere)
        .map(|feature| feature.name)
        .collect();
    assert_eq!(listed, ["browser_use", "remote_compaction_v2"]);
}
