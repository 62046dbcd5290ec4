//! What goes wrong, and how it is called.

use std::sync::Arc;
use std::time::Duration;

use dovetail_core::model::{FailureStage, ModelError};
use dovetail_core::plugin::FailureKind;
use tokio::net::TcpListener;

use crate::support::{client, endpoint, exchange, options, plain_client, refused, send, server};

/// An answer with an error status: what the caller learns. `URL` in `message` stands for the request's.
async fn check_status(actions: &str, kind: FailureKind, message: &str) -> ModelError {
    let server = server(actions).await;
    let error = refused(&plain_client(&server)).await;
    let url = format!("{}/responses", server.base_url());
    assert_eq!(
        (error.kind, error.message.replace(&url, "URL")),
        (kind, message.to_owned()),
        "{actions}"
    );
    assert!(matches!(error.stage, FailureStage::Status(_)), "{error:?}");
    error
}

#[tokio::test]
async fn error_statuses_have_the_known_texts() {
    check_status(
        "{ headers = { cf-ray = 'ray1', x-request-id = 'req1' } }, { status = 401, body = { error = { message = 'bad key' } } }",
        FailureKind::Unauthorized,
        "unexpected status 401 Unauthorized: bad key, url: URL, cf-ray: ray1, request id: req1",
    )
    .await;
    check_status(
        "{ status = 403 }",
        FailureKind::Forbidden,
        "unexpected status 403 Forbidden: Unknown error, url: URL",
    )
    .await;
    check_status(
        "{ status = 502, body = '<html>bad gateway</html>' }",
        FailureKind::ServerError,
        "unexpected status 502 Bad Gateway: <html>bad gateway</html>, url: URL",
    )
    .await;
    check_status(
        "{ status = 400, body = '{\"detail\":\"odd\"}' }",
        FailureKind::InvalidRequest,
        "{\"detail\":\"odd\"}",
    )
    .await;
    check_status(
        "{ status = 400, body = { error = { code = 'context_length_exceeded' } } }",
        FailureKind::ContextWindowExceeded,
        "Dovetail ran out of room in the model's context window. Start a new thread or shorten this one, then try again.",
    )
    .await;
    check_status(
        "{ status = 503, body = { error = { code = 'server_is_overloaded' } } }",
        FailureKind::Overloaded,
        "Selected model is at capacity. Please try a different model.",
    )
    .await;
    check_status(
        "{ status = 500, body = 'oops' }",
        FailureKind::ServerError,
        "the model's service is in high demand and could not answer (500 Internal Server Error), url: URL",
    )
    .await;
}

#[tokio::test]
async fn too_many_requests_may_say_when_to_come_back() {
    let text = "exceeded retry limit, last status: 429 Too Many Requests";
    let error = check_status("{ status = 429 }", FailureKind::RateLimited, text).await;
    assert_eq!(error.retry_after, None);
    let error = check_status(
        "{ status = 429, retry_after = 7 }",
        FailureKind::RateLimited,
        text,
    )
    .await;
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    let date = "{ status = 429, retry_after = 'Wed, 21 Oct 2015 07:28:00 GMT' }";
    let error = check_status(date, FailureKind::RateLimited, text).await;
    assert_eq!(error.retry_after, Some(Duration::ZERO));
    check_status(
        "{ status = 429, body = { error = { type = 'usage_limit_reached', plan_type = 'plus' } } }",
        FailureKind::UsageLimitReached,
        "You have reached the usage limit of your `plus` plan. Try again later.",
    )
    .await;
}

#[tokio::test]
async fn an_endless_error_is_cut() {
    let body = "x".repeat(200_000);
    let server = server(&format!("{{ status = 400, body = '{body}' }}")).await;
    let error = refused(&plain_client(&server)).await;
    assert_eq!(error.message, format!("{}…", "x".repeat(2_000)));
}

/// A stream that fails: what the caller learns.
async fn check_stream(
    actions: &str,
    stage: FailureStage,
    kind: FailureKind,
    message: &str,
) -> ModelError {
    let server = server(actions).await;
    let (_, error) = exchange(&plain_client(&server)).await;
    let error = error.expect("the stream fails");
    assert_eq!(
        (error.stage, error.kind, error.message.as_str()),
        (stage, kind, message),
        "{actions}"
    );
    error
}

async fn check_failed(code: &str, kind: FailureKind, message: &str) -> ModelError {
    let actions =
        format!("{{ failed = {{ code = '{code}', message = 'the words, try again in 20ms' }} }}");
    check_stream(&actions, FailureStage::Event, kind, message).await
}

