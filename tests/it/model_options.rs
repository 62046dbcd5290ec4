//! What requests ask of the model, at the socket: each option, its default, and where it has no effect.

use dovetail_tests::{Lab, Ran, script};
use serde_json::{Value, json};

use crate::lab;

/// Runs one turn with settings before the provider's table and more arguments, and gives what the server got.
async fn ask(settings: &str, args: &[&str]) -> (Lab, Ran) {
    let lab = lab(&[&script::answer("hi"), &script::answer("again")]).await;
    let config = lab.provider_config("");
    let config = match settings.contains("model = ") {
        true => config.replace("model = \"gpt-5.5\"\n", ""),
        false => config,
    };
    // Tables of the settings go last, so that they do not swallow the provider's keys.
    let tables = settings.find("\n[").map_or(settings.len(), |at| at + 1);
    let (keys, tables) = settings.split_at(tables);
    lab.write_config(&format!("{keys}\n{config}\n{tables}"));
    let ran = lab.exec_json(&[args, &["hello"]].concat(), 0).await;
    (lab, ran)
}

/// The options of a request.
fn options(lab: &Lab) -> Value {
    let request = lab.last_request();
    let search = request["tools"].as_array().and_then(|tools| {
        tools
            .iter()
            .find(|tool| tool["type"] == "web_search")
            .map(|tool| tool["external_web_access"].clone())
    });
    json!({
        "reasoning": request["reasoning"],
        "text": request["text"],
        "tier": request["service_tier"],
        "search": search,
    })
}

#[track_caller]
fn check_options(lab: &Lab, expected: Value) {
    let mut whole = json!({
        "reasoning": {"effort": "medium"}, "text": {"verbosity": "low"}, "tier": null, "search": false,
    });
    for (key, value) in expected.as_object().unwrap() {
        whole[key] = value.clone();
    }
    assert_eq!(options(lab), whole);
}

#[tokio::test]
async fn what_is_not_set_is_the_models_default() {
    let (lab, ran) = ask("", &[]).await;
    check_options(&lab, json!({}));
    assert_eq!(ran.complaints(), Vec::<String>::new());
    let (lab, _) = ask("model = \"team/gpt-5.5-2026-01-01\"", &[]).await;
    check_options(&lab, json!({}));
}

#[tokio::test]
async fn effort_is_passed_on_as_it_is() {
    for effort in ["weird", "none", "xhigh"] {
        let (lab, _) = ask(&format!("model_reasoning_effort = \"{effort}\""), &[]).await;
        check_options(&lab, json!({"reasoning": {"effort": effort}}));
        let blob = lab.last_request()["client_metadata"]["x-codex-turn-metadata"].clone();
        let blob: Value = serde_json::from_str(blob.as_str().unwrap()).unwrap();
        assert_eq!(blob["reasoning_effort"], effort);
    }
}

#[tokio::test]
async fn a_summary_is_asked_for_unless_it_is_none() {
    let (lab, _) = ask("model_reasoning_summary = \"detailed\"", &[]).await;
    check_options(
        &lab,
        json!({"reasoning": {"effort": "medium", "summary": "detailed"}}),
    );
    let (lab, _) = ask(
        "model_reasoning_summary = \"none\"\nmodel = \"mystery\"",
        &[],
    )
    .await;
    assert_eq!(lab.last_request()["reasoning"], json!({}));
    let (lab, _) = ask("model = \"mystery\"", &[]).await;
    assert_eq!(lab.last_request()["reasoning"], json!({"summary": "auto"}));
}

#[tokio::test]
async fn a_model_without_summaries_is_not_asked_to_reason() {
    let settings = "model = \"mystery\"\nmodel_supports_reasoning_summaries = false";
    let (lab, _) = ask(settings, &[]).await;
    let request = lab.last_request();
    assert_eq!(
        (&request["reasoning"], &request["include"]),
        (&Value::Null, &Value::Null)
    );
    let (lab, ran) = ask(
        &format!(
            "{settings}\nmodel_reasoning_effort = \"low\"\nmodel_reasoning_summary = \"auto\""
        ),
        &[],
    )
    .await;
    assert_eq!(lab.last_request()["reasoning"], json!({"effort": "low"}));
    assert!(
        ran.complaints().iter().any(|warning| warning
            == "`model_reasoning_summary` has no effect: the model `mystery` does not support reasoning summaries"),
        "{:?}",
        ran.complaints()
    );
}

