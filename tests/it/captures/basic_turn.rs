//! A custom provider and a model nothing is known of: reasoning, commentary, one command, the answer.

use std::collections::{BTreeMap, BTreeSet};

use dovetail_tests::{Lab, normal_json};
use serde_json::{Value, json};

use super::{THEIRS, fixture, fixture_lines, fixture_requests, keys};
use crate::lab;

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
    theirs[6]["item"]["aggregated_output"] = json!(command_output());
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

/// What the captured command prints here; there it ran as root.
fn command_output() -> String {
    let user = std::process::Command::new("id").arg("-u").output().unwrap();
    format!("hi\n/project\n{}", String::from_utf8(user.stdout).unwrap())
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
    if let Some(output) = item["output"].as_str() {
        item["output"] = json!(output.replace("hi\n/project\n0\n", &command_output()));
    }
    item
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

#[tokio::test]
async fn tools_on_offer_differ_as_documented() {
    let (lab, _) = basic_turn().await;
    let theirs = fixture_requests("captures/basic-turn.requests.json");
    let theirs: BTreeSet<&str> = theirs[0]["body"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let request = lab.last_request();
    let tools = request["tools"].as_array().unwrap();
    let name = |tool: &'_ Value| {
        tool["name"]
            .as_str()
            .or(tool["type"].as_str())
            .unwrap()
            .to_owned()
    };
    let ours: Vec<String> = tools.iter().map(name).collect();
    let ours: BTreeSet<&str> = ours.iter().map(String::as_str).collect();
    let missing: Vec<&str> = theirs.difference(&ours).copied().collect();
    let added: Vec<&str> = ours.difference(&theirs).copied().collect();
    assert_eq!(
        missing,
        [
            "create_goal",
            "get_goal",
            "multi_agent_v1",
            "request_user_input",
            "update_goal"
        ]
    );
    assert_eq!(added, ["apply_patch", "update_plan"]);
}
