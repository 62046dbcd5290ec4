//! Tool calls in a turn.

use dovetail_core::item::OutputPayload;

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

#[test]
fn text_outputs_are_whole() {
    assert_eq!(OutputPayload::Text("x".to_owned()).text(), "x");
}