#[tokio::test]
async fn verbosity_goes_only_to_models_that_support_it() {
    let (lab, _) = ask("model_verbosity = \"high\"", &[]).await;
    check_options(&lab, json!({"text": {"verbosity": "high"}}));
    let (lab, ran) = ask("model_verbosity = \"high\"\nmodel = \"mystery\"", &[]).await;
    assert_eq!(lab.last_request()["text"], Value::Null);
    assert_eq!(
        ran.complaints()[1],
        "`model_verbosity` has no effect: the model `mystery` does not support verbosity"
    );
}

#[tokio::test]
async fn an_unknown_model_works_with_a_warning_and_a_described_one_without() {
    let (lab, ran) = ask("model = \"mystery\"", &[]).await;
    assert_eq!(lab.last_request()["model"], "mystery");
    assert_eq!(
        ran.complaints(),
        [
            "Model metadata for `mystery` not found. Defaulting to fallback metadata; this can degrade performance and cause issues."
        ]
    );
    let described = "model = \"mystery\"\n[dovetail.models.mystery]\nsupport_verbosity = true\ndefault_verbosity = \"medium\"\ndefault_reasoning_level = \"max\"\nsupports_parallel_tool_calls = false";
    let (lab, ran) = ask(described, &[]).await;
    assert_eq!(ran.complaints(), Vec::<String>::new());
    check_options(
        &lab,
        json!({"text": {"verbosity": "medium"}, "reasoning": {"effort": "max", "summary": "auto"}}),
    );
    assert_eq!(lab.last_request()["parallel_tool_calls"], false);
}

#[tokio::test]
async fn service_tiers_have_the_services_names() {
    for (tier, wire) in [
        ("fast", json!("priority")),
        ("flex", json!("flex")),
        ("default", Value::Null),
    ] {
        let (lab, _) = ask(&format!("service_tier = \"{tier}\""), &[]).await;
        check_options(&lab, json!({"tier": wire}));
    }
    let (lab, ran) = ask("service_tier = \"ultrafast\"", &[]).await;
    check_options(&lab, json!({}));
    let warning = ran.complaints().join("\n");
    assert!(
        warning.contains("`ultrafast`") && warning.contains("does not have it"),
        "{warning}"
    );
    let (lab, ran) = ask("model = \"acme-1\"\nservice_tier = \"fast\"", &[]).await;
    assert_eq!(options(&lab)["tier"], Value::Null);
    let warning = ran.complaints().join("\n");
    assert!(warning.contains("`acme-1` does not have it"), "{warning}");
    let own = "service_tier = \"slow\"\n[dovetail.models.\"gpt-5.5\"]\nservice_tiers = [{ id = \"slow\", name = \"Slow\" }]";
    let (lab, _) = ask(own, &[]).await;
    check_options(&lab, json!({"tier": "slow"}));
    let (lab, ran) = ask("service_tier = \"fast\"", &["--disable", "fast_mode"]).await;
    check_options(&lab, json!({}));
    let warning = ran.complaints().join("\n");
    assert!(warning.contains("`fast_mode` is off"), "{warning}");
}

#[tokio::test]
async fn a_thread_keeps_its_service_tier_until_told_otherwise() {
    let lab = lab(&[
        &script::answer("one"),
        &script::answer("two"),
        &script::answer("three"),
        &script::answer("four"),
    ])
    .await;
    let tier = |lab: &Lab| lab.last_request()["service_tier"].clone();
    lab.exec_json(&["-c", "service_tier=fast", "first"], 0)
        .await;
    assert_eq!(tier(&lab), "priority");
    lab.exec_json(&["resume", "--last", "second"], 0).await;
    assert_eq!(tier(&lab), "priority", "a resume goes on as fast as before");
    lab.exec_json(
        &["-c", "service_tier=default", "resume", "--last", "third"],
        0,
    )
    .await;
    assert_eq!(tier(&lab), Value::Null);
    lab.exec_json(&["resume", "--last", "fourth"], 0).await;
    assert_eq!(tier(&lab), Value::Null, "what was taken back stays so");
}

