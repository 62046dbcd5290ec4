//! When a conversation is compacted, and what the turn does around it.

use dovetail_tests::script;
use serde_json::Value;

use super::{
    busy, compaction, configure, full_answer, local_lab, purposes, remote_lab, sent, shapes,
};

const MID: &str = "auto context_limit responses_compaction_v2 mid_turn";
const PRE: &str = "auto context_limit responses_compaction_v2 pre_turn";

#[tokio::test]
async fn a_turn_that_ends_at_the_limit_leaves_the_compaction_to_the_next() {
    let lab = remote_lab(&[
        &full_answer("one"),
        &compaction("SEALED"),
        &script::answer("two"),
    ])
    .await;
    lab.exec_json(&["first"], 0).await;
    assert_eq!(lab.requests().len(), 1, "there is nothing left to do");
    lab.exec_json(&["resume", "--last", "second"], 0).await;
    lab.expect_played();
    assert_eq!(purposes(&lab), ["turn", PRE, "turn"]);
    let all: Vec<_> = sent(&lab).iter().map(shapes).collect();
    assert_eq!(
        all[1],
        [
            "instructions",
            "context",
            "environment",
            "user: first",
            "assistant: one",
            "compaction_trigger"
        ],
        "the prompt is not part of it"
    );
    assert_eq!(
        all[2],
        [
            "instructions",
            "context",
            "environment",
            "user: first",
            "compaction",
            "user: second"
        ]
    );
    let contexts = lab.rollout_lines();
    let contexts = contexts
        .iter()
        .filter(|line| line["type"] == "turn_context");
    assert_eq!(
        contexts.count(),
        2,
        "one a turn, the second with the compaction"
    );
}

#[tokio::test]
async fn below_the_limit_nothing_happens() {
    let lab = remote_lab(&[&busy("run"), &script::answer("done")]).await;
    configure(&lab, "OpenAI", "model_auto_compact_token_limit = 6000\n");
    lab.exec_json(&["first"], 0).await;
    lab.expect_played();
    assert_eq!(purposes(&lab), ["turn", "turn"]);
}

/// The output of a call counts before the service has counted it.
#[tokio::test]
async fn what_came_since_the_last_count_counts() {
    let call = "{ tool_call = \"exec_command\", call_id = \"run\", arguments = { cmd = \"seq 10000 14000\" } }";
    let lab = remote_lab(&[
        &script::response(call),
        &compaction("SEALED"),
        &script::answer("done"),
    ])
    .await;
    lab.exec_json(&["first"], 0).await;
    lab.expect_played();
    assert_eq!(purposes(&lab), ["turn", MID, "turn"]);
}

#[tokio::test]
async fn what_every_request_has_can_be_left_out_of_account() {
    let scope = "model_auto_compact_token_limit_scope = \"body_after_prefix\"\nmodel_auto_compact_token_limit = 4000\n";
    let more = "{ usage = { input_tokens = 9000, output_tokens = 100 } }";
    let grown = busy("more").replace(super::FULL, more);
    let lab = remote_lab(&[
        &busy("run"),
        &grown,
        &compaction("SEALED"),
        &script::answer("done"),
    ])
    .await;
    configure(&lab, "OpenAI", scope);
    lab.exec_json(&["first"], 0).await;
    lab.expect_played();
    assert_eq!(purposes(&lab), ["turn", "turn", MID, "turn"]);
}

