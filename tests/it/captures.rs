//! What was captured of the system we are compatible with, and what we do in the same scenario. Differences that are
//! meant are written out here, next to the comparison, and in `docs/differences.md`.

use std::collections::BTreeMap;

use dovetail_tests::{Lab, normal_json, script};
use serde_json::{Value, json};

use crate::lab;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");
/// Directories in the captures.
const THEIRS: &[(&str, &str)] = &[
    ("/home/user/proj", "/project"),
    ("/home/user/.codex", "/home"),
];

fn fixture(name: &str) -> String {
    std::fs::read_to_string(format!("{FIXTURES}/{name}")).unwrap()
}

fn fixture_lines(name: &str) -> Vec<Value> {
    fixture(name)
        .lines()
        .map(|line| normal_json(&serde_json::from_str(line).unwrap(), THEIRS))
        .collect()
}

fn fixture_requests(name: &str) -> Vec<Value> {
    serde_json::from_str(&fixture(name)).unwrap()
}

/// The captured server's script: reasoning, commentary and a command; then the answer.
const BASIC_TURN: &str = r#"
[[response]]
actions = [
    { headers = { x-codex-turn-state = "ts-abc" } },
    { item = '{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"**Think**"}],"encrypted_content":"ENC=="}' },
    { item = '{"type":"message","id":"msg_1","role":"assistant","phase":"commentary","content":[{"type":"output_text","text":"I will run it."}]}' },
    { item = '{"type":"function_call","id":"fc_1","name":"exec_command","arguments":"{\"cmd\": \"echo hi; pwd; id -u\"}","call_id":"call_1"}' },
    { usage = { input_tokens = 100, cached_input_tokens = 50, output_tokens = 15, reasoning_output_tokens = 5 } },
]

[[response]]
actions = [
    { item = '{"type":"message","id":"msg_2","role":"assistant","phase":"final_answer","content":[{"type":"output_text","text":"All done."}]}' },
    { usage = { input_tokens = 200, cached_input_tokens = 120, output_tokens = 20, reasoning_output_tokens = 5 } },
]
"#;

async fn basic_turn() -> (Lab, dovetail_tests::Ran) {
    let mut lab = lab(&[BASIC_TURN]).await;
    lab.write_config(&lab.provider_config("").replace("gpt-5.5", "gpt-5.2-codex"));
    lab.remove_env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE");
    let ran = lab.exec_json(&["say hi"], 0).await;
    lab.expect_played();
    (lab, ran)
}

#[tokio::test]
async fn events_of_a_basic_turn_are_those_captured() {
    let (lab, ran) = basic_turn().await;
    let mut theirs = fixture_lines("captures/basic-turn.events.jsonl");
    // The captured machine ran as root.
    let user = std::process::Command::new("id").arg("-u").output().unwrap();
    let user = String::from_utf8(user.stdout).unwrap();
    theirs[6]["item"]["aggregated_output"] = json!(format!("hi\n/project\n{user}"));
    let ours: Vec<Value> = ran
        .events()
        .iter()
        .map(|event| lab.normal_json(event))
        .collect();
    assert_eq!(ours, theirs);
}

#[tokio::test]
async fn requests_of_a_basic_turn_are_those_captured() {
    let (lab, _) = basic_turn().await;
    let theirs = fixture_requests("captures/basic-turn.requests.json");
    let ours = lab.requests();
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours.path, theirs["path"].as_str().unwrap());
        assert_eq!(our_headers(&lab, ours), their_headers(theirs));
        let body = ours.json.as_ref().unwrap();
        assert_eq!(
            keys(body),
            keys(&theirs["body"]),
            "the keys of a request, in order"
        );
        compare_metadata(ours, theirs);
        compare_bodies(&lab, body, &theirs["body"]);
    }
    // The second request goes on with what the server said on the first.
    assert_eq!(ours[1].header("x-codex-turn-state"), Some("ts-abc"));
}