#[tokio::test]
async fn web_search_follows_the_sandbox_unless_it_is_set() {
    for (settings, args, expected) in [
        ("", &["-s", "danger-full-access"][..], json!(true)),
        ("", &["-s", "workspace-write"], json!(false)),
        (
            "web_search = \"cached\"",
            &["-s", "danger-full-access"],
            json!(false),
        ),
        ("web_search = \"live\"", &[], json!(true)),
        ("web_search = \"indexed\"", &[], json!(false)),
        ("web_search = \"disabled\"", &[], Value::Null),
        ("", &["--enable", "web_search_request"], json!(true)),
    ] {
        let (lab, _) = ask(settings, args).await;
        assert_eq!(options(&lab)["search"], expected, "{settings} {args:?}");
    }
}

#[tokio::test]
async fn models_without_images_get_a_note_and_no_image_tool() {
    let lab = lab(&[&script::answer("hi"), &script::answer("hi")]).await;
    lab.write("p.png", crate::exec_input::PNG);
    let table = "[dovetail.models.\"gpt-5.5\"]\ninput_modalities = [\"text\"]";
    for (takes, table) in [(true, ""), (false, table)] {
        lab.write_config(&format!("{}\n{table}", lab.provider_config("")));
        let ran = lab.exec_json(&["-i", "p.png", "look"], 0).await;
        let request = lab.last_request();
        let input = request["input"].to_string();
        assert_eq!(input.contains("data:image/png"), takes);
        assert_eq!(input.contains("this model cannot look at images"), !takes);
        let tools = request["tools"].to_string();
        assert_eq!(tools.contains("\"view_image\""), takes, "{tools}");
        assert_eq!(
            ran.complaints().is_empty(),
            takes,
            "people are told: {:?}",
            ran.complaints()
        );
    }
}

#[tokio::test]
async fn features_decide_which_tools_are_offered() {
    let names = |lab: &Lab| -> Vec<String> {
        let request = lab.last_request();
        let tools = request["tools"].as_array().unwrap().iter();
        tools
            .map(|tool| format!("{} {}", tool["type"], tool["name"]))
            .collect()
    };
    let (lab, _) = ask("", &["--disable", "shell_tool"]).await;
    assert!(!names(&lab).join("\n").contains("exec_command"));
    let (lab, _) = ask("model = \"mystery\"", &["--enable", "apply_patch_freeform"]).await;
    assert!(names(&lab).contains(&"\"custom\" \"apply_patch\"".to_owned()));
}

#[tokio::test]
async fn calls_come_back_with_or_without_the_namespace() {
    let call = |id: &str, namespace: Value| {
        let mut item = json!({
            "type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": "exec_command",
            "arguments": "{\"cmd\": \"echo done\"}",
        });
        if !namespace.is_null() {
            item["namespace"] = namespace;
        }
        format!("{{ item = {} }}", script::quoted(&item.to_string()))
    };
    let calls = format!(
        "[[response]]\nactions = [{}, {}]\n",
        call("a", Value::Null),
        call("b", json!("functions"))
    );
    let lab = lab(&[&calls, &script::answer("ok")]).await;
    lab.write_config(&lab.provider_config("").replace("gpt-5.5", "gpt-6-sol"));
    lab.exec_json(&["go"], 0).await;
    for id in ["a", "b"] {
        let output = lab.output_of(id);
        assert!(output.ends_with("done\n"), "{output}");
    }
    let requests = lab.requests();
    let first_items: Vec<Value> = requests
        .iter()
        .map(|request| request.json.as_ref().unwrap()["input"][0].clone())
        .collect();
    assert_eq!(first_items[0], first_items[1], "caches recognise the tools");
}

#[tokio::test]
async fn options_hold_at_every_level_of_the_command_line() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.exec(&["first"]).await.expect_code(0);
    let line = [
        "-c",
        "model_reasoning_effort=high",
        "--search",
        "-a",
        "never",
        "exec",
        "-c",
        "model_verbosity=high",
        "--skip-git-repo-check",
        "resume",
        "--last",
        "-c",
        "service_tier=flex",
        "second",
    ];
    lab.run(&line).await.expect_code(0);
    let expected = json!({
        "reasoning": {"effort": "high"}, "text": {"verbosity": "high"}, "tier": "flex", "search": true,
    });
    assert_eq!(options(&lab), expected);
}
