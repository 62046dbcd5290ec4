//! What can be seen of plugins: lists, checks, explanations, events, and what other processes did.

use dovetail_tests::{ACME, Lab, MISBEHAVER, NO_RM, NOTES, TOO_GREEDY, script};
use serde_json::{Value, json};

use crate::{DOVETAIL, lab};

async fn listed(lab: &Lab, id: &str) -> Value {
    let list = lab
        .run(&["plugin", "list", "--json"])
        .await
        .expect_code(0)
        .json();
    let plugins = list["plugins"].as_array().unwrap();
    let found = plugins.iter().find(|plugin| plugin["id"] == id);
    found.unwrap_or(&Value::Null).clone()
}

#[tokio::test]
async fn what_a_plugin_did_is_seen_by_another_process() {
    let lab = lab(&[
        &script::command("c", "rm -rf x"),
        &script::answer("ok"),
        &script::answer("ok"),
    ])
    .await;
    lab.install(&NO_RM).await;
    let fresh = listed(&lab, "no-rm").await;
    assert_eq!(
        (&fresh["calls"], &fresh["generation"]),
        (&json!(0), &Value::Null)
    );
    lab.exec(&["go"]).await.expect_code(0);
    let once = listed(&lab, "no-rm").await;
    // What it subscribes to, and the command.
    assert_eq!(
        (&once["calls"], &once["generation"], &once["faults"]),
        (&json!(2), &json!(1), &json!(0))
    );
    assert!(once["p50_us"].as_u64().unwrap() <= once["p95_us"].as_u64().unwrap());
    assert!(once["most_memory_bytes"].as_u64().unwrap() > 0);
    lab.exec(&["again"]).await.expect_code(0);
    assert_eq!(listed(&lab, "no-rm").await["calls"], 3);
    let shown = lab
        .run(&["plugin", "inspect", "no-rm"])
        .await
        .expect_code(0);
    assert!(
        shown.stdout.contains("generation   1\n"),
        "{}",
        shown.stdout
    );
}

#[tokio::test]
async fn quarantine_outlives_the_run_and_ends_by_command() {
    let calls: String = (0..3)
        .map(|n| script::command(&format!("c{n}"), "true"))
        .collect();
    let lab = lab(&[
        &calls,
        &script::answer("ok"),
        &script::command("d", "true"),
        &script::answer("ok"),
        &script::command("e", "true"),
        &script::answer("ok"),
    ])
    .await;
    lab.configure(
        &MISBEHAVER,
        json!({ "behave": "trap", "at": "handle:PreToolUse" }),
    );
    lab.install(&MISBEHAVER).await;
    let ran = lab.exec(&["go"]).await.expect_code(0);
    ran.expect_errors(&[
        "plugin `misbehaver` broke 3 times within a minute and is quarantined",
        "trapped as ordered",
        "its gate is closed",
        "dovetail plugin enable misbehaver",
    ]);
    let plugin = listed(&lab, "misbehaver").await;
    assert_eq!(
        (&plugin["state"], &plugin["faults"]),
        (&json!("quarantined"), &json!(3))
    );
    assert_eq!(plugin["recent_faults"]["quarantined"], true);
    let said = lab
        .run(&["plugin", "explain", "misbehaver", "env", "GRANTED_VARIABLE"])
        .await
        .expect_code(1);
    assert!(said.stdout.contains("it does not run"), "{}", said.stdout);

    let ran = lab.exec(&["go on"]).await.expect_code(0);
    ran.expect_errors(&["plugin `misbehaver` is quarantined after 3 faults in a minute"]);
    assert!(lab.output_of("d").contains("its gate is closed"));

    let enabled = lab
        .run(&["plugin", "enable", "misbehaver"])
        .await
        .expect_code(0);
    assert_eq!(
        enabled.stdout,
        "plugin `misbehaver` is called again: its faults are forgotten\n"
    );
    assert_eq!(listed(&lab, "misbehaver").await["state"], "ready");
    lab.exec(&["go on"]).await.expect_code(0);
    assert!(lab.output_of("e").contains("trapped as ordered"));
}