/// Our headers without those of the connection.
fn our_headers(lab: &Lab, request: &dovetail_rehearsal::RecordedRequest) -> Vec<(String, String)> {
    let of_connection = ["host", "content-length", "accept-encoding", "connection"];
    request
        .headers
        .iter()
        .filter(|(name, _)| !of_connection.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), header_value(name, lab.normal(value))))
        .collect()
}

fn their_headers(request: &Value) -> Vec<(String, String)> {
    let headers = request["headers"].as_array().unwrap();
    headers
        .iter()
        .map(|header| {
            let (name, value) = (header[0].as_str().unwrap(), header[1].as_str().unwrap());
            (
                name.to_owned(),
                header_value(name, dovetail_tests::normal(value, THEIRS)),
            )
        })
        .collect()
}

/// Values that are compared elsewhere, or that belong to whoever runs it.
fn header_value(name: &str, value: String) -> String {
    match name {
        "x-codex-turn-metadata" => "<metadata>".to_owned(),
        "authorization" => "Bearer <key>".to_owned(),
        _ => value,
    }
}

/// The blob in the header, the blob in the body and the flat map say the same, and what was captured.
fn compare_metadata(ours: &dovetail_rehearsal::RecordedRequest, theirs: &Value) {
    let header = ours.header("x-codex-turn-metadata").unwrap();
    let flat = &ours.json.as_ref().unwrap()["client_metadata"];
    assert_eq!(flat["x-codex-turn-metadata"], *header);
    let blob: Value = serde_json::from_str(header).unwrap();
    assert_eq!(
        keys(&blob),
        keys(&theirs["turn_metadata"]),
        "the keys of the metadata, in order"
    );
    let varying = |value: &Value| {
        let mut value = normal_json(value, THEIRS);
        value["turn_started_at_unix_ms"] = json!("<time>");
        value
    };
    assert_eq!(varying(&blob), varying(&theirs["turn_metadata"]));
    // The order of the map was different in each captured request.
    let sorted = |value: &Value| -> BTreeMap<String, Value> {
        let mut map = normal_json(value, THEIRS).as_object().unwrap().clone();
        map["x-codex-turn-metadata"] = json!("…");
        map.into_iter().collect()
    };
    assert_eq!(sorted(flat), sorted(&theirs["body"]["client_metadata"]));
}

