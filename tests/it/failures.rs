//! Each row of `docs/failures.md`: what a broken guest does to a turn, and what it does not do. A well plugin works
//! beside the broken one in every test, and the thread goes on afterwards.

use dovetail_tests::{Lab, MISBEHAVER, NOTES, Ran, script};
use serde_json::{Value, json};

use crate::lab;

/// What a guest is ordered to do, and words that must be read of it.
type Row = (&'static str, u64, &'static str);

/// Faults of a guest; each must be told in these words wherever it happens.
const FAULTS: &[Row] = &[
    ("trap", 0, "trapped as ordered"),
    ("exit", 0, "plugin `misbehaver` trapped in"),
    ("spin", 0, "within 400 ms"),
    ("allocate", 0, "passed its limit of 64 MiB of memory"),
    ("recurse", 0, "plugin `misbehaver` trapped in"),
    ("flood-stdout", 0, "plugin `misbehaver` "),
    ("flood-log", 0, "plugin `misbehaver` "),
    ("fail", 0, "failed as ordered"),
];

/// Installs the misbehaver with short deadlines and orders, and a tool server that is well.
async fn order(lab: &Lab, orders: Value) {
    lab.write("notes/style.md", "a comma\n");
    lab.install(&NOTES).await;
    lab.configure(&MISBEHAVER, orders);
    lab.install_with(
        &MISBEHAVER,
        &format!("{}\n[limits]\ndeadline_ms = 400\n", MISBEHAVER.manifest),
    )
    .await;
}

/// A call of the broken tool server and one of the well one.
fn both_tools() -> String {
    script::response(
        "{ tool_call = \"obey\", namespace = \"mcp__misbehaver\", call_id = \"bad\", arguments = {} },\n\
         { tool_call = \"search\", namespace = \"mcp__notes\", call_id = \"good\", arguments = { query = \"comma\" } }",
    )
}

/// The other plugin worked, and the thread can be taken up.
async fn check_rest(lab: &Lab) {
    assert!(
        lab.output_of("good").contains("style.md:1: a comma"),
        "{}",
        lab.output_of("good")
    );
    lab.exec(&["resume", "--last", "go on"])
        .await
        .expect_code(0);
    lab.expect_played();
}

#[tokio::test]
async fn a_broken_tool_server_is_an_error_result_for_the_model() {
    let results: &[Row] = &[
        ("flood-output", 2 << 20, "passed its limit of"),
        ("deny", 0, "denied as ordered"),
        ("reject", 0, "rejected as ordered"),
    ];
    for (behave, amount, words) in FAULTS.iter().chain(results) {
        let lab = lab(&[&both_tools(), &script::answer("ok"), &script::answer("on")]).await;
        order(
            &lab,
            json!({ "behave": behave, "at": "call-tool", "amount": amount }),
        )
        .await;
        let ran = lab.exec_json(&["go"], 0).await;
        let output = lab.output_of("bad");
        assert!(
            output.contains("tool call failed: ") && output.contains(words),
            "{behave}: {output}"
        );
        assert_eq!(
            ran.event_kinds().last().unwrap(),
            "turn.completed",
            "{behave}"
        );
        let item =
            |event: &Value| event["item"]["tool"] == "obey" && event["type"] == "item.completed";
        let item = ran.events().into_iter().find(item).unwrap()["item"].clone();
        assert_eq!(item["status"], "failed", "{behave}: {item}");
        assert!(
            item["error"]["message"].as_str().unwrap().contains(words),
            "{behave}: {item}"
        );
        check_rest(&lab).await;
    }
}

#[tokio::test]
async fn a_tool_server_that_broke_answers_the_next_call() {
    // What it does is ordered for all calls, so the sign of a new instance is that the fault repeats in the same words
    // instead of becoming one of a dead instance.
    let lab = lab(&[
        &both_tools(),
        &both_tools().replace("bad", "bad2").replace("good", "good2"),
        &script::answer("ok"),
    ])
    .await;
    order(&lab, json!({ "behave": "trap", "at": "call-tool" })).await;
    lab.exec(&["go"]).await.expect_code(0);
    assert_eq!(
        lab.normal(&lab.output_of("bad")),
        lab.normal(&lab.output_of("bad2"))
    );
}

