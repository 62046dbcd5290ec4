//! What hooks decide about tool calls.

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{
    HookDecision, HookEvent, HookOutcome, OnFailure, PluginError, PluginFault,
};
use serde_json::json;

use crate::house::{Reply, TestHook, call, check_answer, done, house, message, say};

#[tokio::test]
async fn a_denied_call_does_not_run_and_the_model_reads_why() {
    let hook = TestHook::gate("no", "PreToolUse", OnFailure::Deny, |_| {
        say(HookDecision::Deny("not today".to_owned()))
    });
    let mut house = house(
        vec![
            Reply::Stream(vec![call("a", "alone", "x"), done()]),
            Reply::Stream(vec![message("ok"), done()]),
        ],
        vec![hook],
    );
    check_answer(house.turn().await, "ok");
    assert_eq!(
        house.log.items()[2],
        "output a: Tool call blocked by PreToolUse hook: not today. Tool: alone"
    );
}

#[tokio::test]
async fn a_broken_gate_is_closed_unless_its_manifest_opens_it() {
    fn trap(_: &HookEvent) -> Result<HookOutcome, PluginError> {
        Err(PluginFault::Trap {
            plugin: PluginId::parse("bad").expect("an id"),
            call: "hooks.handle",
            detail: "boom".to_owned(),
        }
        .into())
    }
    for (on_failure, expected) in [
        (
            OnFailure::Deny,
            "output a: Tool call blocked by PreToolUse hook: hook `bad` failed and its gate is closed: plugin `bad` trapped in `hooks.handle`: boom. Tool: alone",
        ),
        (OnFailure::Allow, "output a: did x"),
    ] {
        let mut house = house(
            vec![
                Reply::Stream(vec![call("a", "alone", "x"), done()]),
                Reply::Stream(vec![message("ok"), done()]),
            ],
            vec![TestHook::gate("bad", "PreToolUse", on_failure, trap)],
        );
        check_answer(house.turn().await, "ok");
        assert_eq!(house.log.items()[2], expected);
    }
}

#[tokio::test]
async fn a_rewrite_enters_the_chain_again_so_that_an_earlier_hook_can_still_deny_it() {
    let guard = TestHook::gate("guard", "PreToolUse", OnFailure::Deny, |event| {
        let what = event.tool.as_ref().map(|tool| tool.input["do"].clone());
        say(if what == Some(json!("bad")) {
            HookDecision::Deny("bad".to_owned())
        } else {
            HookDecision::None
        })
    });
    let rewriter = TestHook::gate("rewriter", "PreToolUse", OnFailure::Deny, |_| {
        say(HookDecision::Rewrite(json!({ "do": "bad" }).to_string()))
    });
    let mut house = house(
        vec![
            Reply::Stream(vec![call("a", "alone", "good"), done()]),
            Reply::Stream(vec![message("ok"), done()]),
        ],
        vec![guard, rewriter],
    );
    check_answer(house.turn().await, "ok");
    assert_eq!(
        house.log.items()[2],
        "output a: Tool call blocked by PreToolUse hook: bad. Tool: alone"
    );
}

#[tokio::test]
async fn hooks_that_never_agree_are_a_refusal() {
    let flip = TestHook::gate("flip", "PreToolUse", OnFailure::Deny, |event| {
        let n = event
            .tool
            .as_ref()
            .and_then(|tool| tool.input["n"].as_u64())
            .unwrap_or(0);
        say(HookDecision::Rewrite(json!({ "n": n + 1 }).to_string()))
    });
    let mut house = house(
        vec![
            Reply::Stream(vec![call("a", "alone", "x"), done()]),
            Reply::Stream(vec![message("ok"), done()]),
        ],
        vec![flip],
    );
    check_answer(house.turn().await, "ok");
    assert_eq!(
        house.log.items()[2],
        "output a: Tool call blocked: hooks rewrote the input 8 times without agreeing. Tool: alone"
    );
}

#[tokio::test]
async fn a_question_that_nobody_can_answer_is_a_no() {
    let ask = TestHook::gate("ask", "PreToolUse", OnFailure::Deny, |_| {
        say(HookDecision::Ask("really?".to_owned()))
    });
    let allow = TestHook::gate("allow", "PreToolUse", OnFailure::Deny, |_| {
        say(HookDecision::Allow)
    });
    let mut house = house(
        vec![
            Reply::Stream(vec![call("a", "alone", "x"), done()]),
            Reply::Stream(vec![message("ok"), done()]),
        ],
        vec![ask, allow],
    );
    check_answer(house.turn().await, "ok");
    assert!(
        house.log.items()[2]
            .contains("a person must decide, and nobody can be asked here: really?")
    );
}
