//! What responses tell beside their answer: limits, routing, the model that answered.

use dovetail_tests::{Lab, script};
use serde_json::{Value, json};

use super::{times, words};
use crate::lab;

/// The rate limits of every count in the rollout.
fn recorded_limits(lab: &Lab) -> Vec<Value> {
    lab.rollout_lines()
        .into_iter()
        .filter(|line| line["payload"]["type"] == "token_count")
        .map(|line| line["payload"]["rate_limits"].clone())
        .collect()
}

/// A snapshot in which nothing is known, with what is.
fn snapshot(known: Value) -> Value {
    let mut whole = json!({ "limit_id": "codex", "limit_name": null, "primary": null, "secondary": null,
        "credits": null, "individual_limit": null, "spend_control_reached": null, "plan_type": null,
        "rate_limit_reached_type": null });
    for (key, value) in known.as_object().unwrap() {
        whole[key] = value.clone();
    }
    whole
}

fn window(used_percent: f64, minutes: Option<u64>, at: Option<u64>) -> Value {
    json!({ "used_percent": used_percent, "window_minutes": minutes, "resets_at": at })
}

#[tokio::test]
async fn rate_limits_are_recorded_with_the_next_count() {
    let begin = r#"
[[response]]
actions = [
    { headers = { x-codex-primary-used-percent = "12.5", x-codex-primary-window-minutes = "300", x-codex-primary-reset-at = "1790000000", x-codex-secondary-used-percent = "0", x-codex-credits-has-credits = "true", x-codex-credits-unlimited = "false", x-codex-credits-balance = "7.25" } },
    { tool_call = "exec_command", call_id = "c", arguments = { cmd = "true" } },
]
"#;
    let then = r#"
[[response]]
actions = [
    { event = { type = "codex.rate_limits", plan_type = "plus", rate_limits = { primary = { used_percent = 13, window_minutes = 300, reset_at = 1790000000 }, secondary = { used_percent = 4 } } } },
    { tool_call = "exec_command", call_id = "d", arguments = { cmd = "true" } },
]
"#;
    let last = "[[response]]\nactions = [{ headers = { x-codex-active-limit = 'gpt_mini', x-gpt-mini-primary-used-percent = '1', x-gpt-mini-limit-name = 'Mini' } }, { text = 'done' }]\n";
    let lab = lab(&[begin, then, last]).await;
    lab.exec(&["go"]).await.expect_code(0);
    let credits = json!({ "has_credits": true, "unlimited": false, "balance": "7.25" });
    assert_eq!(
        recorded_limits(&lab),
        [
            snapshot(
                json!({ "primary": window(12.5, Some(300), Some(1_790_000_000)), "credits": credits })
            ),
            snapshot(
                json!({ "primary": window(13.0, Some(300), Some(1_790_000_000)),
                "secondary": window(4.0, None, None), "credits": credits, "plan_type": "plus" })
            ),
            snapshot(
                json!({ "limit_id": "gpt_mini", "limit_name": "Mini", "primary": window(1.0, None, None),
                "credits": credits, "plan_type": "plus" })
            ),
        ]
    );
}

#[tokio::test]
async fn limits_of_a_refused_request_are_recorded_with_the_next_count() {
    let refused = times(
        1,
        "{ headers = { x-codex-primary-used-percent = '99' } }, { status = 429, retry_after = 0 }",
    );
    let lab = lab(&[&refused, &script::answer("done")]).await;
    lab.exec(&["go"]).await.expect_code(0);
    assert_eq!(
        recorded_limits(&lab),
        [snapshot(json!({ "primary": window(99.0, None, None) }))],
        "one count, with what the refusal told"
    );
}

#[tokio::test]
async fn routing_state_is_sent_back_within_its_turn_alone() {
    let begin = "[[response]]\nactions = [{ headers = { x-codex-turn-state = 'route-1' } }, { tool_call = 'exec_command', call_id = 'c', arguments = { cmd = 'true' } }]\n";
    let within = "[[response]]\nexpect = [{ header = 'x-codex-turn-state', equals = 'route-1' }]\nactions = [{ text = 'done' }]\n";
    let after = "[[response]]\nexpect = [{ header = 'x-codex-turn-state', absent = true }]\nactions = [{ text = 'on' }]\n";
    let lab = lab(&[begin, within, after]).await;
    lab.exec(&["go"]).await.expect_code(0);
    lab.exec(&["resume", "--last", "go on"])
        .await
        .expect_code(0);
    assert!(lab.requests()[0].header("x-codex-turn-state").is_none());
    lab.expect_played();
}

#[tokio::test]
async fn routing_state_survives_a_retry() {
    let begin = "[[response]]\ncomplete = false\nactions = [{ headers = { x-codex-turn-state = 'route-1' } }, { text = 'half' }]\n";
    let within = "[[response]]\nexpect = [{ header = 'x-codex-turn-state', equals = 'route-1' }]\nactions = [{ text = 'done' }]\n";
    let lab = lab(&[begin, within]).await;
    lab.exec(&["go"]).await.expect_code(0);
    lab.expect_played();
}

#[tokio::test]
async fn another_model_is_mentioned_once_per_turn() {
    let other = |action: &str| {
        format!(
            "[[response]]\nactions = [{{ headers = {{ openai-model = 'gpt-small' }} }}, {action}]\n"
        )
    };
    let call = "{ tool_call = 'exec_command', call_id = 'c', arguments = { cmd = 'true' } }";
    let lab = lab(&[
        &other(call),
        &other("{ text = 'done' }"),
        &other("{ text = 'on' }"),
    ])
    .await;
    for args in [&["go"][..], &["resume", "--last", "go on"]] {
        let ran = lab.exec_json(args, 0).await;
        assert_eq!(
            ran.complaints(),
            ["the server answered with model `gpt-small` instead of `gpt-5.5`"]
        );
        assert_eq!(words(&lab, &ran), Vec::<String>::new(), "it is no error");
    }
    lab.expect_played();
}

#[tokio::test]
async fn the_model_that_was_asked_for_is_not_mentioned() {
    let same =
        "[[response]]\nactions = [{ headers = { openai-model = 'GPT-5.5' } }, { text = 'done' }]\n";
    let lab = lab(&[same]).await;
    let ran = lab.exec_json(&["go"], 0).await;
    assert_eq!(ran.complaints(), Vec::<String>::new());
}