#[tokio::test]
async fn a_tool_server_that_cannot_list_its_tools_is_left_out_with_a_warning() {
    for (behave, words) in [
        ("trap", "trapped as ordered"),
        ("fail", "failed as ordered"),
    ] {
        let lab = lab(&[&both_tools(), &script::answer("ok"), &script::answer("on")]).await;
        order(&lab, json!({ "behave": behave, "at": "list-tools" })).await;
        let ran = lab.exec_json(&["go"], 0).await;
        let complaints = ran.complaints().join("\n");
        assert!(
            complaints.contains("misbehaver") && complaints.contains(words),
            "{behave}: {complaints}"
        );
        assert_eq!(lab.output_of("bad"), "unsupported call: obey");
        check_rest(&lab).await;
    }
}

#[tokio::test]
async fn three_faults_put_a_plugin_into_quarantine() {
    let calls = |number: u32| {
        both_tools()
            .replace("bad", &format!("bad{number}"))
            .replace("good", &format!("good{number}"))
    };
    let lab = lab(&[
        &calls(1),
        &calls(2),
        &calls(3),
        &calls(4),
        &script::answer("ok"),
    ])
    .await;
    // As an observer, since in quarantine its gate would close on the other plugin's calls too.
    order(
        &lab,
        json!({ "behave": "trap", "at": "call-tool", "observer": true }),
    )
    .await;
    lab.exec(&["go"]).await.expect_code(0);
    for number in 1..=3 {
        let output = lab.output_of(&format!("bad{number}"));
        assert!(output.contains("trapped as ordered"), "{output}");
        let good = lab.output_of(&format!("good{number}"));
        assert!(good.contains("a comma"), "{good}");
    }
    let output = lab.output_of("bad4");
    assert!(
        output.contains("plugin `misbehaver` is quarantined after 3 faults"),
        "{output}"
    );
    assert!(lab.output_of("good4").contains("a comma"));
}

/// A command beside a call of a well tool server.
fn command_and_tool() -> String {
    script::response(
        "{ tool_call = \"exec_command\", call_id = \"cmd\", arguments = { cmd = \"touch ran\" } },\n\
         { tool_call = \"search\", namespace = \"mcp__notes\", call_id = \"good\", arguments = { query = \"comma\" } }",
    )
}

async fn with_broken_hook(orders: Value, tool: &str) -> (Lab, Ran) {
    let lab = lab(&[tool, &script::answer("ok"), &script::answer("on")]).await;
    order(&lab, orders).await;
    let ran = lab
        .exec(&["-s", "danger-full-access", "go"])
        .await
        .expect_code(0);
    (lab, ran)
}

#[tokio::test]
async fn a_broken_gate_stays_closed_and_says_why() {
    let results: &[Row] = &[(
        "bad-return",
        0,
        "it put in an input that is not a JSON object",
    )];
    for (behave, amount, words) in FAULTS.iter().chain(results) {
        let orders = json!({ "behave": behave, "at": "handle:PreToolUse", "amount": amount });
        let (lab, ran) = with_broken_hook(orders, &script::command("cmd", "touch ran")).await;
        let output = lab.output_of("cmd");
        assert!(
            output.contains("blocked by PreToolUse hook") && output.contains(words),
            "{behave}: {output}"
        );
        assert!(output.contains("misbehaver"), "{behave}: {output}");
        assert!(
            !lab.project().join("ran").exists(),
            "{behave}: the command ran"
        );
        ran.expect_errors(&["deny", "touch ran", "hook `misbehaver`"]);
        lab.exec(&["resume", "--last", "go on"])
            .await
            .expect_code(0);
        lab.expect_played();
    }
}

