//! The same conversation through each wire gives the same items.

use dovetail_tests::Lab;
use serde_json::{Value, json};

use super::server::{Reply, Server};
use super::{chat, messages};
use crate::exec_input::PNG;

const PROMPT: [&str; 5] = ["-m", "gpt-5.5", "look twice", "-i", "a.png"];

/// What the conversation is, from the prompt on, without what differs from run to run.
fn items(lab: &Lab) -> Vec<Value> {
    let lines = lab.rollout_lines();
    let items = lines
        .iter()
        .filter(|line| line["type"] == "response_item")
        .map(|line| item(&line["payload"]));
    let items: Vec<Value> = items.collect();
    let prompt = items
        .iter()
        .position(|item| item.to_string().contains("look twice"));
    items[prompt.unwrap()..].to_vec()
}

fn item(payload: &Value) -> Value {
    let text = |key: &str| payload[key].as_str().unwrap_or_default().to_owned();
    let kind = text("type");
    match kind.as_str() {
        "message" => {
            json!({ "type": kind, "role": payload["role"], "content": payload["content"] })
        }
        "reasoning" => {
            json!({ "type": kind, "summary": payload["summary"], "content": payload["content"] })
        }
        "function_call" => {
            let arguments: Value = serde_json::from_str(&text("arguments")).unwrap();
            json!({ "type": kind, "name": payload["name"], "arguments": arguments, "call_id": payload["call_id"] })
        }
        "function_call_output" => {
            let output = text("output");
            let (_, output) = output.split_once("Output:\n").unwrap();
            json!({ "type": kind, "call_id": payload["call_id"], "output": output })
        }
        _ => json!({ "type": kind }),
    }
}

async fn through(more: &str, calls: &[&str], done: &[&str]) -> Vec<Value> {
    let server = Server::start(vec![Reply::events(calls), Reply::events(done)]).await;
    let lab = server.lab(more);
    lab.write("a.png", PNG);
    lab.exec(&PROMPT).await.expect_code(0);
    let sent = server.requests()[0].body.to_string();
    assert!(sent.contains("iVBOR"), "the image is sent: {sent}");
    items(&lab)
}

#[tokio::test]
async fn responses_chat_completions_and_messages_give_the_same_items() {
    let script = r#"
        [[response]]
        actions = [
            { reasoning = "let me look" },
            { text = "Looking." },
            { tool_call = "exec_command", call_id = "call_a", arguments = { cmd = "echo one" } },
            { tool_call = "exec_command", call_id = "call_b", arguments = { cmd = "echo two" } },
        ]
        [[response]]
        actions = [{ text = "Both are there." }]
    "#;
    let lab = crate::lab(&[script]).await;
    lab.write("a.png", PNG);
    lab.exec(&PROMPT).await.expect_code(0);
    let responses = items(&lab);
    let kinds: Vec<&str> = responses
        .iter()
        .filter_map(|item| item["type"].as_str())
        .collect();
    assert_eq!(
        kinds,
        [
            "message",
            "reasoning",
            "message",
            "function_call",
            "function_call",
            "function_call_output",
            "function_call_output",
            "message"
        ]
    );
    let chat = through("wire_api = \"chat\"", &chat::CALLS, &chat::DONE).await;
    assert_eq!(chat, responses);
    let messages = through("wire_api = \"messages\"", &messages::CALLS, &messages::DONE).await;
    assert_eq!(messages, responses);
}