/// All but the texts of the context, the tools and the metadata.
fn compare_bodies(lab: &Lab, ours: &Value, theirs: &Value) {
    for key in [
        "stream",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning",
        "store",
        "include",
        "service_tier",
        "text",
    ] {
        assert_eq!(ours[key], theirs[key], "{key}");
    }
    assert_eq!(
        ours["prompt_cache_key"],
        ours["client_metadata"]["session_id"]
    );
    let items = |body: &Value| -> Vec<Value> { body["input"].as_array().unwrap().clone() };
    let ours: Vec<Value> = items(ours)
        .iter()
        .map(|item| shape(&lab.normal_json(item)))
        .collect();
    let theirs: Vec<Value> = items(theirs)
        .iter()
        .map(|item| shape(&normal_json(item, THEIRS)))
        .collect();
    assert_eq!(ours.len(), theirs.len(), "{ours:#?}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
}

/// An item; context messages without their texts, which are our own words, and without the number of their parts,
/// since there are no skills.
fn shape(item: &Value) -> Value {
    let mut item = item.clone();
    let role = item["role"].as_str().unwrap_or_default();
    if item["type"] == "message" && role != "assistant" {
        item["content"] = json!("<texts>");
    }
    item
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[tokio::test]
async fn the_thread_is_recorded_in_lines_of_the_captured_kinds() {
    let (lab, _) = basic_turn().await;
    let theirs = fixture("rollouts/basic-turn.jsonl");
    // Not written here, and read by nobody.
    let theirs = theirs
        .lines()
        .filter(|line| !line.contains("\"type\":\"world_state\""));
    let theirs: Vec<String> = theirs
        .map(|line| outline(&serde_json::from_str(line).unwrap()))
        .collect();
    let ours: Vec<String> = lab.rollout_lines().iter().map(outline).collect();
    assert_eq!(ours, theirs);
    let ordinals: Vec<Value> = lab
        .rollout_lines()
        .iter()
        .map(|line| line["ordinal"].clone())
        .collect();
    assert_eq!(
        ordinals,
        (0..ours.len())
            .map(|ordinal| json!(ordinal))
            .collect::<Vec<_>>()
    );
}

/// Kind and keys of a line, the keys sorted.
fn outline(line: &Value) -> String {
    let payload = &line["payload"];
    let part = |key: &str| {
        payload[key]
            .as_str()
            .map(|text| format!(" {text}"))
            .unwrap_or_default()
    };
    let mut names = keys(payload);
    names.sort_unstable();
    let item = payload["item"]["type"]
        .as_str()
        .map(|text| format!(" {text}"))
        .unwrap_or_default();
    format!(
        "{}{}{}{item}: {}",
        line["type"].as_str().unwrap(),
        part("type"),
        part("role"),
        names.join(" ")
    )
}

/// The captured server's fourteen calls.
fn many_calls(lab: &Lab) -> String {
    let project = lab.project().display().to_string();
    let theirs = fixture_requests("captures/many-calls.requests.json");
    let items = theirs[1]["body"]["input"].as_array().unwrap();
    let calls = items.iter().filter(|item| {
        matches!(
            item["type"].as_str().unwrap(),
            "function_call" | "custom_tool_call" | "web_search_call"
        )
    });
    let actions: Vec<String> = calls
        .map(|call| {
            call.to_string()
                .replace("/home/user/proj", &project)
                .replace(":PORT/", ":9/")
        })
        .map(|call| format!("{{ item = {} }}", script::quoted(&call)))
        .collect();
    let usage = "{ usage = { input_tokens = 100, cached_input_tokens = 50, output_tokens = 15, reasoning_output_tokens = 5 } }";
    let last = "{ usage = { input_tokens = 200, cached_input_tokens = 120, output_tokens = 20, reasoning_output_tokens = 5 } }";
    format!(
        "[[response]]\nactions = [{},\n{usage}]\n[[response]]\nactions = [{{ text = '{{\"ok\":true}}' }}, {last}]\n",
        actions.join(",\n")
    )
}

const PIXEL: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 6, 0,
    0, 0, 31, 21, 196, 137, 0, 0, 0, 13, 73, 68, 65, 84, 120, 218, 99, 100, 248, 207, 80, 15, 0, 3,
    134, 1, 128, 90, 52, 125, 107, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];

#[tokio::test]
async fn many_calls_in_one_response_have_the_captured_results() {
    let mut lab = Lab::bare(crate::DOVETAIL);
    lab.write("p.png", PIXEL);
    lab.write("AGENTS.md", "AGENTS-MARK: be nice\n");
    lab.write_home("AGENTS.md", "GLOBAL-MARK\n");
    lab.play(&many_calls(&lab)).await;
    lab.set_env("REHEARSAL_KEY", "k");
    lab.write_config(&format!(
        "model_reasoning_effort = \"high\"\nmodel_reasoning_summary = \"concise\"\nmodel_verbosity = \"medium\"\nservice_tier = \"priority\"\n{}",
        lab.provider_config("")
    ));
    let schema = r#"{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"],"additionalProperties":false}"#;
    let schema = lab.write("schema.json", schema).display().to_string();
    let ran = lab
        .exec_json(&["--output-schema", &schema, "do many"], 0)
        .await;
    lab.expect_played();

    let theirs = fixture_requests("captures/many-calls.requests.json");
    let ours = lab.requests();
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let (ours, theirs) = (ours.json.as_ref().unwrap(), &theirs["body"]);
        assert_eq!(keys(ours), keys(theirs));
        for key in ["reasoning", "text", "service_tier", "include", "model"] {
            assert_eq!(ours[key], theirs[key], "{key}");
        }
    }
    compare_results(&lab, &theirs[1]["body"]["input"]);
    compare_events(&ran, &lab);
}

