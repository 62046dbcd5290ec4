//! Conversations that grow too long: made shorter by the provider's service or by the model, without losing anything
//! when that fails.

mod local;
mod remote;
mod standing;
mod turns;

use dovetail_tests::{Lab, Ran, script};
use serde_json::Value;

use crate::DOVETAIL;

/// More than the limit that the labs here have.
const FULL: &str = "{ usage = { input_tokens = 5000, output_tokens = 100 } }";

/// A lab whose provider's service compacts.
async fn remote_lab(responses: &[&str]) -> Lab {
    lab_of("OpenAI", responses).await
}

/// A lab in which the model has to sum up.
async fn local_lab(responses: &[&str]) -> Lab {
    lab_of("Mock", responses).await
}

async fn lab_of(provider: &str, responses: &[&str]) -> Lab {
    let lab = Lab::new(DOVETAIL, &responses.concat()).await;
    configure(&lab, provider, "model_auto_compact_token_limit = 4000\n");
    lab
}

fn configure(lab: &Lab, provider: &str, settings: &str) {
    let rest = lab.named_provider_config("mock", provider, "");
    lab.write_config(&format!("{settings}{rest}"));
}

/// A response that calls a command and fills the context.
fn busy(call_id: &str) -> String {
    let call = format!(
        "{{ tool_call = \"exec_command\", call_id = \"{call_id}\", arguments = {{ cmd = \"echo {call_id}\" }} }}"
    );
    format!("[[response]]\nactions = [{call}, {FULL}]\n")
}

/// A response that ends a turn and fills the context.
fn full_answer(text: &str) -> String {
    format!("[[response]]\nactions = [{{ text = \"{text}\" }}, {FULL}]\n")
}

/// What a service answers that compacts.
fn compaction(content: &str) -> String {
    script::response(&format!("{{ compaction = \"{content}\" }}"))
}

/// The bodies of all requests.
fn sent(lab: &Lab) -> Vec<Value> {
    let requests = lab.requests().into_iter();
    requests.map(|request| request.json.unwrap()).collect()
}

/// What a request says it is for: `turn`, or when and by what a conversation is compacted.
fn purpose(request: &Value) -> String {
    let blob: Value = request["client_metadata"]["x-codex-turn-metadata"]
        .as_str()
        .and_then(|blob| serde_json::from_str(blob).ok())
        .unwrap();
    let compaction = &blob["compaction"];
    let parts = ["trigger", "reason", "implementation", "phase"];
    match compaction.is_null() {
        true => blob["request_kind"].as_str().unwrap().to_owned(),
        false => parts
            .map(|part| compaction[part].as_str().unwrap())
            .join(" "),
    }
}

fn purposes(lab: &Lab) -> Vec<String> {
    sent(lab).iter().map(purpose).collect()
}

/// What each item of a request is: who said what, or its type. Context and instructions are named only.
fn shapes(request: &Value) -> Vec<String> {
    let items = request["input"].as_array().unwrap().iter();
    items.map(shape).collect()
}

fn shape(item: &Value) -> String {
    let kind = item["type"].as_str().unwrap();
    let text = item["content"][0]["text"].as_str().unwrap_or_default();
    match (kind, item["role"].as_str()) {
        ("message", Some("developer")) if text.starts_with("<permissions") => "context".to_owned(),
        ("message", Some("developer")) => "instructions".to_owned(),
        ("message", Some("user")) if text.starts_with("<environment_context>") => {
            "environment".to_owned()
        }
        ("message", Some("user")) if text.starts_with("The earlier part") => {
            format!("summary: {}", text.lines().last().unwrap())
        }
        ("message", Some("user")) if text.starts_with("The conversation above") => {
            "prompt".to_owned()
        }
        ("message", Some(role)) => format!("{role}: {text}"),
        _ => kind.to_owned(),
    }
}

/// What was complained of in a turn that failed; the failure itself comes last, and once.
#[track_caller]
fn notices_and_failure(ran: &Ran) -> Vec<String> {
    let mut said = ran.complaints();
    let failure = said.pop().unwrap();
    assert_eq!(
        said.last(),
        Some(&failure),
        "the last error and the failure say the same"
    );
    said
}

/// The lines of compactions in the thread's file.
fn compacted_lines(lab: &Lab) -> usize {
    let lines = lab.rollout_lines();
    lines
        .iter()
        .filter(|line| line["type"] == "compacted")
        .count()
}
