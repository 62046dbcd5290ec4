//! `tool_search`: tools of plugins that the model is not told of from the start.

use dovetail_tests::{Lab, NOTES, script};
use serde_json::{Value, json};

use crate::lab;
use crate::plugins::{notes, output_parts, search};

/// A response that searches for tools.
fn look(call_id: &str, arguments: &Value) -> String {
    let item = json!({
        "type": "tool_search_call", "id": format!("tsc_{call_id}"), "call_id": call_id, "status": "completed",
        "execution": "client", "arguments": arguments,
    });
    script::response(&format!(
        "{{ item = {} }}",
        script::quoted(&item.to_string())
    ))
}

/// The types and names of what the newest request offers.
fn offered(lab: &Lab) -> Vec<String> {
    let request = lab.last_request();
    let tools = request["tools"].as_array().unwrap().iter();
    tools
        .map(|tool| {
            tool["name"]
                .as_str()
                .or(tool["type"].as_str())
                .unwrap()
                .to_owned()
        })
        .collect()
}

/// The items of the newest request that are of searches.
fn searches(lab: &Lab) -> Vec<Value> {
    let request = lab.last_request();
    let items = request["input"].as_array().unwrap().iter();
    items
        .filter(|item| item["type"].as_str().unwrap().starts_with("tool_search"))
        .cloned()
        .collect()
}

/// The names of tools that a search found.
fn found(output: &Value) -> Vec<String> {
    let tools = output["tools"].as_array().unwrap().iter();
    tools
        .flat_map(|namespace| {
            let name = namespace["name"].as_str().unwrap();
            let tools = namespace["tools"].as_array().unwrap().iter();
            tools.map(move |tool| format!("{name}.{}", tool["name"].as_str().unwrap()))
        })
        .collect()
}

async fn with_notes(responses: &[&str]) -> Lab {
    let lab = lab(responses).await;
    notes(&lab);
    lab.install(&NOTES).await;
    lab
}

#[tokio::test]
async fn a_tool_is_found_and_called_and_known_after_a_resume() {
    let lab = with_notes(&[
        &look("ts", &json!({ "query": "look through my notes" })),
        &search("n"),
        &script::answer("one"),
        &search("m"),
        &script::answer("two"),
    ])
    .await;
    lab.exec_json(&["first"], 0).await;
    assert_eq!(
        offered(&lab),
        [
            "exec_command",
            "write_stdin",
            "apply_patch",
            "update_plan",
            "view_image",
            "tool_search",
            "web_search"
        ]
    );
    let [call, output] = &searches(&lab)[..] else {
        panic!("one search: {:?}", searches(&lab));
    };
    assert_eq!(call["call_id"], output["call_id"]);
    assert_eq!(found(output)[0], "mcp__notes.search");
    assert_eq!(output["tools"][0]["tools"][0]["defer_loading"], true);
    assert!(output_parts(&lab, "n")[1].contains("comma"));
    let before = searches(&lab);
    lab.exec_json(&["resume", "--last", "second"], 0).await;
    assert_eq!(searches(&lab), before);
    assert!(output_parts(&lab, "m")[1].contains("comma"));
    let told = lab.last_request()["input"].to_string();
    assert_eq!(
        told.matches("Deferred tool namespaces:").count(),
        1,
        "{told}"
    );
    assert!(
        told.contains("- mcp__notes: Tools of the `notes` server."),
        "{told}"
    );
}

#[tokio::test]
async fn a_tool_that_was_not_searched_for_can_be_called() {
    let lab = with_notes(&[&search("n"), &script::answer("ok")]).await;
    lab.exec_json(&["go"], 0).await;
    assert!(output_parts(&lab, "n")[1].contains("comma"));
}

