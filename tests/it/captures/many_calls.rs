//! `gpt-5.5`, read-only, with an output schema: fourteen calls in one response, their results in call order.

use std::collections::BTreeMap;

use dovetail_tests::{Lab, script};
use serde_json::{Value, json};

use super::{Traces, check};
use crate::DOVETAIL;

const PIXEL: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 6, 0,
    0, 0, 31, 21, 196, 137, 0, 0, 0, 13, 73, 68, 65, 84, 120, 218, 99, 100, 248, 207, 80, 15, 0, 3,
    134, 1, 128, 90, 52, 125, 107, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];
const SCHEMA: &str = r#"{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"],"additionalProperties":false}"#;
const ANSWER: &str = r#"[[response]]
actions = [{ text = '{"ok":true}' }, { usage = { input_tokens = 200, cached_input_tokens = 120, output_tokens = 20, reasoning_output_tokens = 5 } }]
"#;

/// The captured server's fourteen calls, which the second request has in its input.
fn many_calls(theirs: &Traces, project: &str) -> String {
    let items = theirs.requests[1]["body"]["input"].as_array().unwrap();
    let kinds = ["function_call", "custom_tool_call", "web_search_call"];
    let calls = items
        .iter()
        .filter(|item| kinds.contains(&item["type"].as_str().unwrap()));
    let actions: Vec<String> = calls
        .map(|call| call.to_string().replace("/home/user/proj", project))
        .map(|call| format!("{{ item = {} }}", script::quoted(&call)))
        .collect();
    let usage = "{ usage = { input_tokens = 100, cached_input_tokens = 50, output_tokens = 15, reasoning_output_tokens = 5 } }";
    format!(
        "[[response]]\nactions = [{},\n{usage}]\n{ANSWER}",
        actions.join(",\n")
    )
}

#[tokio::test]
async fn many_calls_in_one_response_are_as_captured() {
    let theirs = Traces::captured("many-calls");
    let mut lab = Lab::bare(DOVETAIL);
    lab.init_git();
    lab.write("p.png", PIXEL);
    lab.write("AGENTS.md", "AGENTS-MARK: be nice\n");
    lab.write_home("AGENTS.md", "GLOBAL-MARK\n");
    lab.commit("https://github.com/example/repo.git");
    lab.play(&many_calls(&theirs, &lab.project().display().to_string()))
        .await;
    lab.set_env("REHEARSAL_KEY", "k");
    let options = "model_reasoning_effort = \"high\"\nmodel_reasoning_summary = \"concise\"\nmodel_verbosity = \"medium\"\nservice_tier = \"priority\"\n";
    lab.write_config(&format!(
        "{options}{}",
        lab.named_provider_config("mock", "Mock", "")
    ));
    let schema = lab.write("schema.json", SCHEMA).display().to_string();
    let ran = lab
        .exec_json(&["--output-schema", &schema, "do many"], 0)
        .await;
    lab.expect_played();
    let ours = Traces::ours(&lab.requests(), &ran);
    check("many-calls", &lab, arranged(theirs), arranged(ours));
}

/// The words of the kernel about a write that it refused, and of a program that may be missing here.
fn without_foreign_words(value: &mut Value) {
    match value {
        Value::String(text) => {
            for words in ["Read-only file system", "Permission denied"] {
                *text = text.replace(words, "<refused>");
            }
            if text.contains("\nrc=") {
                let rest = text.split_off(text.find("Output:\n").map_or(0, |at| at + 8));
                assert!(!rest.contains("rc=0"), "the network is off: {rest}");
            }
        }
        Value::Array(values) => values.iter_mut().for_each(without_foreign_words),
        Value::Object(fields) => fields.values_mut().for_each(without_foreign_words),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Commands overlap, so their events are compared for each command by itself; what is not a command, in order. The
/// numbers of items depend on when commands end.
fn arranged(mut traces: Traces) -> Traces {
    let (mut commands, mut others) = (BTreeMap::<String, Vec<Value>>::new(), Vec::new());
    for mut event in traces.events.as_array().unwrap().clone() {
        if event["item"]["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("item_"))
        {
            event["item"]["id"] = json!("item_<n>");
        }
        match event["item"]["command"].as_str().map(name_of) {
            Some(command) => commands.entry(command).or_default().push(event),
            None => others.push(event),
        }
    }
    traces.events = json!({ "commands": commands, "others": others });
    without_foreign_words(&mut traces.events);
    traces.requests.iter_mut().for_each(without_foreign_words);
    traces
}

/// The command without the directory, which is different here.
fn name_of(command: &str) -> String {
    command.split('/').next_back().unwrap_or(command).to_owned()
}
