//! What comes back.

use std::time::{Duration, Instant};

use dovetail_core::event::RateLimitWindow;
use dovetail_core::item::{ContentItem, ResponseItem};
use dovetail_core::model::{ModelClient as _, ModelEvent};
use dovetail_core::usage::TokenUsage;
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::support::{collect, exchange, plain_client, request, send, server, text};

#[tokio::test]
async fn a_whole_answer_arrives_in_order() {
    let server = server(
        r#"{ headers = { x-codex-turn-state = "ts-1", openai-model = "gpt-y", x-codex-primary-used-percent = "12", x-models-etag = "v7", x-reasoning-included = "true" } },
        { reasoning = "**Think**", chunk = 5 },
        { text = "Hällo", phase = "commentary", chunk = 3 },
        { tool_call = "exec_command", call_id = "c1", arguments = { cmd = "ls" } },
        { usage = { input_tokens = 9, cached_input_tokens = 4, output_tokens = 3, reasoning_output_tokens = 1 } },
        { end_turn = false }"#,
    )
    .await;
    let (events, error) = exchange(&plain_client(&server)).await;
    assert_eq!(error, None);
    let window = RateLimitWindow {
        used_percent: 12.0,
        window_minutes: None,
        resets_at: None,
    };
    let added = |kind: &str, id: &str| ModelEvent::ItemAdded {
        kind: kind.to_owned(),
        id: id.to_owned(),
    };
    let item =
        |json: &str| ModelEvent::ItemDone(Box::new(serde_json::from_str(json).expect("an item")));
    let message = ResponseItem::Message {
        id: Some("msg_1_1".to_owned()),
        role: "assistant".to_owned(),
        content: vec![ContentItem::OutputText {
            text: "Hällo".to_owned(),
        }],
        phase: Some("commentary".to_owned()),
        metadata: None,
    };
    assert_eq!(
        events,
        [
            ModelEvent::TurnState("ts-1".to_owned()),
            ModelEvent::ServerModel("gpt-y".to_owned()),
            ModelEvent::RateLimits(dovetail_core::event::RateLimits {
                primary: Some(window),
                ..dovetail_core::event::RateLimits::default()
            }),
            ModelEvent::ModelsEtag("v7".to_owned()),
            ModelEvent::ReasoningIncluded,
            ModelEvent::Created,
            added("reasoning", "rs_1_0"),
            ModelEvent::ReasoningDelta("**Thi".to_owned()),
            ModelEvent::ReasoningDelta("nk**".to_owned()),
            item(
                r#"{"type":"reasoning","id":"rs_1_0","summary":[{"type":"summary_text","text":"**Think**"}],
                "encrypted_content":"rehearsed"}"#
            ),
            added("message", "msg_1_1"),
            ModelEvent::TextDelta("Häl".to_owned()),
            ModelEvent::TextDelta("lo".to_owned()),
            ModelEvent::ItemDone(Box::new(message)),
            added("function_call", "fc_1_2"),
            item(
                r#"{"type":"function_call","id":"fc_1_2","name":"exec_command","arguments":"{\"cmd\":\"ls\"}",
                "call_id":"c1"}"#
            ),
            ModelEvent::Completed {
                response_id: "resp_1".to_owned(),
                usage: Some(TokenUsage {
                    input_tokens: 9,
                    cached_input_tokens: 4,
                    cache_write_input_tokens: 0,
                    output_tokens: 3,
                    reasoning_output_tokens: 1,
                    total_tokens: 12,
                }),
                end_turn: Some(false),
            },
        ]
    );
}

#[tokio::test]
async fn garbage_is_left_out_and_the_rest_arrives() {
    let server = server(
        r#"{ split = 1 },
        { garbage = "data: {this is no JSON\n\n: a comment\n\nevent: only\n\n" },
        { garbage = { hex = "64 61 74 61 3a ff fe 0a 0a" } },
        { event = { type = "response.output_text.delta", delta = "belongs to nothing" } },
        { event = { type = "invented.tomorrow" } },
        { text = "Grüße 🌪", chunk = 2 },
        { garbage = "data: [DONE]\r\n\r\n" }"#,
    )
    .await;
    let (events, error) = exchange(&plain_client(&server)).await;
    assert_eq!((text(&events).as_str(), error), ("Grüße 🌪", None));
}