#[tokio::test]
async fn what_a_guest_writes_to_its_standard_error_is_in_the_log_under_its_id() {
    let mut lab = lab(&[&script::command("c", "true"), &script::answer("ok")]).await;
    lab.set_env("DOVETAIL_LOG", "plugin=warn");
    lab.configure(
        &MISBEHAVER,
        json!({ "behave": "trap", "at": "handle:PreToolUse" }),
    );
    lab.install(&MISBEHAVER).await;
    let ran = lab.exec(&["go"]).await.expect_code(0);
    let logged = |words: &str| {
        let mut lines = ran.stderr.lines();
        lines.any(|line| line.contains("plugin=misbehaver") && line.contains(words))
    };
    assert!(logged("panicked at"), "{}", ran.stderr);
    assert!(logged("trapped as ordered"), "{}", ran.stderr);
}

#[tokio::test]
async fn strict_runs_fail_where_a_plugin_was_denied_something() {
    let call = script::response(
        "{ tool_call = \"obey\", namespace = \"mcp__misbehaver\", call_id = \"c\", arguments = {} }",
    );
    let lab = lab(&[&call, &script::answer("ok"), &call, &script::answer("ok")]).await;
    let orders =
        json!({ "behave": "http", "target": "https://elsewhere.example/", "at": "call-tool" });
    lab.configure(&MISBEHAVER, orders);
    lab.install(&MISBEHAVER).await;
    let words = [
        "plugin `misbehaver` may not connect to `https://elsewhere.example`",
        "hint: dovetail plugin grant misbehaver net https://elsewhere.example",
    ];
    lab.exec(&["go"]).await.expect_code(0).expect_errors(&words);
    let strict = lab.exec(&["--strict", "go"]).await.expect_code(1);
    strict.expect_errors(&[&words[..], &["and `strict` is on"]].concat());
}

#[tokio::test]
async fn sinks_are_told_what_happens_to_plugins() {
    let calls: String = (0..3)
        .map(|n| script::command(&format!("c{n}"), "true"))
        .collect();
    let lab = lab(&[&calls, &script::answer("ok")]).await;
    let path = super::sinks::jsonl_sink(&lab);
    lab.configure(
        &MISBEHAVER,
        json!({ "behave": "trap", "at": "handle:PreToolUse" }),
    );
    lab.install(&MISBEHAVER).await;
    lab.drop_in(&ACME);
    lab.exec(&["go"]).await.expect_code(0);
    let events: Vec<(String, String)> = dovetail_tests::read_lines(&path)
        .iter()
        .filter(|event| event["kind"].as_str().unwrap().starts_with("plugin."))
        .map(|event| {
            let text = event.to_string();
            let known = ["misbehaver", "acme", "jsonl-sink", "openai"];
            let plugin = known.iter().find(|id| text.contains(&format!("\"{id}\"")));
            (
                event["kind"].as_str().unwrap().to_owned(),
                (*plugin.unwrap_or(&"")).to_owned(),
            )
        })
        .collect();
    let has = |kind: &str, plugin: &str| {
        let wanted = (kind.to_owned(), plugin.to_owned());
        events.iter().filter(|event| **event == wanted).count()
    };
    assert_eq!(has("plugin.loaded", "misbehaver"), 1, "{events:?}");
    assert_eq!(has("plugin.refused", "acme"), 1, "{events:?}");
    assert_eq!(has("plugin.broke", "misbehaver"), 3, "{events:?}");
    assert_eq!(has("plugin.quarantined", "misbehaver"), 1, "{events:?}");
}

