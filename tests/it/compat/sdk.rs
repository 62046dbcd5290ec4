//! The TypeScript SDK drives the binary, unmodified, through `codexPathOverride`.

use std::path::PathBuf;

use dovetail_tests::{Lab, script};
use serde_json::{Value, json};

use super::installed;
use crate::DOVETAIL;

const PLAY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fixtures/sdk/play.mjs"
);

/// A lab with the SDK, whose server is given to it as `baseUrl`, and no configuration at all.
struct Stage {
    lab: Lab,
    modules: PathBuf,
}

/// None, having said why, where the SDK is not installed.
async fn stage(test: &str, responses: &[&str]) -> Option<Stage> {
    let modules = installed::sdk()
        .map_err(|why| installed::not_run(test, &why))
        .ok()?;
    let mut lab = Lab::bare(DOVETAIL);
    lab.play(&responses.concat()).await;
    Some(Stage { lab, modules })
}

impl Stage {
    /// Options of a thread that runs in the project, with more of them.
    fn thread(&self, more: Value) -> Value {
        let mut options =
            json!({ "workingDirectory": self.lab.project(), "skipGitRepoCheck": true });
        options
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        options
    }

    /// Plays turns and returns what came of each.
    async fn play(&self, turns: Value) -> Vec<Value> {
        let codex = json!({
            "codexPathOverride": DOVETAIL,
            "baseUrl": self.lab.server().base_url(),
            "apiKey": "sk-from-the-sdk",
            "env": self.lab.variables(),
        });
        let told = json!({ "codex": codex, "turns": turns });
        let modules = self.modules.to_str().unwrap();
        let ran = self
            .lab
            .run_other(
                "node",
                &[PLAY],
                &[("DOVETAIL_CODEX_SDK", modules)],
                &told.to_string(),
            )
            .await;
        ran.expect_code(0).events()
    }
}

#[tokio::test]
async fn the_sdk_runs_streams_and_resumes() {
    let answers = ["one", "two", "three"].map(script::answer);
    let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
    let Some(stage) = stage("the_sdk_runs_streams_and_resumes", &answers).await else {
        return;
    };
    let outcomes = stage
        .play(json!([
            { "start": stage.thread(json!({})), "input": "first" },
            { "input": "second", "streamed": true },
            { "resume": stage.thread(json!({})), "input": "third" },
        ]))
        .await;
    stage.lab.expect_played();
    let usage = |turns: u64| {
        json!({ "input_tokens": 100 * turns, "cached_input_tokens": 0, "cache_write_input_tokens": 0,
            "output_tokens": 10 * turns, "reasoning_output_tokens": 0 })
    };
    let said = |text: &str| json!({ "id": "item_0", "type": "agent_message", "text": text });
    let thread = outcomes[0]["thread"].clone();
    assert_eq!(
        outcomes,
        [
            json!({ "thread": thread, "turn": { "items": [said("one")], "finalResponse": "one", "usage": usage(1) } }),
            json!({ "thread": thread, "events": [
                { "type": "thread.started", "thread_id": thread },
                { "type": "turn.started" },
                { "type": "item.completed", "item": said("two") },
                { "type": "turn.completed", "usage": usage(2) },
            ] }),
            json!({ "thread": thread, "turn": { "items": [said("three")], "finalResponse": "three", "usage": usage(3) } }),
        ]
    );
    for request in stage.lab.requests() {
        assert_eq!(
            request.header("authorization"),
            Some("Bearer sk-from-the-sdk")
        );
        assert_eq!(request.header("originator"), Some("codex_sdk_ts"));
        assert_eq!(request.header("thread-id"), thread.as_str());
    }
}

