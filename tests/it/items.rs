//! Items of a conversation on their way through file and request: ids, metadata, types nobody knows, and what only its
//! maker can read.

use dovetail_tests::{Lab, script};
use serde_json::{Value, json};

use crate::lab;

const PASSTHROUGH: &str = "internal_chat_message_metadata_passthrough";

/// A response with encrypted reasoning, an item of an unknown type and an answer.
fn thinking(answer: &str) -> String {
    format!(
        r#"
[[response]]
actions = [
    {{ item = '{{"type":"reasoning","id":"rs_{answer}","summary":[],"encrypted_content":"ENC-{answer}"}}' }},
    {{ item = '{{"type":"hologram","id":"h_{answer}","depth":3,"nested":{{"a":[1,2]}}}}' }},
    {{ item = '{{"type":"message","id":"msg_{answer}","role":"assistant","content":[{{"type":"output_text","text":"{answer}"}}],"phase":"final_answer"}}' }},
]
"#
    )
}

fn input(request: &Value) -> Vec<Value> {
    request["input"].as_array().unwrap().clone()
}

/// The items of the newest request whose type is one of these.
fn of_types(lab: &Lab, types: &[&str]) -> Vec<Value> {
    let mut items = input(&lab.last_request());
    items.retain(|item| types.contains(&item["type"].as_str().unwrap()));
    items
}

fn ids(items: &[Value]) -> Vec<&str> {
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn ids_are_given_once_and_come_back_after_a_resume() {
    let lab = lab(&[
        &thinking("one"),
        &script::answer("two"),
        &script::answer("three"),
    ])
    .await;
    lab.exec(&["first"]).await.expect_code(0);
    lab.exec(&["resume", "--last", "second"])
        .await
        .expect_code(0);
    let second = input(&lab.last_request());
    lab.exec(&["resume", "--last", "third"])
        .await
        .expect_code(0);
    let third = input(&lab.last_request());
    assert_eq!(
        third[..second.len()],
        second,
        "a longer conversation begins with the shorter"
    );
    let with_ids = second.iter().filter(|item| item["id"].is_string());
    assert_eq!(with_ids.count(), second.len());
    assert!(
        ids(&second).contains(&"msg_one"),
        "what the server named keeps its name"
    );
}

#[tokio::test]
async fn an_item_of_an_unknown_type_comes_back_to_the_letter() {
    let lab = lab(&[&thinking("one"), &script::answer("two")]).await;
    lab.exec(&["first"]).await.expect_code(0);
    lab.exec(&["resume", "--last", "second"])
        .await
        .expect_code(0);
    let hologram = json!({"type": "hologram", "id": "h_one", "depth": 3, "nested": {"a": [1, 2]}});
    assert_eq!(of_types(&lab, &["hologram"]), [hologram]);
}

#[tokio::test]
async fn the_phase_of_an_answer_is_kept() {
    let lab = lab(&[&thinking("one"), &script::answer("two")]).await;
    lab.exec(&["first"]).await.expect_code(0);
    lab.exec(&["resume", "--last", "second"])
        .await
        .expect_code(0);
    let items = of_types(&lab, &["message"]);
    let answer = items.iter().find(|item| item["id"] == "msg_one").unwrap();
    assert_eq!(answer["phase"], "final_answer");
}

#[tokio::test]
async fn metadata_of_items_stays_in_the_file_unless_the_provider_takes_it() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.exec(&["first"]).await.expect_code(0);
    let sent = lab.last_request()["input"].to_string();
    assert!(!sent.contains(PASSTHROUGH), "{sent}");
    let kept: Vec<Value> = lab
        .rollout_lines()
        .into_iter()
        .filter(|line| line["type"] == "response_item")
        .collect();
    assert!(
        kept.iter()
            .all(|line| line["payload"][PASSTHROUGH]["turn_id"].is_string())
    );

    let config = std::fs::read_to_string(lab.home().join("config.toml")).unwrap();
    lab.write_config(&config.replace("name = \"Rehearsal\"", "name = \"OpenAI\""));
    lab.exec(&["resume", "--last", "second"])
        .await
        .expect_code(0);
    let sent = input(&lab.last_request());
    assert_eq!(
        sent[0][PASSTHROUGH],
        json!({"content_item_kinds": ["model.base_instructions"]})
    );
    for item in &sent[1..] {
        assert!(item[PASSTHROUGH]["turn_id"].is_string(), "{item}");
    }
}

#[tokio::test]
async fn another_provider_gets_no_reasoning_that_it_cannot_read_and_the_first_one_gets_its_own() {
    let lab = lab(&[&thinking("one"), &thinking("two"), &script::answer("three")]).await;
    lab.add_config(&format!(
        "[model_providers.other]\nname = \"Other\"\nbase_url = \"{}\"\nenv_key = \"REHEARSAL_KEY\"",
        lab.server().base_url()
    ));
    lab.exec(&["first"]).await.expect_code(0);
    let foreign = ["reasoning", "hologram"];
    let other = [
        "-c",
        "model_provider=\"other\"",
        "resume",
        "--last",
        "second",
    ];
    lab.exec(&other).await.expect_code(0);
    assert_eq!(of_types(&lab, &foreign), [] as [Value; 0]);
    let said = of_types(&lab, &["message"])
        .iter()
        .any(|item| item["id"] == "msg_one");
    assert!(said, "what was said stays");

    lab.exec(&["resume", "--last", "third"])
        .await
        .expect_code(0);
    assert_eq!(ids(&of_types(&lab, &foreign)), ["rs_one", "h_one"]);
    assert!(ids(&of_types(&lab, &["message"])).contains(&"msg_two"));
    lab.expect_played();
}

#[tokio::test]
async fn reasoning_of_another_account_is_left_out_once_the_service_refuses_it() {
    let refusal = r#"
[[response]]
actions = [
    { status = 400, body = { error = { code = "invalid_encrypted_content", message = "The encrypted content could not be verified." } } },
]
"#;
    let lab = lab(&[&thinking("one"), refusal, &script::answer("two")]).await;
    lab.exec(&["first"]).await.expect_code(0);
    let ran = lab.exec_json(&["resume", "--last", "second"], 0).await;
    assert_eq!(of_types(&lab, &["reasoning"]), [] as [Value; 0]);
    let complaints = ran.complaints();
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    lab.expect_played();
    let file = std::fs::read_to_string(lab.rollout()).unwrap();
    assert!(file.contains("ENC-one"), "the file keeps it");
}

#[tokio::test]
async fn a_call_whose_output_was_lost_with_its_process_gets_one_and_a_stray_output_is_left_out() {
    let lab = lab(&[
        &script::command("call_a", "echo a"),
        &script::answer("one"),
        &script::answer("two"),
    ])
    .await;
    lab.exec(&["first"]).await.expect_code(0);
    let file = lab.rollout();
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<String> = text
        .lines()
        .map(|line| match line.contains("\"function_call_output\"") {
            true => line.replace("\"call_id\":\"call_a\"", "\"call_id\":\"call_stray\""),
            false => line.to_owned(),
        })
        .collect();
    assert_ne!(lines.join("\n"), text.trim_end());
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    lab.exec(&["resume", "--last", "second"])
        .await
        .expect_code(0);
    assert_eq!(lab.output_of("call_a"), "aborted");
    assert!(
        !lab.last_request()["input"]
            .to_string()
            .contains("call_stray")
    );
}