fn compare_results(lab: &Lab, theirs: &Value) {
    let request = lab.last_request();
    let results = |input: &Value, directories: &[(&str, &str)]| -> Vec<Value> {
        let input = input.as_array().unwrap();
        let outputs = input.iter().filter(|item| !item["output"].is_null());
        outputs.map(|item| normal_json(item, directories)).collect()
    };
    let project = lab.project().display().to_string();
    let ours = results(&request["input"], &[(&project, "/project")]);
    let theirs = results(theirs, THEIRS);
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let call = theirs["call_id"].as_str().unwrap();
        assert_eq!(keys(ours), keys(theirs), "{call}");
        assert_eq!(ours["call_id"], call, "results are in call order");
        let output = ours["output"].as_str().unwrap_or_default();
        match call {
            "call_c" => compare_long_output(output),
            // Offered here, and not to current models there.
            "call_h" => assert_eq!(output, "Plan updated"),
            // The words of the kernel; there the file system is mounted read-only.
            "call_d" => {
                check_report(output, "1", "touch: cannot touch '/project/x_ro': ");
            }
            // Not even the socket can be made, or the program may be missing.
            "call_k" => {
                assert!(!output.contains("rc=0"), "{output}");
                check_report(output, "0", "rc=");
            }
            _ => assert_eq!(ours["output"], theirs["output"], "{call}"),
        }
    }
}

fn check_report(output: &str, code: &str, contains: &str) {
    assert!(
        output.contains(&format!("Process exited with code {code}\n")),
        "{output}"
    );
    assert!(output.contains(contains), "{output}");
}

fn compare_long_output(output: &str) {
    let head = "Chunk ID: <chunk>\nWall time: <time>\nProcess exited with code 0\nOriginal token count: <count>\nOutput:\n\
                Warning: truncated output (original token count: 52224)\nTotal output lines: 20000\n\nline 1\nline 2\n";
    assert!(output.starts_with(head), "{}", &output[..300]);
    assert!(
        output.ends_with("line 19999\nline 20000\n"),
        "{}",
        &output[output.len() - 100..]
    );
    assert!(output.contains(" tokens truncated…"));
    assert!(
        (40_000..40_500).contains(&output.chars().count()),
        "{}",
        output.chars().count()
    );
}

/// Commands overlap, so their events are compared as sets per item; what is not a command, in order.
fn compare_events(ran: &dovetail_tests::Ran, lab: &Lab) {
    let ours: Vec<Value> = ran
        .events()
        .iter()
        .map(|event| lab.normal_json(event))
        .collect();
    let theirs = fixture_lines("captures/many-calls.events.jsonl");
    let commands = |events: &[Value]| -> BTreeMap<String, Vec<String>> {
        let mut commands: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in events
            .iter()
            .filter(|event| event["item"]["type"] == "command_execution")
        {
            let item = &event["item"];
            let command = item["command"].as_str().unwrap().replace(":PORT/", ":9/");
            let command = command.replace("127.0.0.1:<port>", "127.0.0.1:9");
            let kind = event["type"].as_str().unwrap();
            commands
                .entry(command)
                .or_default()
                .push(format!("{kind} {} {}", item["status"], item["exit_code"]));
        }
        commands
    };
    assert_eq!(commands(&ours), commands(&theirs));
    let others = |events: &[Value]| -> Vec<Value> {
        let is_other = |event: &&Value| {
            !matches!(
                event["item"]["type"].as_str(),
                Some("command_execution" | "todo_list")
            )
        };
        events.iter().filter(is_other).map(without_number).collect()
    };
    assert_eq!(others(&ours), others(&theirs));
}

/// Item numbers depend on when commands end.
fn without_number(event: &Value) -> Value {
    let mut event = event.clone();
    if event["item"]["id"]
        .as_str()
        .is_some_and(|id| id.starts_with("item_"))
    {
        event["item"]["id"] = json!("item_<n>");
    }
    event
}
