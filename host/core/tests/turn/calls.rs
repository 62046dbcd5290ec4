//! Tool calls in a turn.

use dovetail_core::item::OutputPayload;
use dovetail_core::model::ModelEvent;

use crate::house::{Reply, call, check_answer, done, house, message};

#[tokio::test]
async fn calls_that_may_overlap_do_and_results_keep_call_order() {
    let first = vec![
        call("a", "together", "meet"),
        call("b", "together", "meet"),
        call("c", "alone", "x"),
        done(),
    ];
    let mut house = house(
        vec![
            Reply::Stream(first),
            Reply::Stream(vec![message("ok"), done()]),
        ],
        Vec::new(),
    );
    check_answer(house.turn().await, "ok");
    assert_eq!(
        house.log.items(),
        [
            "user: go",
            "call a",
            "call b",
            "call c",
            "output a: did meet",
            "output b: did meet",
            "output c: did x",
            "assistant: ok"
        ]
    );
    assert_eq!(house.thread.totals().total_tokens, 22);
}

#[tokio::test]
async fn a_call_that_is_sent_twice_is_made_once() {
    let twice = vec![
        call("a", "together", "meet"),
        call("b", "together", "meet"),
        call("a", "together", "meet"),
        done(),
    ];
    let again = vec![call("a", "alone", "x"), done()];
    let mut house = house(
        vec![
            Reply::Stream(twice),
            // Some models begin to count anew with each answer.
            Reply::Stream(again),
            Reply::Stream(vec![message("ok"), done()]),
        ],
        Vec::new(),
    );
    check_answer(house.turn().await, "ok");
    assert_eq!(
        house.log.items(),
        [
            "user: go",
            "call a",
            "call b",
            "output a: did meet",
            "output b: did meet",
            "call a",
            "output a: did x",
            "assistant: ok"
        ]
    );
}

#[tokio::test]
async fn an_unknown_tool_is_an_answer_for_the_model() {
    let mut house = house(
        vec![
            Reply::Stream(vec![call("a", "nope", "x"), done()]),
            Reply::Stream(vec![message("ok"), done()]),
        ],
        Vec::new(),
    );
    check_answer(house.turn().await, "ok");
    assert_eq!(house.log.items()[2], "output a: unsupported call: nope");
}

#[tokio::test]
async fn what_any_tool_says_is_cut_to_what_a_model_is_shown() {
    // A fifth more than the limit is let through, for what tools write around what they cut themselves.
    for (length, cut) in [(47_990, false), (60_000, true)] {
        let long = "x".repeat(length);
        let mut house = house(
            vec![
                Reply::Stream(vec![call("a", "alone", &long), done()]),
                Reply::Stream(vec![message("ok"), done()]),
            ],
            Vec::new(),
        );
        check_answer(house.turn().await, "ok");
        let head = "Warning: truncated output (original token count: 15001)\nTotal output lines: 1\n\ndid ";
        let expected = if cut {
            let (head_rest, tail) = ("x".repeat(20_000 - 4), "x".repeat(20_000));
            format!("output a: {head}{head_rest}…5001 tokens truncated…{tail}")
        } else {
            format!("output a: did {long}")
        };
        assert!(
            house.log.items()[2] == expected,
            "{length}: {:.200}",
            house.log.items()[2]
        );
    }
}

#[test]
fn text_outputs_are_whole() {
    assert_eq!(OutputPayload::Text("x".to_owned()).text(), "x");
}

#[tokio::test]
async fn a_turn_has_as_many_requests_as_the_model_wants() {
    let mut replies: Vec<Reply> = (0..300)
        .map(|_| Reply::Stream(vec![call("again", "alone", "x"), done()]))
        .collect();
    replies.push(Reply::Stream(vec![message("ok"), done()]));
    let mut house = house(replies, Vec::new());
    check_answer(house.turn().await, "ok");
    assert_eq!(house.model.requests.lock().expect("lock").len(), 301);
}

#[tokio::test]
async fn a_model_that_has_not_ended_its_turn_is_asked_again() {
    let unfinished = Ok(ModelEvent::Completed {
        response_id: "r".to_owned(),
        usage: None,
        end_turn: Some(false),
    });
    let mut house = house(
        vec![
            Reply::Stream(vec![message("to be continued"), unfinished]),
            Reply::Stream(vec![message("the end"), done()]),
        ],
        Vec::new(),
    );
    check_answer(house.turn().await, "the end");
    assert_eq!(house.said(1), ["user: go", "assistant: to be continued"]);
}
