//! Fourteen calls in one response, read-only: their results, in call order, and the events.

use std::collections::BTreeMap;

use dovetail_tests::{Lab, normal_json, script};
use serde_json::{Value, json};

use super::{THEIRS, fixture_lines, fixture_requests, keys};

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
