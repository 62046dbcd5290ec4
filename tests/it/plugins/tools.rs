//! A tool server.

use dovetail_tests::{MISBEHAVER, NOTES, script};
use serde_json::json;

use super::{notes, output_parts, search};
use crate::lab;

#[tokio::test]
async fn a_tool_server_is_offered_and_answers() {
    let lab = lab(&[&search("n"), &script::answer("ok")]).await;
    notes(&lab);
    lab.install(&NOTES).await;
    let ran = lab.exec_json(&["look"], 0).await;
    let request = lab.requests()[0].json.clone().unwrap();
    let told = request["input"].to_string();
    assert!(
        told.contains("- mcp__notes: Tools of the `notes` server."),
        "{told}"
    );
    assert_eq!(
        output_parts(&lab, "n"),
        [
            "Wall time: <time>\nOutput:",
            "style.md:2: A greeting ends with a comma."
        ]
    );
    let item = ran
        .events()
        .into_iter()
        .find(|event| event["type"] == "item.completed")
        .unwrap()["item"]
        .clone();
    assert_eq!(
        item,
        json!({
            "id": "item_0", "type": "mcp_tool_call", "server": "notes", "tool": "search",
            "arguments": { "query": "comma" },
            "result": {
                "content": [{ "type": "text", "text": "style.md:2: A greeting ends with a comma." }],
                "structured_content": null
            },
            "error": null, "status": "completed"
        })
    );
}

#[tokio::test]
async fn a_tool_server_without_a_grant_is_left_out_with_a_warning() {
    let lab = lab(&[&search("n"), &script::answer("ok")]).await;
    notes(&lab);
    lab.drop_in(&NOTES);
    let ran = lab.exec_json(&["look"], 0).await;
    let complaints = ran.complaints().join("\n");
    assert!(
        complaints.contains("plugin `notes` is installed but nobody has granted it"),
        "{complaints}"
    );
    assert!(
        complaints.contains("dovetail plugin grant notes"),
        "{complaints}"
    );
    assert_eq!(lab.output_of("n"), "unsupported call: mcp__notessearch");
}

#[tokio::test]
async fn a_tool_server_sees_only_what_it_was_granted() {
    let lab = lab(&[&search("n"), &script::answer("ok")]).await;
    notes(&lab);
    std::os::unix::fs::symlink(lab.outside(), lab.project().join("notes/way-out")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", lab.project().join("notes/passwd.md")).unwrap();
    lab.install(&NOTES).await;
    lab.exec(&["look"]).await.expect_code(0);
    assert!(
        !lab.output_of("n").contains("root:"),
        "{}",
        lab.output_of("n")
    );
}

#[tokio::test]
async fn all_kinds_in_one_component_work() {
    let lab = lab(&[
        &script::response("{ tool_call = \"obey\", namespace = \"mcp__misbehaver\", call_id = \"o\", arguments = {} }"),
        &script::answer("ok"),
    ])
    .await;
    lab.install(&MISBEHAVER).await;
    lab.exec(&["go"]).await.expect_code(0);
    assert_eq!(
        output_parts(&lab, "o"),
        ["Wall time: <time>\nOutput:", "well"]
    );
}
