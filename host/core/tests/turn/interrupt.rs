//! Turns that a person stops.

use std::sync::Arc;
use std::time::Duration;

use dovetail_core::event::{AbortReason, TurnEvent};
use dovetail_core::ids::TurnId;
use dovetail_core::model::FailureStage;
use dovetail_core::plugin::FailureKind;
use dovetail_core::turn::{Start, TurnOutcome};
use tokio_util::sync::CancellationToken;

use crate::house::{
    Reply, activity, beginning, call, check_answer, done, failure, house, message, options, prompt,
};

#[tokio::test]
async fn an_interrupt_closes_every_call_and_leaves_a_marker() {
    let hang = vec![call("a", "together", "hang").expect("an event")];
    let mut house = house(vec![Reply::Hang(hang)], Vec::new());
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let hung = Arc::clone(&house.hung);
    let stopper = tokio::spawn(async move {
        hung.notified().await;
        stop.cancel();
    });
    let outcome = house.thread.run_turn(prompt("go"), options(), cancel).await;
    stopper.await.expect("the stopper ended");
    assert!(matches!(outcome, TurnOutcome::Interrupted));
    let items = house.log.items();
    assert!(
        items[2].starts_with("output a: Wall time: ") && items[2].ends_with("aborted by user"),
        "{items:?}"
    );
    assert_eq!(items[3], "user: <turn_aborted>");
}

#[tokio::test]
async fn a_message_that_had_begun_is_closed_and_is_no_part_of_the_conversation() {
    let mut house = house(Vec::new(), Vec::new());
    let handle = house.thread.handle();
    house.then(Reply::During {
        before: beginning("msg_1", "half an ans")
            .into_iter()
            .map(Ok)
            .collect(),
        act: Box::new(move || {
            handle
                .interrupt(None, AbortReason::Replaced)
                .expect("a turn runs");
        }),
        after: Vec::new(),
    });
    assert!(matches!(house.turn().await, TurnOutcome::Interrupted));
    let events = house.log.0.lock().expect("lock");
    let tail: Vec<&TurnEvent> = events.iter().rev().take(3).rev().collect();
    assert_eq!(
        tail[0],
        &TurnEvent::MessageAbandoned {
            item_id: "msg_1".to_owned(),
            text: "half an ans".to_owned()
        }
    );
    assert!(
        matches!(tail[1], TurnEvent::ItemRecorded { .. }),
        "the marker: {:?}",
        tail[1]
    );
    assert!(
        matches!(
            tail[2],
            TurnEvent::TurnAborted {
                reason: AbortReason::Replaced,
                ..
            }
        ),
        "{:?}",
        tail[2]
    );
}

#[tokio::test]
async fn a_message_that_broke_off_is_closed_before_the_next_try() {
    let mut half: Vec<_> = beginning("msg_1", "half").into_iter().map(Ok).collect();
    half.push(Err(failure(FailureStage::Stream, FailureKind::Unknown)));
    let mut house = house(
        vec![
            Reply::Stream(half),
            Reply::Stream(vec![message("whole"), done()]),
        ],
        Vec::new(),
    );
    check_answer(house.turn().await, "whole");
    let events = house.log.0.lock().expect("lock");
    let closed = events.iter().position(
        |event| matches!(event, TurnEvent::MessageAbandoned { item_id, .. } if item_id == "msg_1"),
    );
    let retried = events
        .iter()
        .position(|event| matches!(event, TurnEvent::Reconnecting { .. }));
    assert!(
        closed.is_some() && closed < retried,
        "{closed:?} {retried:?}"
    );
}

#[tokio::test]
async fn visible_work_of_a_call_that_does_not_end_is_closed() {
    let hang = vec![call("a", "together", "show and hang").expect("an event")];
    let mut house = house(vec![Reply::Hang(hang)], Vec::new());
    let (handle, hung) = (house.thread.handle(), Arc::clone(&house.hung));
    let stopper = tokio::spawn(async move {
        hung.notified().await;
        handle.interrupt(None, AbortReason::Interrupted)
    });
    assert!(matches!(house.turn().await, TurnOutcome::Interrupted));
    stopper
        .await
        .expect("the stopper ended")
        .expect("a turn ran");
    let events = house.log.0.lock().expect("lock");
    let finished: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            TurnEvent::ToolFinished {
                call_id, activity, ..
            } => Some((call_id.as_str(), activity.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(finished, [("a", activity().given_up())]);
}

#[tokio::test(start_paused = true)]
async fn however_many_calls_hang_an_interrupt_takes_no_longer() {
    let hang = ["a", "b", "c", "d"].map(|id| call(id, "together", "hang").expect("an event"));
    let mut house = house(vec![Reply::Hang(hang.to_vec())], Vec::new());
    let (handle, hung) = (house.thread.handle(), Arc::clone(&house.hung));
    let stopper = tokio::spawn(async move {
        hung.notified().await;
        handle
            .interrupt(None, AbortReason::Interrupted)
            .expect("a turn runs");
        tokio::time::Instant::now()
    });
    assert!(matches!(house.turn().await, TurnOutcome::Interrupted));
    let interrupted = stopper.await.expect("the stopper ended");
    // The clock stands still but for what the turn itself waits.
    let took = interrupted.elapsed();
    assert!(took <= Duration::from_millis(100), "{took:?}");
    let outputs = house
        .log
        .items()
        .iter()
        .filter(|item| item.ends_with("aborted by user"))
        .count();
    assert_eq!(outputs, 4);
}

#[tokio::test]
async fn a_claimed_turn_can_be_interrupted_before_it_runs() {
    let mut house = house(Vec::new(), Vec::new());
    let handle = house.thread.handle();
    let Start::New(ticket) = handle.start(prompt("go"), CancellationToken::new()) else {
        panic!("nothing runs")
    };
    let id = ticket.turn_id();
    assert_eq!(handle.interrupt(Some(id), AbortReason::Interrupted), Ok(id));
    let outcome = house.thread.run(ticket, options()).await;
    assert!(matches!(outcome, TurnOutcome::Interrupted), "{outcome:?}");
    assert!(house.model.requests.lock().expect("lock").is_empty());
    assert_eq!(handle.running(), None);
}

#[tokio::test]
async fn an_interrupt_of_another_turn_is_refused() {
    let mut house = house(Vec::new(), Vec::new());
    let handle = house.thread.handle();
    house.then(Reply::during(vec![message("ok")], move || {
        let other = Some(TurnId::generate());
        handle
            .interrupt(other, AbortReason::Interrupted)
            .expect_err("another turn runs");
    }));
    check_answer(house.turn().await, "ok");
}