#[tokio::test]
async fn options_of_the_sdk_reach_the_model() {
    let Some(stage) = stage(
        "options_of_the_sdk_reach_the_model",
        &[&script::answer("{\"ok\":true}")],
    )
    .await
    else {
        return;
    };
    let lab = &stage.lab;
    let image = lab.write("dot.png", crate::exec_input::PNG);
    std::fs::create_dir(lab.project().join("sub")).unwrap();
    let schema = json!({ "type": "object", "properties": { "ok": { "type": "boolean" } }, "required": ["ok"], "additionalProperties": false });
    let options = json!({
        "workingDirectory": lab.project().join("sub"), "model": "gpt-5.5", "threadSource": "my_app",
        "sandboxMode": "workspace-write", "additionalDirectories": [lab.outside()], "networkAccessEnabled": true,
        "modelReasoningEffort": "high", "webSearchMode": "live", "approvalPolicy": "never",
    });
    let input = json!([
        { "type": "text", "text": "look at this" }, { "type": "local_image", "path": image }, { "type": "text", "text": "and say" },
    ]);
    let turn = json!({ "start": stage.thread(options), "input": input, "options": { "outputSchema": schema } });
    let outcomes = stage.play(json!([turn])).await;
    assert_eq!(
        outcomes[0]["turn"]["finalResponse"], "{\"ok\":true}",
        "{outcomes:?}"
    );

    let request = &lab.requests()[0];
    let metadata: Value =
        serde_json::from_str(request.header("x-codex-turn-metadata").unwrap()).unwrap();
    assert_eq!(metadata["thread_source"], "my_app");
    assert_eq!(metadata["sandbox_mode"], "workspace-write");
    let body = lab.last_request();
    assert_eq!(body["model"], "gpt-5.5");
    assert_eq!(body["reasoning"]["effort"], "high");
    assert_eq!(
        body["text"]["format"],
        json!({ "type": "json_schema", "strict": true, "schema": schema, "name": "codex_output_schema" })
    );
    let prompt = body["input"].as_array().unwrap().last().unwrap();
    assert_eq!(
        lab.normal_json(&prompt["content"]),
        json!([
            { "type": "input_text", "text": "<image name=[Image #1] path=\"/project/dot.png\">" },
            { "type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC", "detail": "original" },
            { "type": "input_text", "text": "</image>" },
            { "type": "input_text", "text": "look at this\n\nand say" },
        ])
    );
    let input = lab.normal_json(&body["input"]).to_string();
    for part in [
        "<cwd>/project/sub</cwd>",
        "<path>/outside</path>",
        "network may be used",
    ] {
        assert!(input.contains(part), "{part} is missing in {input}");
    }
    assert!(
        body.to_string().contains("\"external_web_access\":true"),
        "{body}"
    );
}

#[tokio::test]
async fn failures_reach_whoever_uses_the_sdk() {
    let responses = [
        script::status(400, "no such model"),
        script::answer("anyway"),
    ];
    let responses: Vec<&str> = responses.iter().map(String::as_str).collect();
    let Some(stage) = stage("failures_reach_whoever_uses_the_sdk", &responses).await else {
        return;
    };
    let outcomes = stage
        .play(json!([
            { "start": { "workingDirectory": stage.lab.project() }, "input": "outside of git" },
            { "start": stage.thread(json!({})), "input": "fail" },
            { "start": stage.thread(json!({})), "input": "hello", "options": { "cyberAccessProgram": "standard" } },
        ]))
        .await;
    let outside = outcomes[0]["error"].as_str().unwrap();
    assert!(
        outside.starts_with("Codex Exec exited with code 1: ")
            && outside.contains(
                "Not inside a trusted directory and --skip-git-repo-check was not specified."
            ),
        "{outside}"
    );
    assert_eq!(outcomes[1]["error"], "no such model");
    // What cannot be had is said, and the turn goes on.
    let turn = &outcomes[2]["turn"];
    assert_eq!(turn["finalResponse"], "anyway");
    assert_eq!(
        turn["items"][0]["message"],
        "the access program `standard` is not asked for: that is not supported yet"
    );
}

#[tokio::test]
async fn an_aborted_turn_ends_and_its_thread_goes_on() {
    let responses = [script::command("c", "sleep 1000"), script::answer("on")];
    let responses: Vec<&str> = responses.iter().map(String::as_str).collect();
    let Some(stage) = stage("an_aborted_turn_ends_and_its_thread_goes_on", &responses).await else {
        return;
    };
    let outcomes = stage
        .play(json!([{ "start": stage.thread(json!({})), "input": "wait", "streamed": true, "abortAt": "item.started" }]))
        .await;
    assert_eq!(outcomes[0]["kind"], "AbortError", "{outcomes:?}");
    // The SDK does not wait for the process, which still has to write down how the turn ended.
    stage.lab.released().await;
    let last = stage.lab.rollout_lines().pop().unwrap();
    assert_eq!(last["payload"]["type"], "turn_aborted");
    let mut lab = stage.lab;
    lab.set_env("CODEX_API_KEY", "k");
    lab.write_config(&format!(
        "openai_base_url = \"{}\"\n",
        lab.server().base_url()
    ));
    lab.exec(&["resume", outcomes[0]["thread"].as_str().unwrap(), "go on"])
        .await
        .expect_code(0);
    assert!(
        lab.output_of("c").contains("aborted by user"),
        "{}",
        lab.output_of("c")
    );
}
