//! Broken tool servers are error results for the model.

use serde_json::{Value, json};

use dovetail_tests::script;

use super::{FAULTS, Row, both_tools, check_rest, order};
use crate::lab;

#[tokio::test]
async fn a_broken_tool_server_is_an_error_result_for_the_model() {
    let results: &[Row] = &[
        ("flood-output", 2 << 20, "passed its limit of"),
        ("deny", 0, "denied as ordered"),
        ("reject", 0, "rejected as ordered"),
    ];
    for (behave, amount, words) in FAULTS.iter().chain(results) {
        let lab = lab(&[&both_tools(), &script::answer("ok"), &script::answer("on")]).await;
        order(
            &lab,
            json!({ "behave": behave, "at": "call-tool", "amount": amount }),
        )
        .await;
        let ran = lab.exec_json(&["go"], 0).await;
        let output = lab.output_of("bad");
        assert!(
            output.contains("tool call failed: ") && output.contains(words),
            "{behave}: {output}"
        );
        assert_eq!(
            ran.event_kinds().last().unwrap(),
            "turn.completed",
            "{behave}"
        );
        let item =
            |event: &Value| event["item"]["tool"] == "obey" && event["type"] == "item.completed";
        let item = ran.events().into_iter().find(item).unwrap()["item"].clone();
        assert_eq!(item["status"], "failed", "{behave}: {item}");
        assert!(
            item["error"]["message"].as_str().unwrap().contains(words),
            "{behave}: {item}"
        );
        check_rest(&lab).await;
    }
}

#[tokio::test]
async fn a_tool_server_that_broke_answers_the_next_call() {
    // What it does is ordered for all calls, so the sign of a new instance is that the fault repeats in the same words
    // instead of becoming one of a dead instance.
    let lab = lab(&[
        &both_tools(),
        &both_tools().replace("bad", "bad2").replace("good", "good2"),
        &script::answer("ok"),
    ])
    .await;
    order(&lab, json!({ "behave": "trap", "at": "call-tool" })).await;
    lab.exec(&["go"]).await.expect_code(0);
    assert_eq!(
        lab.normal(&lab.output_of("bad")),
        lab.normal(&lab.output_of("bad2"))
    );
}

#[tokio::test]
async fn a_tool_server_that_cannot_list_its_tools_is_left_out_with_a_warning() {
    for (behave, words) in [
        ("trap", "trapped as ordered"),
        ("fail", "failed as ordered"),
    ] {
        let lab = lab(&[&both_tools(), &script::answer("ok"), &script::answer("on")]).await;
        order(&lab, json!({ "behave": behave, "at": "list-tools" })).await;
        let ran = lab.exec_json(&["go"], 0).await;
        let complaints = ran.complaints().join("\n");
        assert!(
            complaints.contains("misbehaver") && complaints.contains(words),
            "{behave}: {complaints}"
        );
        assert_eq!(
            lab.output_of("bad"),
            "unsupported call: mcp__misbehaverobey"
        );
        check_rest(&lab).await;
    }
}

#[tokio::test]
async fn three_faults_put_a_plugin_into_quarantine() {
    let calls = |number: u32| {
        both_tools()
            .replace("bad", &format!("bad{number}"))
            .replace("good", &format!("good{number}"))
    };
    let lab = lab(&[
        &calls(1),
        &calls(2),
        &calls(3),
        &calls(4),
        &script::answer("ok"),
    ])
    .await;
    // As an observer, since in quarantine its gate would close on the other plugin's calls too.
    order(
        &lab,
        json!({ "behave": "trap", "at": "call-tool", "observer": true }),
    )
    .await;
    lab.exec(&["go"]).await.expect_code(0);
    for number in 1..=3 {
        let output = lab.output_of(&format!("bad{number}"));
        assert!(output.contains("trapped as ordered"), "{output}");
        let good = lab.output_of(&format!("good{number}"));
        assert!(good.contains("a comma"), "{good}");
    }
    let output = lab.output_of("bad4");
    assert!(
        output.contains("plugin `misbehaver` is quarantined after 3 faults"),
        "{output}"
    );
    assert!(lab.output_of("good4").contains("a comma"));
}