#[tokio::test]
async fn a_file_is_checked_without_being_installed() {
    let lab = Lab::bare(DOVETAIL);
    let wasm = lab.write("notes.wasm", NOTES.wasm);
    let checked = lab
        .run(&["plugin", "check", "notes.wasm"])
        .await
        .expect_code(0);
    for words in [
        "contract     dovetail:plugin@0.1.0, this host speaks 0.1.0\n",
        "exports      tools\n",
        "memory       starts with ",
        "limits       64 MB of memory, 1 MB of output, 60000 ms (tools) a call\n",
        "it needs a plugin.toml with `api = \"^0.1\"`",
    ] {
        assert!(
            checked.stdout.contains(words),
            "{words}: {}",
            checked.stdout
        );
    }
    let value = lab
        .run(&["plugin", "check", "--json", &wasm.display().to_string()])
        .await
        .expect_code(0)
        .json();
    assert_eq!(
        (&value["contract"], &value["bytes"], &value["exports"]),
        (&json!("0.1.0"), &json!(NOTES.wasm.len()), &json!(["tools"]))
    );

    lab.write("greedy/plugin.toml", TOO_GREEDY.manifest);
    lab.write("greedy/too-greedy.wasm", TOO_GREEDY.wasm);
    let refused = lab.run(&["plugin", "check", "greedy"]).await.expect_code(1);
    refused.expect_errors(&["plugin `too-greedy` imports `dovetail:plugin/", "hint: "]);
    lab.write("no.wasm", "no component");
    lab.run(&["plugin", "check", "no.wasm"])
        .await
        .expect_code(1)
        .expect_errors(&["not a WebAssembly component"]);
    let newer = patched(NOTES.wasm, "@0.1.0", "@0.9.0");
    lab.write("newer.wasm", newer);
    lab.run(&["plugin", "check", "newer.wasm"])
        .await
        .expect_code(1)
        .expect_errors(&[
            "was built for `dovetail:plugin@0.9.0`, this host speaks 0.1.0",
            "update dovetail",
        ]);
}

/// The same bytes with other versions of the contract in their names.
fn patched(wasm: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut bytes = wasm.to_vec();
    let marks = [
        "/tools",
        "/hooks",
        "/sink",
        "/provider",
        "/types",
        "/log",
        "/config",
        "/clock",
    ];
    for mark in marks {
        let (from, to) = (
            format!("dovetail:plugin{mark}{from}"),
            format!("dovetail:plugin{mark}{to}"),
        );
        let mut at = 0;
        while let Some(found) = bytes[at..]
            .windows(from.len())
            .position(|window| window == from.as_bytes())
        {
            bytes[at + found..][..to.len()].copy_from_slice(to.as_bytes());
            at += found + to.len();
        }
    }
    bytes
}

#[tokio::test]
async fn an_action_is_explained_by_the_line_that_allows_it() {
    let lab = Lab::bare(DOVETAIL);
    lab.drop_in(&ACME);
    let explain = async |words: &[&str], code: i32| {
        let args = [&["plugin", "explain", "acme"], words].concat();
        lab.run(&args).await.expect_code(code).stdout
    };
    let before = explain(&["net", "https://llm.acme.example/v1"], 1).await;
    assert!(
        before.contains("it does not run: plugin `acme` is installed but nobody"),
        "{before}"
    );
    lab.grant(&ACME).await;
    let line = 1 + ACME
        .manifest
        .lines()
        .position(|line| line.starts_with("net"))
        .unwrap();
    let yes = explain(&["net", "https://llm.acme.example/v1"], 0).await;
    assert!(
        yes.contains(&format!("plugin.toml:{line}  granted  matches"))
            && yes.contains("result: yes (1), it may send a request to https://llm.acme.example\n"),
        "{yes}"
    );
    let no = explain(&["net", "https://evil.example/"], 1).await;
    assert!(
        no.contains("its manifest does not ask to send a request to"),
        "{no}"
    );
    let no = explain(&["process", "rm", "-rf", "/"], 1).await;
    assert!(
        no.contains("its manifest does not ask to run `rm -rf /`"),
        "{no}"
    );
    let secret = explain(&["secret", "acme-token"], 0).await;
    assert!(
        secret.contains("for requests to https://llm.acme.example only"),
        "{secret}"
    );
    let value = lab
        .run(&["plugin", "explain", "--json", "acme", "env", "HOME"])
        .await
        .expect_code(1)
        .json();
    assert_eq!(
        (&value["allowed"], &value["rules"]),
        (&json!(false), &json!([]))
    );
    lab.run(&["plugin", "explain", "acme", "fly"])
        .await
        .expect_code(1)
        .expect_errors(&["`fly` is nothing that a plugin does", "net URL"]);
}
