//! The examples, dropped into the plugins directory as a user would, with and without a grant.

use dovetail_tests::{ACME, COUNTER, Guest, Lab, MISBEHAVER, NO_RM, NOTES, REWRITE, script};
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::{DOVETAIL, lab};

/// A lab in which the plugin `acme` serves the model. Nothing is granted yet.
async fn acme(script: &str) -> Lab {
    let mut lab = Lab::bare(DOVETAIL);
    lab.play(script).await;
    let url = lab.server().base_url();
    lab.write_config(&format!(
        "model = \"acme-1\"\nmodel_provider = \"acme\"\n[model_providers.acme]\nbase_url = \"{url}\"\n"
    ));
    let origin = url.strip_suffix("/v1").unwrap();
    lab.drop_in_with(
        &ACME,
        &ACME.manifest.replace("https://llm.acme.example", origin),
    );
    lab.set_env("ACME_TOKEN", "acme-secret");
    lab
}

#[tokio::test]
async fn a_provider_plugin_serves_a_turn_with_its_own_headers() {
    let lab = acme(
        "[[response]]\nexpect = [\n{ header = \"x-acme-key\", equals = \"acme-secret\" },\n\
         { header = \"x-acme-signature\", matches = \"^v1;POST;[0-9a-f]{64}$\" },\n\
         { header = \"authorization\", absent = true } ]\nactions = [{ text = \"from acme\" }]\n",
    )
    .await;
    lab.grant(&ACME).await;
    let ran = lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(ran.stdout, "from acme\n");
    lab.expect_played();
    let request = &lab.requests()[0];
    let digest: String = sha2::Sha256::digest(&request.body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        request.header("x-acme-signature"),
        Some(format!("v1;POST;{digest}").as_str()),
        "the bytes that were sent"
    );
}

#[tokio::test]
async fn a_provider_without_a_grant_is_refused_with_the_command_to_grant_it() {
    let lab = acme(&script::answer("hi")).await;
    let ran = lab.exec(&["hello"]).await.expect_code(1);
    ran.expect_errors(&[
        "plugin `acme` is installed but nobody has granted it",
        "acme-token",
        "dovetail plugin grant acme",
    ]);
    assert!(lab.requests().is_empty(), "no other plugin takes its place");
}

