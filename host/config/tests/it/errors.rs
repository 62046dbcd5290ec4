//! Each thing that can be wrong, and the words for it.

use crate::stage::Stage;

#[track_caller]
fn check(stage: Stage, expected: &str) {
    assert_eq!(stage.error(), expected);
}

#[test]
fn malformed_files_show_the_line() {
    check(
        Stage::new().user("model = \"m\"\napproval_policy = = \"never\"\n"),
        "\
`$STAGE/home/config.toml` is not valid TOML at line 2, column 19: extra `=`, expected nothing
  2 | approval_policy = = \"never\"
    |                   ^
hint: correct line 2, or move `$STAGE/home/config.toml` away to start without it",
    );
}

#[test]
fn malformed_lines_with_secrets_do_not_show_them() {
    let error = Stage::new()
        .user("[model_providers.x]\nexperimental_bearer_token = \"sk-123\n")
        .error();
    assert!(
        error.contains("experimental_bearer_token = <redacted>") && !error.contains("sk-123"),
        "{error}"
    );
}

#[test]
fn unknown_keys_are_errors_only_where_asked() {
    let stage =
        || Stage::new().user("modle = \"x\"\n[history]\npersistance = \"none\"\nzebra = 1\n");
    let unknown = stage().load().unknown_keys;
    let told: Vec<String> = unknown
        .iter()
        .map(|unknown| {
            format!(
                "{} {:?}",
                unknown.key,
                unknown.nearest.as_deref().unwrap_or("")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "history.persistance \"history.persistence\"",
            "history.zebra \"\"",
            "modle \"model\""
        ]
    );
    check(
        Stage::new().user("\nmodle = \"x\"").strict(),
        "`modle` in `$STAGE/home/config.toml` line 2 is not a known setting\nhint: did you mean `model`?",
    );
    check(
        Stage::new().set("zebra=1").strict(),
        "`zebra` in `-c zebra` is not a known setting\nhint: remove it, or run without --strict-config",
    );
}

#[test]
fn wrong_values_name_the_right_ones() {
    for (text, expected) in [
        (
            "sandbox_mode = \"none\"",
            "`sandbox_mode` in `$STAGE/home/config.toml` line 1: \"none\" is not one of `read-only`, `workspace-write`, `danger-full-access`",
        ),
        (
            "model = 5",
            "`model` in `$STAGE/home/config.toml` line 1: expected a string, found a number",
        ),
        (
            "model_context_window = -1",
            "`model_context_window` in `$STAGE/home/config.toml` line 1: expected a whole number, 0 or more, found a number",
        ),
        (
            "\n\nfeatures = { a = \"yes\" }",
            "`features.a` in `$STAGE/home/config.toml` line 3: expected true or false, found a string",
        ),
        (
            "[model_providers]\nx = \"y\"",
            "`model_providers.x` in `$STAGE/home/config.toml` line 2: expected a table, found a string",
        ),
        (
            "[dovetail]\nauth_policy = \"lax\"",
            "`dovetail.auth_policy` in `$STAGE/home/config.toml` line 2: \"lax\" is not one of `strict`, `compat`",
        ),
    ] {
        check(Stage::new().user(text), expected);
    }
    for (text, key) in [
        ("model=", "model"),
        ("model_reasoning_effort=' '", "model_reasoning_effort"),
    ] {
        check(
            Stage::new().set(text),
            &format!("`{key}` in `-c {key}`: it is empty; leave it out to use the default"),
        );
    }
    check(
        Stage::new().set("web_search=slow"),
        "`web_search` in `-c web_search`: \"slow\" is not one of `disabled`, `cached`, `indexed`, `live`",
    );
}

#[test]
fn providers_that_are_taken_or_missing() {
    check(
        Stage::new().user("[model_providers.openai]\nname = \"x\""),
        "`model_providers.openai` in `$STAGE/home/config.toml` line 1: `openai` is reserved for the built-in provider\n\
         hint: give it another name, such as `[model_providers.openai-custom]`; reserved are `openai`, `ollama`, `lmstudio`",
    );
    let stage = Stage::new().user("model_provider = \"x\"\n[model_providers.mine]\nname = \"m\"");
    let error = stage
        .load()
        .check_provider(["acme"])
        .expect_err("nobody serves it");
    assert_eq!(error.to_string(), "Model provider `x` not found");
    assert_eq!(
        stage.normal(&error.hint().expect("a hint")),
        "it was chosen in `$STAGE/home/config.toml` line 1; known are `acme`, `amazon-bedrock`, `amazon-bedrock-runtime`, `gcp`, `lmstudio`, `mine`, `ollama`, `openai`. Add `[model_providers.x]`, or install a plugin that serves it"
    );
    stage
        .load()
        .check_provider(["x"])
        .expect("a plugin serves it");
}

#[test]
fn profiles() {
    check(
        Stage::new().profile("p"),
        "profile `p` does not exist: there is no `$STAGE/home/p.config.toml`\nhint: put the profile's settings in `p.config.toml` there",
    );
    check(
        Stage::new().profile("../p"),
        "`../p` cannot be a profile's name: use letters, digits, `-` and `_`",
    );
    check(
        Stage::new().user("profile = \"p\""),
        "`profile` in `$STAGE/home/config.toml` line 1 is no longer supported\n\
         hint: move the profile's settings to `$CODEX_HOME/<name>.config.toml` and pass `--profile <name>`",
    );
}

#[test]
fn tables_of_profiles_of_old_do_no_harm_until_one_is_asked_for() {
    let old = "[profiles.fast]\nmodel = \"small\"\n[profiles.deep.features]\nx = true";
    let config = Stage::new().user(old).strict().load();
    assert_eq!((config.model, config.warnings), (None, Vec::new()));
    let new = Stage::new()
        .user(old)
        .file("home/other.config.toml", "model = \"m\"");
    assert_eq!(new.profile("other").load().model.as_deref(), Some("m"));
    let asked = Stage::new()
        .user(old)
        .file("home/fast.config.toml", "model = \"m\"");
    check(
        asked.profile("fast"),
        "`profiles.fast` in `$STAGE/home/config.toml` line 1 is no longer supported\n\
         hint: move the profile's settings to `$CODEX_HOME/<name>.config.toml` and pass `--profile <name>`",
    );
}

#[test]
fn a_pipe_is_no_configuration() {
    let stage = Stage::new();
    let made = std::process::Command::new("mkfifo")
        .arg(stage.path("home/config.toml"))
        .status();
    assert!(made.expect("mkfifo runs").success());
    check(
        stage,
        "`$STAGE/home/config.toml` is not a file\nhint: move `$STAGE/home/config.toml` away to start without it",
    );
}

#[test]
fn files_that_are_no_text() {
    let stage = Stage::new();
    std::fs::write(stage.path("home/config.toml"), b"a = 1\nb = \"\xff\"\n").expect("a file");
    check(
        stage,
        "`$STAGE/home/config.toml` is not UTF-8 text (line 2)\nhint: move `$STAGE/home/config.toml` away to start without it",
    );
    let stage = Stage::new().user(&"#".repeat((1 << 20) + 1));
    assert!(stage.error().contains("more than 1048576 bytes"));
    let stage = Stage::new();
    std::fs::create_dir(stage.path("home/config.toml")).expect("a directory");
    assert!(
        stage
            .error()
            .starts_with("cannot read `$STAGE/home/config.toml`")
    );
}
