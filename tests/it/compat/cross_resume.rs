//! Threads go back and forth between the two programs: each reads what the other wrote, and sends what the other would.

use std::path::{Path, PathBuf};

use dovetail_tests::{Lab, Ran, changes, script};
use serde_json::{Value, json};

use super::installed;
use crate::DOVETAIL;
use crate::captures::differences;

/// Nothing leaves the machine, and nothing is looked up.
const QUIET: &str = "check_for_update_on_startup = false\n\n[analytics]\nenabled = false\n\n[otel]\nmetrics_exporter = \"none\"\n";

/// Two programs with one home, and one server.
struct Stage {
    lab: Lab,
    theirs: PathBuf,
}

/// None, having said why, where the other program is not installed.
async fn stage(test: &str, responses: &[String]) -> Option<Stage> {
    let theirs = installed::codex()
        .map_err(|why| installed::not_run(test, &why))
        .ok()?;
    let lab = Lab::new(DOVETAIL, &responses.concat()).await;
    let config = lab.named_provider_config("mock", "OpenAI", "");
    let (top, tables) = config.split_once("\n\n").unwrap();
    lab.write_config(&format!("{top}\n{QUIET}\n{tables}"));
    Some(Stage { lab, theirs })
}

impl Stage {
    async fn theirs(&self, args: &[&str]) -> Ran {
        let program = self.theirs.to_str().unwrap();
        let args = [
            &[
                "exec",
                "--skip-git-repo-check",
                "--json",
                "-s",
                "workspace-write",
            ],
            args,
        ]
        .concat();
        self.lab
            .run_other(program, &args, &[], "")
            .await
            .expect_code(0)
    }

    async fn ours(&self, args: &[&str], code: i32) -> Ran {
        self.lab
            .exec_json(&[&["-s", "workspace-write"], args].concat(), code)
            .await
    }

    /// The conversation in the newest request, without the context that each words for itself.
    fn conversation(&self) -> Vec<Value> {
        let request = self.lab.last_request();
        let items = request["input"].as_array().unwrap().iter();
        items
            .filter(|item| !is_context(item))
            .map(without_newest_time)
            .collect()
    }
}

fn is_context(item: &Value) -> bool {
    let text = item["content"][0]["text"].as_str().unwrap_or_default();
    item["role"] == "developer" || text.starts_with("<environment_context>")
}

/// The metadata of the newest prompt holds when it was said, and in which turn.
fn without_newest_time(item: &Value) -> Value {
    let mut item = item.clone();
    if item["content"][0]["text"] == "go on" {
        item["id"] = "<newest>".into();
        item["internal_chat_message_metadata_passthrough"] = json!({ "turn_id": "<newest>" });
    }
    item
}

/// One response with all kinds of items in it.
fn busy_turn() -> [String; 2] {
    let patch = "*** Begin Patch\n*** Add File: made.txt\n+made\n*** End Patch\n";
    let actions = [
        r#"{ item = '{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"**Think**"}],"encrypted_content":"ENC=="}' }"#.to_owned(),
        "{ text = \"I will.\", phase = \"commentary\" }".to_owned(),
        "{ tool_call = \"exec_command\", call_id = \"run\", arguments = { cmd = \"echo ran\" } }".to_owned(),
        format!("{{ custom_call = \"apply_patch\", call_id = \"patch\", input = {} }}", script::quoted(patch)),
        "{ tool_call = \"update_plan\", call_id = \"plan\", arguments = { plan = [{ step = \"one\", status = \"completed\" }] } }".to_owned(),
        r#"{ item = '{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"weather"}}' }"#.to_owned(),
        "{ tool_call = \"no_such_tool\", call_id = \"none\", arguments = {} }".to_owned(),
    ];
    [
        script::response(&actions.join(",\n")),
        script::answer("Done."),
    ]
}

/// Copies a thread's file into the home of another lab, which plays one more answer.
fn copy_threads(from: &Lab, to: &Lab) {
    for file in from.rollouts() {
        let name = file.strip_prefix(from.home()).unwrap();
        to.write_home(name.to_str().unwrap(), std::fs::read(&file).unwrap());
    }
}

/// Both go on with the same file, each in a home of its own, and send the same conversation; so do both forks of it.
async fn check_both_go_on(test: &str, written: &Stage, thread: &str) {
    for how in ["resume", "fork"] {
        check_both(test, written, how, thread).await;
    }
}

/// How often the model was told where it works, as its last request has it.
fn surroundings(lab: &Lab) -> usize {
    let input = lab.last_request()["input"].to_string();
    input.matches("<environment_context>").count()
}

async fn check_both(test: &str, written: &Stage, how: &str, thread: &str) {
    let answer = [script::answer("on")];
    let (Some(here), Some(there)) = (stage(test, &answer).await, stage(test, &answer).await) else {
        return;
    };
    for stage in [&here, &there] {
        copy_threads(&written.lab, &stage.lab);
    }
    // The file names the directory it was written in.
    let cwd = written.lab.project();
    let cwd = cwd.to_str().unwrap();
    here.ours(&["-C", cwd, how, thread, "go on"], 0).await;
    there.theirs(&["-C", cwd, how, thread, "go on"]).await;
    let found = changes(&there.conversation().into(), &here.conversation().into());
    differences::check(test, &found);
    assert_eq!(
        here.lab.rollouts().len(),
        there.lab.rollouts().len(),
        "{how}"
    );
    assert_eq!(
        surroundings(&here.lab),
        surroundings(&written.lab),
        "the surroundings are the same, whoever told of them"
    );
    assert!(here.conversation().len() > 2, "{:?}", here.conversation());
}