#[tokio::test]
async fn a_provider_whose_secret_is_missing_fails_before_anything_is_sent() {
    let mut lab = acme(&script::answer("hi")).await;
    lab.grant(&ACME).await;
    lab.remove_env("ACME_TOKEN");
    let ran = lab.exec_json(&["hello"], 1).await;
    assert!(ran.failure().contains("ACME_TOKEN"), "{}", ran.failure());
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn a_provider_reaches_granted_origins_only() {
    let lab = acme(&script::answer("hi")).await;
    // What it may reach is not where its table points to.
    lab.install(&ACME).await;
    let ran = lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure().contains("acme") && ran.failure().contains("127.0.0.1"),
        "{}",
        ran.failure()
    );
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn a_hook_without_a_grant_stops_a_headless_run() {
    for guest in [&NO_RM, &REWRITE] {
        let lab = lab(&[&script::answer("hi")]).await;
        lab.drop_in(guest);
        let ran = lab.exec(&["hello"]).await.expect_code(3);
        let (sentence, hint) = (
            format!("plugin `{}` is installed but nobody", guest.id),
            format!("dovetail plugin grant {}", guest.id),
        );
        ran.expect_errors(&[&sentence, &hint]);
        assert!(lab.requests().is_empty());
    }
}

#[tokio::test]
async fn a_hook_denies_a_command_and_the_model_reads_why() {
    let lab = lab(&[
        &script::command("c", "touch ran; rm -rf build"),
        &script::answer("ok"),
    ])
    .await;
    lab.install(&NO_RM).await;
    let ran = lab
        .exec(&["-s", "danger-full-access", "clean up"])
        .await
        .expect_code(0);
    assert_eq!(
        lab.output_of("c"),
        "Command blocked by PreToolUse hook: destructive commands need a person. Command: touch ran; rm -rf build"
    );
    assert!(
        !lab.project().join("ran").exists(),
        "the command did not run"
    );
    ran.expect_errors(&[
        "deny",
        "rm -rf build",
        "hook `no-rm`",
        "destructive commands need a person",
    ]);
}

#[tokio::test]
async fn a_hook_sees_every_command_of_a_batch() {
    let batch = script::response(
        "{ tool_call = \"exec_command\", call_id = \"good\", arguments = { cmd = \"echo good\" } },\n\
         { tool_call = \"exec_command\", call_id = \"bad\", arguments = { cmd = \"rm -rf x\" } }",
    );
    let lab = lab(&[&batch, &script::answer("ok")]).await;
    lab.install(&NO_RM).await;
    lab.exec(&["go"]).await.expect_code(0);
    assert!(lab.output_of("good").contains("good\n"));
    assert!(lab.output_of("bad").contains("blocked by PreToolUse hook"));
}

#[tokio::test]
async fn a_hook_rewrites_a_command_before_it_runs() {
    let lab = lab(&[
        &script::command("c", "echo would: git push origin"),
        &script::answer("ok"),
    ])
    .await;
    lab.install(&REWRITE).await;
    let ran = lab.exec(&["push"]).await.expect_code(0);
    assert!(
        lab.output_of("c")
            .contains("would: git push --dry-run origin\n"),
        "{}",
        lab.output_of("c")
    );
    ran.expect_errors(&["rewritten by `push-dry-run`", "pushes are rehearsed"]);
}

#[tokio::test]
async fn hooks_judge_what_other_hooks_rewrote() {
    let lab = lab(&[
        &script::command("c", "git push && rm -rf x"),
        &script::answer("ok"),
    ])
    .await;
    lab.install(&NO_RM).await;
    lab.install(&REWRITE).await;
    lab.exec(&["push"]).await.expect_code(0);
    assert!(
        lab.output_of("c")
            .contains("destructive commands need a person"),
        "{}",
        lab.output_of("c")
    );
}

fn notes(lab: &Lab) {
    lab.write(
        "notes/style.md",
        "Greetings\nA greeting ends with a comma.\n",
    );
}

/// The texts of a tool server's result.
fn output_parts(lab: &Lab, call_id: &str) -> Vec<String> {
    let parts: Value = serde_json::from_str(&lab.output_of(call_id)).unwrap();
    let parts = parts
        .as_array()
        .unwrap()
        .iter()
        .inspect(|part| assert_eq!(part["type"], "input_text"));
    parts
        .map(|part| lab.normal(part["text"].as_str().unwrap()))
        .collect()
}

/// A response that searches the notes.
fn search(call_id: &str) -> String {
    script::response(&format!(
        "{{ tool_call = \"search\", namespace = \"mcp__notes\", call_id = \"{call_id}\", arguments = {{ query = \"comma\" }} }}"
    ))
}

#[tokio::test]
async fn a_tool_server_is_offered_and_answers() {
    let lab = lab(&[&search("n"), &script::answer("ok")]).await;
    notes(&lab);
    lab.install(&NOTES).await;
    let ran = lab.exec_json(&["look"], 0).await;
    let request = lab.requests()[0].json.clone().unwrap();
    let offered = request["tools"].to_string();
    assert!(
        offered.contains("mcp__notes") && offered.contains("Finds lines in the project's notes"),
        "{offered}"
    );
    assert_eq!(
        output_parts(&lab, "n"),
        [
            "Wall time: <time>\nOutput:",
            "style.md:2: A greeting ends with a comma."
        ]
    );
    let item = ran
        .events()
        .into_iter()
        .find(|event| event["type"] == "item.completed")
        .unwrap()["item"]
        .clone();
    assert_eq!(
        item,
        json!({
            "id": "item_0", "type": "mcp_tool_call", "server": "notes", "tool": "search",
            "arguments": { "query": "comma" },
            "result": {
                "content": [{ "type": "text", "text": "style.md:2: A greeting ends with a comma." }],
                "structured_content": null
            },
            "error": null, "status": "completed"
        })
    );
}

#[tokio::test]
async fn a_tool_server_without_a_grant_is_left_out_with_a_warning() {
    let lab = lab(&[&search("n"), &script::answer("ok")]).await;
    notes(&lab);
    lab.drop_in(&NOTES);
    let ran = lab.exec_json(&["look"], 0).await;
    let complaints = ran.complaints().join("\n");
    assert!(
        complaints.contains("plugin `notes` is installed but nobody has granted it"),
        "{complaints}"
    );
    assert!(
        complaints.contains("dovetail plugin grant notes"),
        "{complaints}"
    );
    assert_eq!(lab.output_of("n"), "unsupported call: search");
}

#[tokio::test]
async fn a_tool_server_sees_only_what_it_was_granted() {
    let lab = lab(&[&search("n"), &script::answer("ok")]).await;
    notes(&lab);
    std::os::unix::fs::symlink(lab.outside(), lab.project().join("notes/way-out")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", lab.project().join("notes/passwd.md")).unwrap();
    lab.install(&NOTES).await;
    lab.exec(&["look"]).await.expect_code(0);
    assert!(
        !lab.output_of("n").contains("root:"),
        "{}",
        lab.output_of("n")
    );
}

/// `[dovetail.plugins.jsonl-sink]`, writing all classes to `events.jsonl` in the project.
fn jsonl_sink(lab: &Lab) -> std::path::PathBuf {
    let path = lab.project().join("events.jsonl");
    lab.add_config(&format!(
        "[dovetail.plugins.jsonl-sink]\nenabled = true\nclasses = [\"content\", \"location\", \"identity\"]\n\
         config = {{ path = \"{}\" }}",
        path.display()
    ));
    path
}

#[tokio::test]
async fn sinks_get_every_event_of_a_turn() {
    let mut lab = lab(&[
        &script::command("c", "echo hi"),
        &search("n"),
        &script::answer("done"),
    ])
    .await;
    lab.set_env("DOVETAIL_LOG", "debug");
    notes(&lab);
    lab.install(&NOTES).await;
    lab.install(&NO_RM).await;
    lab.install(&COUNTER).await;
    let path = jsonl_sink(&lab);
    let ran = lab.exec(&["go"]).await.expect_code(0);
    let events = dovetail_tests::read_lines(&path);
    // A command may begin before or after its response is complete.
    let (requests, kinds): (Vec<&str>, Vec<&str>) = events
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .partition(|kind| *kind == "request.completed");
    assert_eq!(requests.len(), 3);
    assert_eq!(
        kinds,
        [
            "thread.started",
            "turn.started",
            "turn.settings",
            "prompt.submitted",
            "hook.ran",
            "tool.started",
            "tool.finished",
            "tool.called",
            "tool.started",
            "tool.finished",
            "tool.called",
            "message.completed",
            "turn.completed",
        ]
    );
    let sequence: Vec<Value> = events
        .iter()
        .map(|event| event["sequence"].clone())
        .collect();
    assert_eq!(
        sequence,
        (0..events.len())
            .map(|number| json!(number))
            .collect::<Vec<_>>()
    );
    let ids: std::collections::BTreeSet<String> =
        events.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), events.len(), "ids are unique");
    ran.expect_errors(&[&format!("{} events: ", events.len())]);
}

