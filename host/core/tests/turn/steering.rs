//! What people say to a turn that is running.

use std::sync::{Arc, Mutex};

use dovetail_core::event::TurnEvent;
use dovetail_core::ids::TurnId;
use dovetail_core::model::FailureStage;
use dovetail_core::plugin::{FailureKind, HookDecision, OnFailure};
use dovetail_core::snapshot::Extras;
use dovetail_core::turn::{NotRunning, Start, Steer, TurnOutcome};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::house::{
    House, Reply, TestHook, call, check_answer, done, failure, house, message, options, prompt, say,
};

fn steer(text: &str) -> Steer {
    Steer {
        prompt: prompt(text),
        extras: None,
    }
}

fn extras(key: &str) -> Extras {
    Extras::of_client([(key.to_owned(), json!("v"))])
}

/// The metadata blob of a request.
fn blob(house: &House, request: usize) -> Value {
    let requests = house.model.requests.lock().expect("lock");
    serde_json::from_str(&requests[request].metadata.turn_metadata()).expect("the blob is JSON")
}

/// Steers while the model answers, with all of its message there.
fn steered_while_answering(house: &House, answer: &str, steer: Steer) {
    let handle = house.thread.handle();
    house.then(Reply::during(vec![message(answer)], move || {
        handle.steer(None, steer).expect("a turn runs");
    }));
}

#[tokio::test]
async fn what_is_said_meanwhile_is_read_before_the_next_request_of_the_same_turn() {
    let mut house = house(Vec::new(), Vec::new());
    steered_while_answering(&house, "first", steer("and this"));
    house.then(Reply::Stream(vec![message("both"), done()]));
    check_answer(house.turn().await, "both");
    assert_eq!(
        house.said(1),
        ["user: go", "assistant: first", "user: and this"]
    );
    let events = house.log.0.lock().expect("lock");
    let count =
        |wanted: fn(&TurnEvent) -> bool| events.iter().filter(|event| wanted(event)).count();
    assert_eq!(
        count(|event| matches!(event, TurnEvent::TurnStarted { .. })),
        1
    );
    assert_eq!(
        count(|event| matches!(event, TurnEvent::UserMessage { .. })),
        2
    );
    assert_eq!(
        count(|event| matches!(event, TurnEvent::Settings { .. })),
        1
    );
}

#[tokio::test]
async fn what_is_said_during_a_call_comes_after_its_output() {
    let mut house = house(Vec::new(), Vec::new());
    let handle = house.thread.handle();
    house.then(Reply::during(vec![call("a", "alone", "x")], move || {
        handle.steer(None, steer("hurry")).expect("a turn runs");
    }));
    house.then(Reply::Stream(vec![message("ok"), done()]));
    check_answer(house.turn().await, "ok");
    assert_eq!(
        house.said(1),
        ["user: go", "call a", "output a: did x", "user: hurry"]
    );
}

#[tokio::test]
async fn a_steer_names_the_turn_it_means() {
    let mut house = house(Vec::new(), Vec::new());
    let handle = house.thread.handle();
    assert_eq!(handle.steer(None, steer("x")), Err(NotRunning::Nothing));
    assert_eq!(
        NotRunning::Nothing.to_string(),
        "no active turn to steer",
        "clients look for this text"
    );
    let other = TurnId::generate();
    let refused = Arc::new(Mutex::new(None));
    let (asked, told) = (handle.clone(), Arc::clone(&refused));
    house.then(Reply::during(vec![message("ok")], move || {
        *told.lock().expect("lock") = Some(asked.steer(Some(other), steer("x")));
    }));
    check_answer(house.turn().await, "ok");
    let refused = refused.lock().expect("lock").take();
    assert!(
        matches!(refused, Some(Err(NotRunning::Other { expected, .. })) if expected == other),
        "{refused:?}"
    );
    assert_eq!(handle.running(), None);
}

#[tokio::test]
async fn a_second_start_becomes_a_steer_of_the_turn_that_runs() {
    let mut house = house(Vec::new(), Vec::new());
    let handle = house.thread.handle();
    let answered = Arc::new(Mutex::new(None));
    let (asked, told) = (handle.clone(), Arc::clone(&answered));
    house.then(Reply::during(vec![message("first")], move || {
        let start = asked.start(prompt("second"), CancellationToken::new());
        *told.lock().expect("lock") = Some((asked.running(), start));
    }));
    house.then(Reply::Stream(vec![message("both"), done()]));
    check_answer(house.turn().await, "both");
    assert_eq!(
        house.said(1),
        ["user: go", "assistant: first", "user: second"]
    );
    match answered.lock().expect("lock").take() {
        Some((running, Start::Steered(turn))) => assert_eq!(running, Some(turn)),
        other => panic!("expected a steer, got {other:?}"),
    }
}