#[tokio::test]
async fn a_search_that_makes_no_sense_finds_nothing_and_people_see_why() {
    for (arguments, why) in [
        (json!({}), "missing field `query`"),
        (json!([]), "invalid length 0"),
        (json!("words"), "expected value"),
        (
            json!({ "query": 1 }),
            "invalid type: integer `1`, expected a string",
        ),
        (
            json!({ "query": "notes", "limit": -1 }),
            "invalid value: integer `-1`",
        ),
        (
            json!({ "query": "notes", "limit": "x" }),
            "invalid type: string",
        ),
    ] {
        let lab = with_notes(&[&look("ts", &arguments), &script::answer("ok")]).await;
        let ran = lab.exec(&["go"]).await.expect_code(0);
        let words = format!("failed to parse tool_search arguments: {why}");
        let shown: String = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            shown.contains("tool_search") && shown.contains(&words[..40]),
            "{}",
            ran.stderr
        );
        let items = searches(&lab);
        assert_eq!(items.len(), 2, "{items:?}");
        assert_eq!(items[1]["tools"], json!([]), "{arguments}");
    }
}

#[tokio::test]
async fn no_more_is_found_than_was_asked_for() {
    let queries = [
        (json!({ "query": "notes", "limit": 1 }), 1),
        (json!({ "query": "notes", "limit": 0 }), 0),
        (json!({ "query": "mathematics" }), 0),
        (json!({ "query": "" }), 0),
        (json!("{\"query\": \"notes\", \"limit\": 1}"), 1),
    ];
    for (arguments, expected) in queries {
        let lab = with_notes(&[&look("ts", &arguments), &script::answer("ok")]).await;
        lab.exec_json(&["go"], 0).await;
        assert_eq!(found(&searches(&lab)[1]).len(), expected, "{arguments}");
    }
}

#[tokio::test]
async fn without_plugins_there_is_nothing_to_search() {
    let lab = lab(&[&look("ts", &json!({ "query": "x" })), &script::answer("ok")]).await;
    lab.exec_json(&["go"], 0).await;
    assert!(!offered(&lab).contains(&"tool_search".to_owned()));
    assert!(!lab.last_request()["input"].to_string().contains("<tools>"));
    assert_eq!(searches(&lab)[1]["tools"], json!([]));
}

#[tokio::test]
async fn models_that_cannot_search_are_told_of_all_tools() {
    let direct = ["mcp__notes", "web_search"];
    let last = |lab: &Lab| offered(lab).split_off(offered(lab).len() - 2);
    for args in [
        &["--disable", "tool_search"][..],
        &[
            "-c",
            "dovetail.models.\"gpt-5.5\".supports_search_tool=false",
        ],
        &["-m", "mystery"],
    ] {
        let lab = with_notes(&[&script::answer("ok")]).await;
        lab.exec_json(&[args, &["go"]].concat(), 0).await;
        assert_eq!(last(&lab), direct, "{args:?}");
        assert!(!lab.last_request()["input"].to_string().contains("<tools>"));
    }
    let lab = with_notes(&[&script::answer("ok")]).await;
    lab.exec_json(&["-m", "gpt-6-sol", "go"], 0).await;
    let items = lab.last_request()["input"][0]["tools"].clone();
    let names: Vec<&Value> = items
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| &tool["name"])
        .collect();
    assert_eq!(names, ["functions", "mcp__notes"]);
}

#[tokio::test]
async fn tools_that_are_gone_are_taken_back() {
    let lab = with_notes(&[&script::answer("one"), &script::answer("two")]).await;
    lab.exec_json(&["first"], 0).await;
    lab.run(&["plugin", "disable", "notes"])
        .await
        .expect_code(0);
    lab.exec_json(&["resume", "--last", "second"], 0).await;
    let told = lab.last_request()["input"].to_string();
    assert_eq!(
        told.matches("Deferred tool namespaces:\\n- ").count(),
        1,
        "{told}"
    );
    assert_eq!(
        told.matches("Deferred tool namespaces:\\n</tools>").count(),
        1,
        "{told}"
    );
}