#[tokio::test]
async fn completed_is_the_end_even_if_the_server_goes_on() {
    let server = server(
        "{ event = { type = 'response.completed', response = { id = 'r' } } }, { text = 'too late' }, { hang = true }",
    )
    .await;
    let (events, error) = exchange(&plain_client(&server)).await;
    assert_eq!(error, None);
    assert!(
        matches!(events.last(), Some(ModelEvent::Completed { .. })),
        "{events:?}"
    );
    // The connection is of no use then: it is closed after a moment.
    server.wait_until(|progress| progress.abandoned == 1).await;
}

#[tokio::test]
async fn an_end_without_its_last_empty_line_counts() {
    let server = crate::support::script(
        r#"[[response]]
        complete = false
        actions = [{ text = "hi" }, { garbage = 'data: {"type":"response.completed","response":{"id":"r"}}' }]"#,
    )
    .await;
    let (events, error) = exchange(&plain_client(&server)).await;
    assert_eq!((text(&events).as_str(), error), ("hi", None));
}

#[tokio::test]
async fn events_arrive_as_they_are_sent() {
    let server = server("{ text = 'first' }, { gate = true }, { text = 'second' }").await;
    let mut stream = send(&plain_client(&server))
        .await
        .expect("the stream begins");
    loop {
        let event = stream
            .next()
            .await
            .expect("more to come")
            .expect("no error");
        if let ModelEvent::ItemDone(_) = event {
            break;
        }
    }
    assert_eq!(server.progress().answered, 0);
    server.open_gate();
    let (events, error) = collect(stream).await;
    assert_eq!((text(&events).as_str(), error), ("second", None));
}

/// How soon a cancelled or dropped exchange must be over; a loaded machine needs some of it.
const SOON: Duration = Duration::from_millis(500);

#[tokio::test]
async fn cancelling_ends_a_stream_that_is_silent() {
    let server = server("{ text = 'hi' }, { hang = true }").await;
    let cancel = CancellationToken::new();
    let mut stream = plain_client(&server)
        .send(&request(), &cancel)
        .await
        .expect("the stream begins");
    while !matches!(stream.next().await, Some(Ok(ModelEvent::ItemDone(_)))) {}
    // The stream is asked first, and waits, when the token is cancelled.
    let ((events, error), cancelled) = tokio::join!(collect(stream), async {
        cancel.cancel();
        Instant::now()
    });
    assert!(cancelled.elapsed() < SOON);
    assert_eq!(events, []);
    assert_eq!(
        error.map(|error| error.message),
        Some("the request was cancelled".to_owned())
    );
    server.wait_until(|progress| progress.abandoned == 1).await;
}

#[tokio::test]
async fn cancelling_ends_a_request_without_an_answer() {
    let server = server("{ hang = true }").await;
    let cancel = CancellationToken::new();
    let client = plain_client(&server);
    let request = request();
    let (result, ()) = tokio::join!(client.send(&request, &cancel), async {
        server.wait_until(|progress| progress.requests == 1).await;
        cancel.cancel();
    });
    assert!(result.is_err_and(|error| error.message == "the request was cancelled"));
    server.wait_until(|progress| progress.abandoned == 1).await;
}

#[tokio::test]
async fn dropping_a_stream_ends_the_exchange() {
    let server = server("{ text = 'hi' }, { hang = true }").await;
    let stream = send(&plain_client(&server))
        .await
        .expect("the stream begins");
    let dropped = Instant::now();
    drop(stream);
    server.wait_until(|progress| progress.abandoned == 1).await;
    assert!(dropped.elapsed() < SOON);
}
