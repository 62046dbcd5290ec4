//! Turns that a person stops.

use std::sync::Arc;

use dovetail_core::turn::{Prompt, TurnOutcome};
use tokio_util::sync::CancellationToken;

use crate::house::{Reply, call, house, options};

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
    let outcome = house
        .thread
        .run_turn(
            Prompt {
                text: "go".to_owned(),
                images: Vec::new(),
            },
            options(),
            cancel,
        )
        .await;
    stopper.await.expect("the stopper ended");
    assert!(matches!(outcome, TurnOutcome::Interrupted));
    let items = house.log.items();
    assert!(
        items[2].starts_with("output a: Wall time: ") && items[2].ends_with("aborted by user"),
        "{items:?}"
    );
    assert_eq!(items[3], "user: <turn_aborted>");
}
