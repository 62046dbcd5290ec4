//! Configuration: mistakes are named with file and line, projects are read only where they are trusted, and what is in
//! force can be shown.

use dovetail_tests::{Lab, script};
use serde_json::json;

use crate::{DOVETAIL, lab};

/// A configuration that cannot be used ends the command before anything is sent.
async fn check_refused(config: &str, args: &[&str], words: &[&str]) {
    let lab = lab(&[&script::answer("hi")]).await;
    lab.write_config(&format!("{config}\n{}", lab.provider_config("")));
    let ran = lab.exec(&[args, &["hello"]].concat()).await.expect_code(1);
    ran.expect_errors(words);
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn mistakes_are_named_with_file_and_line() {
    check_refused(
        "model_reasoning_effort = \n",
        &[],
        &["config.toml` is not valid TOML at line 1"],
    )
    .await;
    check_refused(
        "sandbox_mode = \"loose\"",
        &[],
        &["`sandbox_mode` in", "config.toml` line 1", "`read-only`"],
    )
    .await;
    check_refused(
        "hide_agent_reasoning = \"yes\"",
        &[],
        &["`hide_agent_reasoning` in", "config.toml` line 1"],
    )
    .await;
    check_refused("", &["-c", "sandbox_mode=loose"], &["`sandbox_mode`", "-c"]).await;
    check_refused(
        "",
        &["-c", "nonsense"],
        &["`-c nonsense` is not an override"],
    )
    .await;
    check_refused(
        "",
        &["--profile", "absent"],
        &["profile `absent` does not exist"],
    )
    .await;
}

#[tokio::test]
async fn an_unknown_key_is_an_error_only_where_it_was_asked_to_be() {
    check_refused(
        "sandbox_mod = \"read-only\"",
        &["--strict-config"],
        &["`sandbox_mod` in", "is not a known setting", "sandbox_mode"],
    )
    .await;
    let lab = lab(&[&script::answer("hi")]).await;
    lab.write_config(&format!(
        "sandbox_mod = \"read-only\"\n{}",
        lab.provider_config("")
    ));
    let ran = lab.exec(&["hello"]).await.expect_code(0);
    ran.expect_errors(&[
        "`sandbox_mod` in",
        "is not a known setting and has no effect",
    ]);
}

#[tokio::test]
async fn flags_win_over_the_user_and_the_user_over_defaults() {
    let lab = lab(&[
        &script::answer("hi"),
        &script::answer("hi"),
        &script::answer("hi"),
    ])
    .await;
    lab.write_home("fast.config.toml", "model = \"of-the-profile\"\n");
    for (args, model) in [
        (&[][..], "gpt-5.5"),
        (&["--profile", "fast"], "of-the-profile"),
        (&["--profile", "fast", "-m", "of-the-flag"], "of-the-flag"),
    ] {
        lab.exec(&[args, &["hello"]].concat()).await.expect_code(0);
        assert_eq!(lab.last_request()["model"], model, "{args:?}");
    }
}

#[tokio::test]
async fn a_project_is_read_only_where_it_is_trusted() {
    let lab = lab(&[&script::answer("hi"), &script::answer("hi")]).await;
    lab.init_git();
    lab.write(".codex/config.toml", "model_reasoning_effort = \"low\"\n");
    let ran = lab.run(&["exec", "--json", "hello"]).await.expect_code(0);
    assert_ne!(lab.last_request()["reasoning"]["effort"], "low");
    let complaints = ran.complaints().join("\n");
    assert!(
        complaints.contains(".codex") && complaints.contains("trust"),
        "{complaints}"
    );
    lab.run(&["exec", "--trust", "hello"]).await.expect_code(0);
    assert_eq!(lab.last_request()["reasoning"]["effort"], "low");
}

#[tokio::test]
async fn a_trusted_project_can_neither_redirect_requests_nor_widen_grants() {
    let lab = lab(&[&script::answer("hi")]).await;
    let other = Lab::new(DOVETAIL, &script::answer("stolen")).await;
    lab.init_git();
    let url = other.server().base_url();
    lab.write(
        ".codex/config.toml",
        format!("openai_base_url = \"{url}\"\n[model_providers.rehearsal]\nname = \"x\"\nbase_url = \"{url}\"\nenv_key = \"REHEARSAL_KEY\"\n"),
    );
    lab.run(&["exec", "--trust", "hello"]).await.expect_code(0);
    assert!(
        other.requests().is_empty(),
        "a project's file moved the key to another address"
    );
    assert_eq!(lab.requests().len(), 1);
}

#[tokio::test]
async fn what_is_in_force_can_be_shown_without_secrets() {
    let lab = lab(&[&script::answer("hi")]).await;
    lab.write_config(&lab.provider_config("experimental_bearer_token = \"sk-very-secret\"\nhttp_headers = { X-Key = \"sk-very-secret\" }"));
    let text = lab
        .run(&["config", "show", "--origin"])
        .await
        .expect_code(0)
        .stdout;
    assert!(
        text.contains("model = \"gpt-5.5\"") && text.contains("config.toml:1"),
        "{text}"
    );
    let json = lab.run(&["config", "show", "--json"]).await.expect_code(0);
    assert_eq!(json.json()["model"], json!("gpt-5.5"));
    let bare = lab.run(&["config", "show"]).await.expect_code(0).stdout;
    for shown in [text, json.stdout, bare] {
        assert!(!shown.contains("sk-very-secret"), "{shown}");
    }
}

#[tokio::test]
async fn doctor_looks_at_everything_and_names_the_way_out() {
    let lab = lab(&[&script::answer("hi")]).await;
    let ran = lab.run(&["doctor"]).await;
    for part in ["home", "sandbox", "plugins", "provider"] {
        assert!(
            ran.stdout.contains(part),
            "`{part}` is missing in:\n{}{}",
            ran.stdout,
            ran.stderr
        );
    }
    assert!(!ran.stdout.contains("test-key"));
    lab.write_config("model = \n");
    let ran = lab.run(&["doctor"]).await;
    assert_ne!(ran.code, Some(0));
    assert!(
        ran.stdout.contains("config.toml") || ran.stderr.contains("config.toml"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
}

#[tokio::test]
async fn a_value_is_explained_with_everything_it_overrode() {
    let lab = lab(&[&script::answer("hi")]).await;
    lab.init_git();
    lab.write(".codex/config.toml", "model = \"of-the-project\"\n");
    let project = lab.project().display().to_string();
    lab.add_config(&format!(
        "[projects.\"{project}\"]\ntrust_level = \"trusted\""
    ));
    lab.write_home("managed_config.toml", "model_verbosity = \"low\"\n");
    let explain = [
        "config",
        "explain",
        "--json",
        "model",
        "-c",
        "model=of-the-flag",
    ];
    let json = lab.run(&explain).await.expect_code(0).json();
    let home = lab.home().display().to_string();
    assert_eq!(
        json,
        json!([{
            "key": "model",
            "value": "of-the-flag",
            "origin": {"layer": "command line", "flag": "-c model"},
            "overrode": [
                {"value": "of-the-project", "origin": {"layer": "project", "file": format!("{project}/.codex/config.toml"), "line": 1}},
                {"value": "gpt-5.5", "origin": {"layer": "user", "file": format!("{home}/config.toml"), "line": 1}},
            ],
            "supported": true,
            "reason": null,
            "meaning": "The model.",
        }])
    );
    let text = lab
        .run(&[
            "config",
            "explain",
            "model_verbosity",
            "-c",
            "model_verbosity=high",
        ])
        .await
        .expect_code(0)
        .stdout;
    assert_eq!(
        text,
        format!(
            "model_verbosity = \"low\"\n  from      managed: {home}/managed_config.toml:1\n  overrode  \"high\"  command line: -c model_verbosity\n  meaning   How wordy answers are, for models that support it.\n"
        )
    );
    let all = lab.run(&["config", "explain"]).await.expect_code(0).stdout;
    assert!(
        all.contains(
            "history.persistence = \"save-all\"\n  from      default\n  not supported yet: "
        ),
        "{all}"
    );
    lab.run(&["config", "explain", "modle"])
        .await
        .expect_code(1)
        .expect_errors(&["`modle` is not a known setting", "did you mean `model`?"]);
}

#[tokio::test]
async fn the_schema_is_printed_as_published() {
    let lab = Lab::bare(DOVETAIL);
    let printed = lab.run(&["config", "schema"]).await.expect_code(0).stdout;
    let published = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.schema.json");
    assert!(printed == std::fs::read_to_string(published).unwrap());
}

#[tokio::test]
async fn profiles_of_old_are_refused_with_the_way_out() {
    for (config, args) in [
        ("profile = \"x\"", &["hello"][..]),
        ("[profiles.x]\nmodel = \"y\"", &["--profile", "x", "hello"]),
    ] {
        let lab = Lab::bare(DOVETAIL);
        lab.write_config(config);
        lab.exec(args).await.expect_code(1).expect_errors(&[
            "is no longer supported",
            "config.toml` line 1",
            "move the profile's settings to `$CODEX_HOME/<name>.config.toml` and pass `--profile <name>`",
        ]);
    }
}

#[tokio::test]
async fn instructions_come_from_where_the_configuration_says() {
    let lab = lab(&[
        &script::answer("hi"),
        &script::answer("hi"),
        &script::answer("hi"),
    ])
    .await;
    let base = |lab: &Lab| lab.last_request()["input"][0]["content"][0]["text"].clone();
    lab.write_home("base.md", "From a file.\n");
    lab.exec(&["-c", "instructions=From a key.", "hello"])
        .await
        .expect_code(0);
    assert_eq!(base(&lab), "From a key.");
    lab.write_config(&format!(
        "model_instructions_file = \"base.md\"\ninstructions = \"no\"\ndeveloper_instructions = \"Mind the gap.\"\n{}",
        lab.provider_config("")
    ));
    lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(base(&lab), "From a file.\n");
    let developer = lab.last_request()["input"][1].to_string();
    assert!(
        developer.contains("<developer_instructions>\\nMind the gap.\\n</developer_instructions>"),
        "{developer}"
    );
    lab.exec(&[
        "resume",
        "--last",
        "-c",
        "model_instructions_file=/nowhere",
        "go on",
    ])
    .await
    .expect_code(1)
    .expect_errors(&[
        "cannot use the instructions `/nowhere`",
        "hint: `model_instructions_file`",
    ]);
    assert_eq!(lab.requests().len(), 2);
}

#[tokio::test]
async fn commands_get_the_environment_that_the_configuration_allows() {
    let call = script::command("c", "echo \"[$KEPT][$DROPPED_X][$ADDED][$MY_TOKEN]\"");
    let mut lab = lab(&[&call, &script::answer("ok"), &call, &script::answer("ok")]).await;
    for name in ["KEPT", "DROPPED_X", "MY_TOKEN"] {
        lab.set_env(name, "yes");
    }
    lab.exec(&["hello"]).await.expect_code(0);
    assert!(
        lab.output_of("c").ends_with("[yes][yes][][yes]\n"),
        "{}",
        lab.output_of("c")
    );
    lab.add_config("[shell_environment_policy]\nignore_default_excludes = false\nexclude = [\"DROPPED_*\"]\nset = { ADDED = \"new\" }");
    lab.exec(&["hello"]).await.expect_code(0);
    assert!(
        lab.output_of("c").ends_with("[yes][][new][]\n"),
        "{}",
        lab.output_of("c")
    );
}

#[tokio::test]
async fn documents_are_collected_as_the_configuration_says() {
    let lab = lab(&[&script::answer("hi"), &script::answer("hi")]).await;
    lab.write("CLAUDE.md", "abcdefgh");
    lab.write("MARKER", "");
    lab.write("inner/AGENTS.md", "in the middle");
    let settings =
        "project_doc_fallback_filenames = [\"CLAUDE.md\"]\nproject_root_markers = [\"MARKER\"]";
    lab.write_config(&format!("{settings}\n{}", lab.provider_config("")));
    lab.exec(&["-C", "inner", "hello"]).await.expect_code(0);
    let input = lab.last_request()["input"].to_string();
    assert!(input.contains("abcdefgh\\n\\nin the middle"), "{input}");
    let ran = lab
        .exec_json(
            &["-C", "inner", "-c", "project_doc_max_bytes=4", "hello"],
            0,
        )
        .await;
    let input = lab.last_request()["input"].to_string();
    assert!(input.contains("abcd\\n</INSTRUCTIONS>"), "{input}");
    assert!(
        ran.complaints()[0].contains("only 4 bytes of it fit"),
        "{:?}",
        ran.complaints()
    );
}

#[tokio::test]
async fn reasoning_is_shown_as_much_as_the_configuration_says() {
    let item = r#"{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"**A title**"}],"content":[{"type":"reasoning_text","text":"the whole thought"}]}"#;
    let turn = format!(
        "[[response]]\nactions = [{{ item = {} }}, {{ text = 'done' }}]\n",
        script::quoted(item)
    );
    let lab = lab(&[&turn, &turn, &turn]).await;
    for (args, title, whole) in [
        (&[][..], true, false),
        (&["-c", "show_raw_agent_reasoning=true"], true, true),
        (&["-c", "hide_agent_reasoning=true"], false, false),
    ] {
        let ran = lab.exec(&[args, &["hello"]].concat()).await.expect_code(0);
        assert_eq!(
            ran.stderr.contains("A title"),
            title,
            "{args:?}: {}",
            ran.stderr
        );
        assert_eq!(
            ran.stderr.contains("the whole thought"),
            whole,
            "{args:?}: {}",
            ran.stderr
        );
    }
}

#[tokio::test]
async fn entries_of_the_configuration_are_added_to_the_metadata() {
    let lab = lab(&[&script::answer("hi")]).await;
    lab.exec(&["-c", "responses_api_metadata.team=core", "hello"])
        .await
        .expect_code(0);
    let blob = lab.last_request()["client_metadata"]["x-codex-turn-metadata"].clone();
    let blob: serde_json::Value = serde_json::from_str(blob.as_str().unwrap()).unwrap();
    assert_eq!(blob["team"], "core");
    lab.exec(&["-c", "responses_api_metadata.turn_id=mine", "hello"])
        .await
        .expect_code(1)
        .expect_errors(&[
            "`responses_api_metadata.turn_id` is a name that requests already use",
            "it was set in `-c responses_api_metadata.turn_id`",
        ]);
}