#[tokio::test]
async fn content_reaches_a_sink_only_where_it_was_given() {
    let lab = lab(&[&script::answer("a private answer")]).await;
    let path = lab.project().join("events.jsonl");
    lab.add_config(&format!(
        "[dovetail.plugins.jsonl-sink]\nenabled = true\nconfig = {{ path = \"{}\" }}",
        path.display()
    ));
    lab.exec(&["a private question"]).await.expect_code(0);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("turn.completed"));
    assert!(
        !text.contains("private") && !text.contains(lab.project().to_str().unwrap()),
        "{text}"
    );
}

/// A granted tool server; whatever is then done to it, the turn goes on without it and says why.
async fn check_stopped(change: impl AsyncFn(&Lab), sentence: &str) {
    let lab = lab(&[&search("n"), &script::answer("ok")]).await;
    notes(&lab);
    lab.install(&NOTES).await;
    change(&lab).await;
    let ran = lab.exec_json(&["look"], 0).await;
    let complaints = ran.complaints().join("\n");
    assert!(
        complaints.contains(sentence) && complaints.contains("dovetail plugin grant notes"),
        "{complaints}"
    );
    assert_eq!(lab.output_of("n"), "unsupported call: search");
}

#[tokio::test]
async fn a_changed_component_stops_its_plugin() {
    let change = async |lab: &Lab| {
        std::fs::write(lab.plugin_dir(&NOTES).join("notes.wasm"), NO_RM.wasm).unwrap();
    };
    check_stopped(
        change,
        "plugin `notes` changed since it was granted (sha256 ",
    )
    .await;
}