#[tokio::test]
async fn failure_events_have_the_known_texts() {
    check_failed(
        "context_length_exceeded",
        FailureKind::ContextWindowExceeded,
        "Dovetail ran out of room in the model's context window. Start a new thread or shorten this one, then try again.",
    )
    .await;
    let quota = "Quota exceeded. Check your plan and billing details.";
    check_failed("insufficient_quota", FailureKind::QuotaExceeded, quota).await;
    let plan =
        "Your plan does not include this model. Upgrade the plan or use an API key to go on.";
    check_failed("usage_not_included", FailureKind::UsageNotIncluded, plan).await;
    check_failed(
        "invalid_prompt",
        FailureKind::InvalidRequest,
        "the words, try again in 20ms",
    )
    .await;
    check_failed(
        "cyber_policy",
        FailureKind::InvalidRequest,
        "the words, try again in 20ms",
    )
    .await;
    let capacity = "Selected model is at capacity. Please try a different model.";
    check_failed("server_is_overloaded", FailureKind::Overloaded, capacity).await;
    let retried = "stream disconnected before completion: the words, try again in 20ms";
    let error = check_failed("rate_limit_exceeded", FailureKind::RateLimited, retried).await;
    assert_eq!(error.retry_after, Some(Duration::from_millis(20)));
    check_failed("slow_down", FailureKind::RateLimited, retried).await;
    check_failed("new_in_2030", FailureKind::Unknown, retried).await;
    check_stream(
        "{ incomplete = 'max_output_tokens' }",
        FailureStage::Event,
        FailureKind::InvalidRequest,
        "Incomplete response returned, reason: max_output_tokens",
    )
    .await;
    check_stream(
        "{ event = { type = 'response.failed' } }",
        FailureStage::Event,
        FailureKind::Unknown,
        "stream disconnected before completion: Unknown error",
    )
    .await;
}

async fn check_disconnected(actions: &str, why: &str) {
    let message = format!("stream disconnected before completion: {why}");
    check_stream(
        actions,
        FailureStage::Stream,
        FailureKind::Unknown,
        &message,
    )
    .await;
}

#[tokio::test]
async fn broken_streams_say_how_they_broke() {
    let closed = "stream closed before response.completed";
    check_disconnected("{ text = 'hi' }, { event = { type = 'response.in_progress' } }, { disconnect = { after_bytes = 0 } }", "unexpected EOF during chunk size line").await;
    check_disconnected(
        "{ text = 'hi' }, { disconnect = 'mid_event' }",
        "unexpected EOF during chunk size line",
    )
    .await;
    let server =
        crate::support::script("[[response]]\ncomplete = false\nactions = [{ text = 'hi' }]").await;
    let (events, error) = exchange(&plain_client(&server)).await;
    assert_eq!(events.len(), 4);
    assert_eq!(
        error.map(|error| error.message),
        Some(format!("stream disconnected before completion: {closed}"))
    );
}

#[tokio::test]
async fn silence_ends_a_stream_and_comments_are_silence() {
    let server =
        server("{ text = 'hi' }, { garbage = \": still here\\n\\n\" }, { hang = true }").await;
    let mut options = options();
    options.idle_timeout = Duration::from_millis(80);
    let client = client(Arc::default(), endpoint(&server.base_url()), options);
    let (events, error) = exchange(&client).await;
    assert_eq!(crate::support::text(&events), "hi");
    let error = error.expect("it fails");
    assert_eq!(
        error.message,
        "stream disconnected before completion: idle timeout waiting for SSE"
    );
    // The server sees that nobody listens any more.
    server.wait_until(|progress| progress.abandoned == 1).await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named() {
    let server = server("{ hang = true }").await;
    let mut options = options();
    options.idle_timeout = Duration::from_millis(80);
    let client = client(Arc::default(), endpoint(&server.base_url()), options);
    let error = refused(&client).await;
    let message = format!(
        "no answer from `{}/responses` within 80 ms",
        server.base_url()
    );
    assert_eq!(
        (error.stage, error.message),
        (FailureStage::Exchange, message)
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base_url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    drop(listener);
    let error = refused(&client(Arc::default(), endpoint(&base_url), options())).await;
    let message =
        format!("cannot connect to `{base_url}/responses`: Connection refused (os error 111)");
    assert_eq!(
        (error.stage, error.message),
        (FailureStage::Connect, message)
    );
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_named() {
    let server = server("{ disconnect = 'now' }").await;
    let error = refused(&plain_client(&server)).await;
    assert_eq!(error.stage, FailureStage::Exchange);
    assert!(
        error.message.starts_with(&format!(
            "no answer from `{}/responses`: ",
            server.base_url()
        )),
        "{error}"
    );
}

#[tokio::test]
async fn a_page_is_no_stream() {
    let server = server(
        "{ headers = { content-type = 'text/html; charset=utf-8' } }, { garbage = '<html>' }",
    )
    .await;
    let Err(error) = send(&plain_client(&server)).await else {
        panic!("a page was taken for a stream")
    };
    let url = format!("{}/responses", server.base_url());
    assert_eq!(
        error.message,
        format!(
            "stream disconnected before completion: `{url}` answered with `text/html; charset=utf-8` instead of an event stream"
        )
    );
}