#[tokio::test]
async fn a_broken_gate_for_prompts_sends_nothing() {
    let lab = lab(&[&script::answer("ok")]).await;
    order(
        &lab,
        json!({ "behave": "trap", "at": "handle:UserPromptSubmit" }),
    )
    .await;
    let ran = lab.exec_json(&["go"], 0).await;
    let complaints = ran.complaints().join("\n");
    assert!(
        complaints.contains("a hook stopped the prompt")
            && complaints.contains("trapped as ordered"),
        "{complaints}"
    );
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn a_broken_observer_is_reported_and_passed_over() {
    for (behave, amount, words) in FAULTS {
        let orders = json!({ "behave": behave, "at": "handle:PreToolUse", "amount": amount, "observer": true });
        let (lab, ran) = with_broken_hook(orders, &command_and_tool()).await;
        assert!(
            lab.project().join("ran").exists(),
            "{behave}: {}",
            lab.output_of("cmd")
        );
        ran.expect_errors(&["hook `misbehaver` failed and was passed over", words]);
        check_rest(&lab).await;
    }
}

#[tokio::test]
async fn a_gate_that_was_granted_to_fail_open_does() {
    let lab = lab(&[&script::command("cmd", "touch ran"), &script::answer("ok")]).await;
    lab.configure(
        &MISBEHAVER,
        json!({ "behave": "trap", "at": "handle:PreToolUse" }),
    );
    let manifest = MISBEHAVER
        .manifest
        .replace("[request]", "on_error = \"allow\"\n[request]");
    lab.install_with(&MISBEHAVER, &manifest).await;
    let ran = lab
        .exec(&["-s", "danger-full-access", "go"])
        .await
        .expect_code(0);
    assert!(
        lab.project().join("ran").exists(),
        "{}",
        lab.output_of("cmd")
    );
    ran.expect_errors(&["hook `misbehaver` failed and was passed over"]);
}

#[tokio::test]
async fn a_gate_in_quarantine_stays_closed() {
    let command = |number: u32| script::command(&format!("c{number}"), "touch ran");
    let lab = lab(&[
        &command(1),
        &command(2),
        &command(3),
        &command(4),
        &script::answer("ok"),
    ])
    .await;
    order(&lab, json!({ "behave": "trap", "at": "handle:PreToolUse" })).await;
    lab.exec(&["-s", "danger-full-access", "go"])
        .await
        .expect_code(0);
    let output = lab.output_of("c4");
    assert!(
        output.contains("blocked by PreToolUse hook")
            && output.contains("quarantined after 3 faults"),
        "{output}"
    );
    assert!(!lab.project().join("ran").exists());
}

/// The misbehaver as provider, with short deadlines.
async fn provider(responses: &[&str], orders: Value) -> Lab {
    let lab = lab(responses).await;
    let url = lab.server().base_url();
    lab.write_config(&format!(
        "model = \"gpt-5.5\"\nmodel_provider = \"misbehaver\"\n[model_providers.misbehaver]\nbase_url = \"{url}\"\n\
         request_max_retries = 1\nstream_max_retries = 1\n"
    ));
    lab.configure(&MISBEHAVER, orders);
    let origin = url.strip_suffix("/v1").unwrap();
    let manifest = MISBEHAVER
        .manifest
        .replace("https://granted.example", origin);
    lab.install_with(
        &MISBEHAVER,
        &format!("{manifest}\n[limits]\ndeadline_ms = 400\n"),
    )
    .await;
    lab
}

#[tokio::test]
async fn a_broken_provider_fails_the_turn_in_its_own_words_and_nothing_is_sent() {
    let results: &[Row] = &[
        ("bad-return", 0, "misbehaver"),
        ("flood-output", 2 << 20, "passed its limit of"),
        ("deny", 0, "denied as ordered"),
        ("reject", 0, "rejected as ordered"),
    ];
    for (behave, amount, words) in FAULTS.iter().chain(results) {
        let lab = provider(
            &[&script::answer("hi")],
            json!({ "behave": behave, "at": "prepare", "amount": amount }),
        )
        .await;
        let ran = lab.exec_json(&["go"], 1).await;
        assert!(ran.failure().contains(words), "{behave}: {}", ran.failure());
        assert!(lab.requests().is_empty(), "{behave}: a request went out");
        // Well again, the thread goes on.
        let config = std::fs::read_to_string(lab.home().join("config.toml")).unwrap();
        lab.write_config(&config.replace(&format!("\"{behave}\""), "\"well\""));
        lab.exec(&["resume", "--last", "go on"])
            .await
            .expect_code(0);
        lab.expect_played();
    }
}

#[tokio::test]
async fn a_provider_that_asks_to_be_asked_again_is() {
    let lab = provider(
        &[&script::answer("hi")],
        json!({ "behave": "retry", "at": "prepare", "amount": 10 }),
    )
    .await;
    let ran = lab.exec_json(&["go"], 1).await;
    assert!(
        ran.complaints()[0].starts_with("Reconnecting... 1/1 ("),
        "{:?}",
        ran.complaints()
    );
    assert!(
        ran.failure().contains("asked again as ordered"),
        "{}",
        ran.failure()
    );
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn a_provider_that_cannot_sign_sends_nothing() {
    for (behave, words) in [
        ("trap", "trapped as ordered"),
        ("fail", "failed as ordered"),
        ("bad-return", "misbehaver"),
    ] {
        let lab = provider(
            &[&script::answer("hi")],
            json!({ "behave": behave, "at": "authorize" }),
        )
        .await;
        let ran = lab.exec_json(&["go"], 1).await;
        assert!(ran.failure().contains(words), "{behave}: {}", ran.failure());
        assert!(
            lab.requests().is_empty(),
            "{behave}: a request went out unsigned"
        );
    }
}

#[tokio::test]
async fn a_provider_that_cannot_explain_a_failure_does_not_hide_it() {
    let lab = provider(
        &[
            &script::status(400, "the model's words"),
            &script::answer("on"),
        ],
        json!({ "behave": "trap", "at": "classify" }),
    )
    .await;
    let ran = lab.exec_json(&["go"], 1).await;
    assert_eq!(ran.failure(), "the model's words");
}

#[tokio::test]
async fn a_provider_that_refuses_its_table_ends_the_command() {
    let lab = provider(
        &[&script::answer("hi")],
        json!({ "behave": "fail", "at": "configure" }),
    )
    .await;
    lab.exec(&["go"])
        .await
        .expect_code(1)
        .expect_errors(&["error: ", "failed as ordered"]);
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn beyond_its_grant_a_plugin_gets_a_refusal_that_names_what_to_grant() {
    for (behave, target, amount, words) in [
        ("http", "https://elsewhere.example/", 0, "elsewhere.example"),
        ("http", "http://127.0.0.1:1/", 0, "127.0.0.1:1"),
        ("process", "id", 0, "id"),
        ("secret", "other-slot", 0, "other-slot"),
        ("kv", "", 4096, "1024"),
        ("read-file", "/etc/passwd", 0, "tool call failed"),
        (
            "write-file",
            "/tmp/dovetail-must-not-be-there",
            0,
            "tool call failed",
        ),
        ("env", "HOME", 0, "not visible"),
    ] {
        let lab = lab(&[&both_tools(), &script::answer("ok"), &script::answer("on")]).await;
        order(
            &lab,
            json!({ "behave": behave, "at": "call-tool", "target": target, "amount": amount }),
        )
        .await;
        lab.exec(&["go"]).await.expect_code(0);
        let output = lab.output_of("bad");
        assert!(output.contains(words), "{behave} {target}: {output}");
        assert!(
            !output.contains("root:") && !output.contains("status 2"),
            "{behave} {target}: {output}"
        );
        if matches!(behave, "http" | "process") {
            assert!(
                output.contains("denied") && output.contains("grant"),
                "{behave} {target}: {output}"
            );
        }
        check_rest(&lab).await;
    }
    assert!(!std::path::Path::new("/tmp/dovetail-must-not-be-there").exists());
}

#[tokio::test]
async fn within_its_grant_it_works() {
    for (behave, target, amount, words) in [
        ("process", "true", 0, "Some(0)"),
        ("secret", "granted-slot", 0, "exists: true"),
        ("kv", "", 1000, "kept 1000 bytes"),
        ("env", "GRANTED_VARIABLE", 0, "the value"),
    ] {
        let mut lab = lab(&[&both_tools(), &script::answer("ok"), &script::answer("on")]).await;
        lab.set_env("GRANTED_VARIABLE", "the value");
        lab.set_env("GRANTED_SLOT", "a secret");
        order(
            &lab,
            json!({ "behave": behave, "at": "call-tool", "target": target, "amount": amount }),
        )
        .await;
        lab.exec(&["go"]).await.expect_code(0);
        let output = lab.output_of("bad");
        assert!(output.contains(words), "{behave} {target}: {output}");
        check_rest(&lab).await;
    }
}