#[tokio::test]
async fn a_wider_request_stops_its_plugin() {
    let change = async |lab: &Lab| {
        lab.drop_in_with(
            &NOTES,
            &format!("{}net = [\"https://elsewhere.example\"]\n", NOTES.manifest),
        );
    };
    check_stopped(
        change,
        "plugin `notes` now asks for more than was granted: net https://elsewhere.example",
    )
    .await;
}

#[tokio::test]
async fn a_grant_of_somebody_else_is_no_grant() {
    let change = async |lab: &Lab| {
        let other = Lab::bare(DOVETAIL);
        other.install(&NOTES).await;
        std::fs::copy(
            other.home().join("dovetail/plugins.lock"),
            lab.home().join("dovetail/plugins.lock"),
        )
        .unwrap();
    };
    check_stopped(
        change,
        "plugin `notes` has a record in plugins.lock that was not written by your dovetail",
    )
    .await;
}

#[tokio::test]
async fn a_grant_that_was_edited_is_no_grant() {
    let change = async |lab: &Lab| {
        let path = lab.home().join("dovetail/plugins.lock");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("./notes"), "{text}");
        std::fs::write(&path, text.replace("./notes", "/")).unwrap();
    };
    check_stopped(
        change,
        "plugin `notes` has a record in plugins.lock that was not written by your dovetail",
    )
    .await;
}

#[tokio::test]
async fn a_plugin_of_a_project_runs_only_where_the_project_is_trusted() {
    let lab = lab(&[&script::answer("hi")]).await;
    lab.init_git();
    let dir = lab.project().join(".codex/dovetail/plugins").join(NO_RM.id);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("plugin.toml"), NO_RM.manifest).unwrap();
    std::fs::write(dir.join("no-rm.wasm"), NO_RM.wasm).unwrap();
    // In a project that nobody trusts it is not even looked at; in a trusted one it has to be granted.
    let ran = lab.run(&["exec", "--json", "hello"]).await.expect_code(0);
    assert!(
        ran.complaints().iter().any(|words| words.contains("trust")),
        "{:?}",
        ran.complaints()
    );
    lab.run(&["exec", "--trust", "hello"])
        .await
        .expect_code(3)
        .expect_errors(&["plugin `no-rm`", "dovetail plugin grant no-rm"]);
}

#[tokio::test]
async fn strict_refuses_to_run_without_all_plugins() {
    let lab = lab(&[&script::answer("hi")]).await;
    lab.drop_in(&NOTES);
    lab.exec(&["--strict", "hello"])
        .await
        .expect_code(1)
        .expect_errors(&["strict", "plugin `notes`"]);
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn all_kinds_in_one_component_work() {
    let lab = lab(&[
        &script::response("{ tool_call = \"obey\", namespace = \"mcp__misbehaver\", call_id = \"o\", arguments = {} }"),
        &script::answer("ok"),
    ])
    .await;
    let all: &Guest = &MISBEHAVER;
    lab.install(all).await;
    lab.exec(&["go"]).await.expect_code(0);
    assert_eq!(
        output_parts(&lab, "o"),
        ["Wall time: <time>\nOutput:", "well"]
    );
}