#[tokio::test]
async fn a_compaction_that_does_not_help_is_given_up() {
    let sealed: Vec<String> = ["A", "B", "C"].map(compaction).to_vec();
    let calls: Vec<String> = ["a", "b", "c", "d", "e"].map(busy).to_vec();
    let mut responses: Vec<&str> = Vec::new();
    for (call, sealed) in calls.iter().zip(&sealed) {
        responses.extend([call.as_str(), sealed.as_str()]);
    }
    let done = script::answer("done");
    responses.extend([calls[3].as_str(), calls[4].as_str(), &done]);
    let lab = remote_lab(&responses).await;
    let ran = lab.exec_json(&["first"], 0).await;
    lab.expect_played();
    assert_eq!(
        purposes(&lab),
        [
            "turn", MID, "turn", MID, "turn", MID, "turn", "turn", "turn"
        ]
    );
    let warnings: Vec<Value> = ran
        .events()
        .into_iter()
        .filter(|event| event["item"]["type"] == "error")
        .collect();
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        warnings[0]["item"]["message"],
        "compacting does not bring the conversation below its limit of 4000 tokens; the turn goes on without \
         (`model_auto_compact_token_limit` sets the limit)"
    );
}

/// The file says how full the context was, whoever wrote it.
#[tokio::test]
async fn a_smaller_model_gets_a_conversation_that_the_larger_one_made_shorter() {
    let usage = "{ usage = { input_tokens = 300000, output_tokens = 100 } }";
    let first = full_answer("one").replace(super::FULL, usage);
    let lab = remote_lab(&[&first, &compaction("SEALED"), &script::answer("two")]).await;
    configure(&lab, "OpenAI", "");
    lab.exec_json(&["-m", "gpt-6.1-terra", "first"], 0).await;
    lab.exec_json(&["-m", "gpt-5.5", "resume", "--last", "second"], 0)
        .await;
    lab.expect_played();
    let downshift = "auto model_downshift responses_compaction_v2 pre_turn";
    assert_eq!(purposes(&lab), ["turn", downshift, "turn"]);
    let models: Vec<Value> = sent(&lab)
        .iter()
        .map(|sent| sent["model"].clone())
        .collect();
    assert_eq!(models, ["gpt-6.1-terra", "gpt-6.1-terra", "gpt-5.5"]);
}

#[tokio::test]
async fn where_the_larger_model_fails_the_smaller_one_tries() {
    let usage = "{ usage = { input_tokens = 300000, output_tokens = 100 } }";
    let first = full_answer("one").replace(super::FULL, usage);
    let gone = script::status(404, "no such model");
    let lab = remote_lab(&[&first, &gone, &compaction("SEALED"), &script::answer("two")]).await;
    configure(&lab, "OpenAI", "");
    lab.exec_json(&["-m", "gpt-6.1-terra", "first"], 0).await;
    lab.exec_json(&["-m", "gpt-5.5", "resume", "--last", "second"], 0)
        .await;
    lab.expect_played();
    let models: Vec<Value> = sent(&lab)
        .iter()
        .map(|sent| sent["model"].clone())
        .collect();
    assert_eq!(
        models,
        ["gpt-6.1-terra", "gpt-6.1-terra", "gpt-5.5", "gpt-5.5"]
    );
}

#[tokio::test]
async fn people_are_told_and_programs_see_no_item() {
    let responses = || {
        [
            busy("run"),
            script::answer("the note"),
            script::answer("done"),
        ]
    };
    let lab = local_lab(&responses().each_ref().map(String::as_str)).await;
    let ran = lab.exec(&["first"]).await.expect_code(0);
    let line = ran
        .stderr
        .lines()
        .find(|line| line.starts_with("  pack"))
        .unwrap();
    assert!(
        line.contains("context compacted") && line.contains(" tokens "),
        "{line}"
    );
    assert_eq!(ran.stdout, "done\n");

    let lab = local_lab(&responses().each_ref().map(String::as_str)).await;
    let ran = lab.exec_json(&["first"], 0).await;
    assert_eq!(
        ran.event_kinds(),
        [
            "thread.started",
            "turn.started",
            "item.started command_execution",
            "item.completed command_execution",
            "item.completed agent_message",
            "turn.completed"
        ]
    );
    let usage = ran.events().last().unwrap()["usage"].clone();
    assert_eq!(
        usage["input_tokens"], 5200,
        "what a compaction used was used"
    );
}
