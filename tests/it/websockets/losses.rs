//! Connections and answers that are lost on the way.

use dovetail_tests::script;

use super::{GRANTED, check_answer, lab, lab_with, methods, questions, told};

fn response(actions: &str) -> String {
    format!("[[response]]\nactions = [{actions}]\n")
}

#[tokio::test]
async fn a_connection_that_closes_is_replaced_and_nothing_finished_is_lost() {
    let half =
        "{ text = 'done already', phase = 'commentary' }, { text = 'half' }, { close = 1011 }";
    let lab = lab(&[GRANTED, &response(half), &script::answer("whole")]).await;
    let ran = lab.exec_json(&["go"], 0).await;
    check_answer(&ran, "whole");
    assert_eq!(
        told(&lab, &ran),
        Vec::<String>::new(),
        "the first time nobody is told"
    );
    let again = &questions(&lab)[1];
    assert_eq!(again.get("previous_response_id"), None);
    let input = again["input"].to_string();
    assert!(
        input.contains("done already") && !input.contains("[half]"),
        "{input}"
    );
    assert_eq!(
        methods(&lab),
        ["GET", "WEBSOCKET", "WEBSOCKET", "GET", "WEBSOCKET"]
    );
}

#[tokio::test]
async fn what_is_lost_again_and_again_is_said_and_then_goes_over_http() {
    let broken = response("{ text = 'half' }, { disconnect = 'now' }");
    let lab = lab_with(
        &[
            GRANTED,
            &broken,
            &broken,
            &broken,
            &broken,
            &script::answer("over HTTP"),
            &script::answer("next"),
        ],
        "",
    )
    .await;
    let retries = "model_providers.rehearsal.stream_max_retries=3";
    let ran = lab.exec_json(&["-c", retries, "go"], 0).await;
    check_answer(&ran, "over HTTP");
    let why = "stream disconnected before completion: WebSocket protocol error: Connection reset without closing handshake";
    assert_eq!(
        told(&lab, &ran),
        [
            format!("Reconnecting... 2/3 ({why})"),
            format!("Reconnecting... 3/3 ({why})"),
            format!("Falling back from WebSockets to HTTPS transport. {why}"),
        ]
    );
    // Connections can be had: the next run has one.
    check_answer(
        &lab.exec_json(&["resume", "--last", "go on"], 0).await,
        "next",
    );
    assert_eq!(
        methods(&lab)
            .iter()
            .filter(|method| *method == "POST")
            .count(),
        1
    );
    lab.expect_played();
}

#[tokio::test]
async fn errors_in_messages_end_a_turn_as_statuses_do() {
    let refused =
        "{ status = 400, body = { error = { code = 'context_length_exceeded', message = 'm' } } }";
    // A window that is full is made room in before the thread goes on.
    let (summary, answer) = (script::answer("in short"), script::answer("on"));
    let lab = lab(&[GRANTED, &response(refused), &summary, &answer]).await;
    let ran = lab.exec_json(&["go"], 1).await;
    assert!(
        ran.failure().starts_with("Dovetail ran out of room"),
        "{}",
        ran.failure()
    );
    assert_eq!(methods(&lab), ["GET", "WEBSOCKET", "WEBSOCKET"]);
    lab.exec_json(&["resume", "--last", "go on"], 0).await;
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_as_long_as_the_server_says() {
    let limited = "{ status = 429, retry_after = 0, body = { error = { message = 'slow' } } }";
    let lab = lab(&[GRANTED, &response(limited), &script::answer("on")]).await;
    let ran = lab.exec_json(&["go"], 0).await;
    check_answer(&ran, "on");
    assert_eq!(
        methods(&lab),
        ["GET", "WEBSOCKET", "WEBSOCKET", "GET", "WEBSOCKET"]
    );
}

#[tokio::test]
async fn a_server_that_does_not_make_ready_is_asked_all_the_same() {
    let upgrades = "[[upgrade]]\nwarm_up = [{ close = 1011 }]\n[[upgrade]]\n";
    let lab = lab(&[upgrades, &script::answer("on")]).await;
    let ran = lab.exec_json(&["go"], 0).await;
    check_answer(&ran, "on");
    assert_eq!(told(&lab, &ran), Vec::<String>::new());
    assert_eq!(questions(&lab)[0].get("previous_response_id"), None);
}
