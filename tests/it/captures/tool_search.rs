//! A search for tools, and the answer after it. There sub-agents were searched for; here a tool server stands in for them.

use dovetail_tests::NOTES;
use serde_json::{Value, json};

use super::{Traces, check};
use crate::lab;

const SEARCH: &str = r#"
[[response]]
actions = [
    { item = '{"type":"tool_search_call","id":"tsc_1","call_id":"call_ts","status":"completed","execution":"client","arguments":{"query":"search notes"}}' },
    { usage = { input_tokens = 100, cached_input_tokens = 20, output_tokens = 30, reasoning_output_tokens = 10 } },
]

[[response]]
actions = [
    { item = '{"type":"message","id":"msg_2","role":"assistant","phase":"final_answer","content":[{"type":"output_text","text":"ok"}]}' },
    { usage = { input_tokens = 100, cached_input_tokens = 20, output_tokens = 30, reasoning_output_tokens = 10 } },
]
"#;

/// What was searched for and found is another thing here; its form is not. One tool of each namespace stands for all.
fn without_what_was_found(mut traces: Traces) -> Traces {
    for request in &mut traces.requests {
        for item in request["body"]["input"].as_array_mut().unwrap() {
            match item["type"].as_str().unwrap() {
                "tool_search_call" => item["arguments"]["query"] = "<query>".into(),
                "tool_search_output" => found(&mut item["tools"]),
                _ => {}
            }
            for part in item["content"].as_array_mut().into_iter().flatten() {
                let text = part["text"].as_str().unwrap();
                if let Some((head, _)) = text.split_once("\n- ")
                    && text.starts_with("<tools>")
                {
                    part["text"] = format!("{head}\n- <namespace>\n</tools>").into();
                }
            }
        }
    }
    traces
}

fn found(namespaces: &mut Value) {
    for namespace in namespaces.as_array_mut().unwrap() {
        let tools = namespace["tools"].as_array_mut().unwrap();
        tools.truncate(1);
        for named in tools.iter_mut() {
            named["name"] = "<stand-in>".into();
            named["description"] = "<stand-in>".into();
            named["parameters"] = json!({});
        }
        namespace["name"] = "<stand-in>".into();
        namespace["description"] = "<stand-in>".into();
    }
}

#[tokio::test]
async fn a_search_for_tools_is_as_captured() {
    let lab = lab(&[SEARCH]).await;
    lab.write_config(&lab.named_provider_config("mock", "OpenAI", ""));
    lab.install(&NOTES).await;
    let ran = lab.exec_json(&["x"], 0).await;
    lab.expect_played();
    let ours = Traces {
        // What it printed was not captured.
        events: json!([]),
        ..Traces::ours(&lab.requests(), &ran)
    };
    let theirs = Traces {
        events: json!([]),
        ..Traces::captured("tool-search")
    };
    check(
        "tool-search",
        &lab,
        without_what_was_found(theirs),
        without_what_was_found(ours),
    );
}
