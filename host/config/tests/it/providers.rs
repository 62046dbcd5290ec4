//! Tables of providers that are broken, and files that are not written yet.

use dovetail_config::{load_with_user_text, load_without_broken_providers};

use crate::stage::Stage;

#[test]
fn broken_tables_can_be_left_out_and_are_named() {
    let stage = Stage::new()
        .file("system.toml", "[model_providers.ollama]\nname = \"O\"\n")
        .user(
            "[model_providers.fine]\nname = \"F\"\n[model_providers.\"a.b\"]\nbase_url = 5\n\
             [model_providers.a]\nname = true\n",
        );
    let request = stage.request_in(stage.cwd());
    let (config, broken) = load_without_broken_providers(&request).expect("the rest is sound");
    assert_eq!(config.model_providers.keys().collect::<Vec<_>>(), ["fine"]);
    let mut broken: Vec<String> = broken
        .iter()
        .map(|broken| {
            let place = broken.place.as_ref().expect("it has a place");
            stage.normal(&format!("{} in {place}", broken.id))
        })
        .collect();
    broken.sort();
    assert_eq!(
        broken,
        [
            "a in `$STAGE/home/config.toml` line 5",
            "a.b in `$STAGE/home/config.toml` line 3",
            "ollama in `$STAGE/system.toml` line 1",
        ]
    );
}

#[test]
fn what_is_wrong_elsewhere_stays_an_error() {
    let stage = Stage::new().user("model = 5\n[model_providers.a]\nname = true\n");
    let request = stage.request_in(stage.cwd());
    let error = load_without_broken_providers(&request).expect_err("the model is wrong");
    assert!(error.to_string().starts_with("`model` in "), "{error}");
}

#[test]
fn a_text_is_read_in_the_place_of_the_users_file() {
    let stage = Stage::new()
        .file("system.toml", "model = \"system\"")
        .user("model = \"user\"")
        .set("review_model=flag");
    let request = stage.request_in(stage.cwd());
    let config = load_with_user_text(&request, "model = \"text\"").expect("sound");
    assert_eq!(config.model.as_deref(), Some("text"));
    assert_eq!(config.review_model.as_deref(), Some("flag"));
    let error = load_with_user_text(&request, "model = ").expect_err("no TOML");
    let error = stage.normal(&error.to_string());
    assert!(
        error.starts_with("`$STAGE/home/config.toml` is not valid TOML at line 1"),
        "{error}"
    );
}
