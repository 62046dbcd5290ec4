//! What hooks decide about prompts and ends of turns.

use dovetail_core::plugin::{HookDecision, HookOutcome, OnFailure, PluginError};
use dovetail_core::turn::TurnOutcome;
use serde_json::json;

use crate::house::{Reply, TestHook, check_answer, done, house, message, say};

#[tokio::test]
async fn a_stopped_prompt_sends_no_request() {
    let stop = TestHook::gate("stop", "UserPromptSubmit", OnFailure::Deny, |_| {
        say(HookDecision::Deny("no".to_owned()))
    });
    let mut house = house(Vec::new(), vec![stop]);
    assert!(matches!(house.turn().await, TurnOutcome::Completed(None)));
    assert!(house.model.requests.lock().expect("lock").is_empty());
}

#[tokio::test]
async fn a_stop_hook_sends_the_model_on_and_is_told_so() {
    let stop = TestHook::gate("stop", "Stop", OnFailure::Deny, |event| {
        say(if event.payload["stop_hook_active"] == json!(true) {
            HookDecision::None
        } else {
            HookDecision::Deny("run the tests".to_owned())
        })
    });
    let mut house = house(
        vec![
            Reply::Stream(vec![message("done"), done()]),
            Reply::Stream(vec![message("tested"), done()]),
        ],
        vec![stop],
    );
    check_answer(house.turn().await, "tested");
    assert_eq!(
        house.log.items()[2],
        "user: <hook_prompt hook_run_id=\"stop:1\">run the tests</hook_prompt>"
    );
}

#[tokio::test]
async fn what_session_hooks_add_stands_before_the_prompt_and_what_prompt_hooks_add_behind_it() {
    let noting = |id: &str, event: &str, judge| TestHook::gate(id, event, OnFailure::Deny, judge);
    let session = noting("session", "SessionStart", |_| note("of the session"));
    let submit = noting("submit", "UserPromptSubmit", |_| note("of the prompt"));
    let mut house = house(
        vec![Reply::Stream(vec![message("ok"), done()])],
        vec![session, submit],
    );
    check_answer(house.turn().await, "ok");
    assert_eq!(
        house.said(0),
        [
            "developer: of the session",
            "user: go",
            "developer: of the prompt"
        ]
    );
}

fn note(text: &str) -> Result<HookOutcome, PluginError> {
    Ok(HookOutcome {
        decision: HookDecision::None,
        context: Some(text.to_owned()),
        message: None,
    })
}