#[tokio::test]
async fn a_thread_of_theirs_goes_on_here() {
    let test = "a_thread_of_theirs_goes_on_here";
    let Some(stage) = stage(test, &busy_turn()).await else {
        return;
    };
    let thread = stage.theirs(&["do"]).await.thread_id();
    stage.lab.expect_played();
    assert!(stage.lab.project().join("made.txt").exists());
    check_both_go_on(test, &stage, &thread).await;
}

#[tokio::test]
async fn a_thread_of_ours_goes_on_there() {
    let test = "a_thread_of_ours_goes_on_there";
    let failed = script::status(400, "no");
    let interrupted = "[[response]]\nactions = [{ text = \"I begin\" }, { tool_call = \"exec_command\", call_id = \"long\", arguments = { cmd = \"sleep 1000\" } }]\n";
    let responses = [&busy_turn()[..], &[failed, interrupted.to_owned()]].concat();
    let Some(stage) = stage(test, &responses).await else {
        return;
    };
    let thread = stage.ours(&["do"], 0).await.thread_id();
    stage.ours(&["resume", &thread, "fail"], 1).await;
    let mut running =
        stage
            .lab
            .start_exec(&["--json", "-s", "workspace-write", "resume", &thread, "wait"]);
    running.wait_for("item.started").await;
    running.signal("INT");
    running.finish().await.expect_code(1);
    stage.lab.expect_played();
    check_both_go_on(test, &stage, &thread).await;
}

#[tokio::test]
async fn a_thread_goes_back_and_forth() {
    let answers = ["one", "two", "three", "four"].map(script::answer);
    let Some(stage) = stage("a_thread_goes_back_and_forth", &answers).await else {
        return;
    };
    let first = stage.theirs(&["first"]).await;
    let thread = first.thread_id();
    let second = stage.ours(&["resume", &thread, "second"], 0).await;
    let third = stage.theirs(&["resume", &thread, "third"]).await;
    let fourth = stage.ours(&["resume", &thread, "go on"], 0).await;
    stage.lab.expect_played();
    let said: Vec<Value> = stage
        .conversation()
        .iter()
        .map(|item| item["content"][0]["text"].clone())
        .collect();
    assert_eq!(
        said,
        ["first", "one", "second", "two", "third", "three", "go on"]
    );
    let input = |ran: &Ran| ran.events().last().unwrap()["usage"]["input_tokens"].clone();
    assert_eq!(
        [&first, &second, &third, &fourth].map(input),
        [100, 200, 300, 400].map(Value::from)
    );
    assert_eq!(first_ids(&stage.lab.rollout()), [thread]);
}

#[tokio::test]
async fn forks_of_either_go_on_with_both() {
    let test = "forks_of_either_go_on_with_both";
    let answers = ["one", "two", "three"].map(script::answer);
    let Some(stage) = stage(test, &answers).await else {
        return;
    };
    let root = stage.ours(&["first"], 0).await.thread_id();
    let theirs = stage.theirs(&["fork", &root, "second"]).await.thread_id();
    let ours = stage.ours(&["fork", &theirs, "third"], 0).await.thread_id();
    stage.lab.expect_played();
    assert_eq!(stage.lab.rollouts().len(), 3);
    for thread in [&theirs, &ours] {
        check_both_go_on(test, &stage, thread).await;
    }
}

#[tokio::test]
async fn a_review_of_either_goes_on_with_both() {
    let test = "a_review_of_either_goes_on_with_both";
    let finding = json!({ "title": "[P1] a", "body": "b", "confidence_score": 0.9, "priority": 1,
        "code_location": { "absolute_file_path": "/a", "line_range": { "start": 1, "end": 2 } } });
    // What they would not take for a review of this form, both keep.
    let odd = json!({ "findings": [{ "title": "c" }] });
    for answer in [
        json!({ "findings": [finding], "overall_correctness": "patch is incorrect",
            "overall_explanation": "x", "overall_confidence_score": 0.8 }),
        odd,
    ] {
        let answers = [script::answer(&answer.to_string())];
        let Some(ours) = stage(test, &answers).await else {
            return;
        };
        // Forks are another matter: there a review counts as a turn that never ended.
        let thread = ours.ours(&["review", "look"], 0).await.thread_id();
        check_both(test, &ours, "resume", &thread).await;
        let Some(theirs) = stage(test, &answers).await else {
            return;
        };
        let thread = theirs.theirs(&["review", "look"]).await.thread_id();
        check_both(test, &theirs, "resume", &thread).await;
    }
}

/// The ids of the threads that a file says it holds.
fn first_ids(file: &Path) -> Vec<String> {
    let lines = dovetail_tests::read_lines(file);
    let metas = lines.iter().filter(|line| line["type"] == "session_meta");
    metas
        .map(|line| line["payload"]["id"].as_str().unwrap().to_owned())
        .collect()
}