#[tokio::test]
async fn a_steers_extras_take_the_place_of_the_turns() {
    let mut house = house(Vec::new(), Vec::new());
    let plain = steer("one");
    let with_extras = Steer {
        prompt: prompt("two"),
        extras: Some(extras("steer_key")),
    };
    steered_while_answering(&house, "a", plain);
    steered_while_answering(&house, "b", with_extras);
    house.then(Reply::Stream(vec![message("c"), done()]));
    let mut options = options();
    options.configured_extras = extras("configured_key");
    options.extras = extras("my_key");
    let outcome = house
        .thread
        .run_turn(prompt("go"), options, CancellationToken::new())
        .await;
    check_answer(outcome, "c");
    let keys = |request| {
        let blob = blob(&house, request);
        ["configured_key", "my_key", "steer_key"].map(|key| blob.get(key).is_some())
    };
    assert_eq!(keys(0), [true, true, false]);
    assert_eq!(keys(1), [true, true, false]);
    assert_eq!(keys(2), [true, false, true]);
}

#[tokio::test]
async fn what_a_failed_turn_has_not_read_is_read_first_by_the_next() {
    let mut house = house(Vec::new(), Vec::new());
    let handle = house.thread.handle();
    let error = failure(FailureStage::Event, FailureKind::InvalidRequest);
    house.then(Reply::During {
        before: Vec::new(),
        act: Box::new(move || {
            handle.steer(None, steer("meanwhile")).expect("a turn runs");
        }),
        after: vec![Err(error)],
    });
    assert!(matches!(house.turn().await, TurnOutcome::Failed(_)));
    house.then(Reply::Stream(vec![message("ok"), done()]));
    check_answer(house.turn().await, "ok");
    assert_eq!(house.said(1), ["user: go", "user: meanwhile", "user: go"]);
}

#[tokio::test]
async fn a_client_may_take_back_what_no_turn_has_read() {
    let house = house(Vec::new(), Vec::new());
    let handle = house.thread.handle();
    let Start::New(ticket) = handle.start(prompt("go"), CancellationToken::new()) else {
        panic!("nothing runs")
    };
    assert_eq!(handle.running(), Some(ticket.turn_id()));
    handle
        .steer(Some(ticket.turn_id()), steer("x"))
        .expect("a turn is claimed");
    drop(ticket);
    assert_eq!(handle.running(), None);
    let left: Vec<String> = handle
        .take_queued()
        .into_iter()
        .map(|steer| steer.prompt.text)
        .collect();
    assert_eq!(left, ["x"]);
}

#[tokio::test]
async fn hooks_are_asked_about_a_steer_and_a_stopped_one_asks_nothing() {
    let gate = TestHook::gate("gate", "UserPromptSubmit", OnFailure::Deny, |event| {
        say(if event.payload["prompt"] == json!("bad") {
            HookDecision::Deny("no".to_owned())
        } else {
            HookDecision::None
        })
    });
    let mut house = house(Vec::new(), vec![gate]);
    steered_while_answering(&house, "only answer", steer("bad"));
    check_answer(house.turn().await, "only answer");
    assert_eq!(house.log.items(), ["user: go", "assistant: only answer"]);
}

#[tokio::test]
async fn what_is_said_while_stop_hooks_are_asked_is_not_lost() {
    let house_handle = Arc::new(Mutex::new(None::<dovetail_core::turn::ThreadHandle>));
    let hook = crate::house::ActingHook::on("Stop", {
        let house_handle = Arc::clone(&house_handle);
        move || {
            if let Some(handle) = house_handle.lock().expect("lock").take() {
                handle.steer(None, steer("one more")).expect("a turn runs");
            }
        }
    });
    let mut house = house(
        vec![
            Reply::Stream(vec![message("done"), done()]),
            Reply::Stream(vec![message("really done"), done()]),
        ],
        vec![hook],
    );
    *house_handle.lock().expect("lock") = Some(house.thread.handle());
    check_answer(house.turn().await, "really done");
    assert_eq!(
        house.said(1),
        ["user: go", "assistant: done", "user: one more"]
    );
}
