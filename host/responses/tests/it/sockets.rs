//! Answers and failures over a WebSocket: the same as over HTTP.

use std::sync::Arc;
use std::time::Duration;

use dovetail_core::model::{FailureStage, ModelClient as _, ModelError, ModelEvent};
use dovetail_core::plugin::FailureKind;
use dovetail_responses::{ClientOptions, PlainHosts};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{
    KEY, collect, exchange, plain_client, refused, request, script, send, server, socket_client,
    socket_client_of, socket_options, socket_server, text,
};

/// What is told by the head of an answer.
const HEADERS: &str = r#"{ x-codex-turn-state = "ts-1", openai-model = "gpt-y", x-codex-primary-used-percent = "12", x-models-etag = "v7", x-reasoning-included = "true" }"#;
const ANSWER: &str = r#"
    { reasoning = "**Think**", chunk = 5 },
    { text = "Hällo", phase = "commentary", chunk = 3 },
    { event = { type = "invented.tomorrow" } },
    { event = '{"type":"codex.rate_limits","rate_limits":{"primary":{"used_percent":7}}}' },
    { tool_call = "exec_command", call_id = "c1", arguments = { cmd = "ls" } },
    { usage = { input_tokens = 9, cached_input_tokens = 4, output_tokens = 3 } },
    { end_turn = false }"#;

#[tokio::test]
async fn a_whole_answer_is_the_same_as_over_http() {
    let plain = server(&format!("{{ headers = {HEADERS} }}, {ANSWER}")).await;
    let expected = exchange(&plain_client(&plain)).await;
    assert!(
        expected.0.len() > 15 && expected.1.is_none(),
        "{expected:?}"
    );
    for more in ["", "{ split = 1 },", "{ split = 7 }, { ping = true },"] {
        let server = script(&format!(
            "[[upgrade]]\nheaders = {HEADERS}\n[[response]]\nactions = [{more}{ANSWER}]"
        ))
        .await;
        assert_eq!(exchange(&socket_client(&server)).await, expected, "{more}");
    }
}

#[tokio::test]
async fn what_the_upgrade_told_is_told_once() {
    let server = script(&format!(
        "[[upgrade]]\nheaders = {HEADERS}\n[[response]]\ntimes = 2\nactions = [{{ text = 'hi' }}]"
    ))
    .await;
    let client = socket_client(&server);
    let is_state = |event: &ModelEvent| matches!(event, ModelEvent::TurnState(_));
    assert!(exchange(&client).await.0.iter().any(is_state));
    assert!(!exchange(&client).await.0.iter().any(is_state));
    assert_eq!(server.requests().len(), 3, "it is one connection");
}

#[tokio::test]
async fn garbage_is_left_out_and_the_rest_arrives() {
    let server = socket_server(&[r#"{ garbage = "{this is no JSON" }, { garbage = "" }, { garbage = "[DONE]" }, { text = "Grüße 🌪", chunk = 2 }"#]).await;
    let (events, error) = exchange(&socket_client(&server)).await;
    assert_eq!((text(&events).as_str(), error), ("Grüße 🌪", None));
}

/// The failure of an answer, over both transports.
async fn check_same(actions: &str) {
    let failure = async |client: &dovetail_responses::ResponsesClient| match send(client).await {
        Err(error) => error,
        Ok(stream) => collect(stream).await.1.expect("it fails"),
    };
    let plain = server(actions).await;
    let expected = failure(&plain_client(&plain)).await;
    let server = socket_server(&[actions]).await;
    let error = failure(&socket_client(&server)).await;
    assert!(error.over_socket && !expected.over_socket, "{actions}");
    let place = |error: &ModelError, scheme: &str, server: &dovetail_rehearsal::RehearsalServer| {
        let address = server.base_url().replace("http", scheme);
        error.message.replace(&address, "URL")
    };
    let expected = ModelError {
        message: place(&expected, "http", &plain),
        over_socket: true,
        ..expected
    };
    let error = ModelError {
        message: place(&error, "ws", &server),
        ..error
    };
    assert_eq!(error, expected, "{actions}");
}

#[tokio::test]
async fn failures_mean_the_same_as_over_http() {
    let status = |status: u16, code: &str| {
        format!(
            "{{ headers = {{ x-request-id = 'r1', x-codex-primary-used-percent = '100' }} }}, {{ status = {status}, retry_after = 7, body = {{ error = {{ code = '{code}', message = 'said' }} }} }}"
        )
    };
    for (number, code) in [
        (400, "context_length_exceeded"),
        (401, ""),
        (402, "insufficient_quota"),
        (403, ""),
        (404, ""),
        (408, ""),
        (413, ""),
        (429, "usage_limit_reached"),
        (429, ""),
        (500, ""),
        (503, "server_is_overloaded"),
    ] {
        check_same(&status(number, code)).await;
    }
    for code in ["context_length_exceeded", "rate_limit_exceeded", "odd"] {
        let failed =
            format!("{{ failed = {{ code = '{code}', message = 'Please try again in 3s.' }} }}");
        check_same(&failed).await;
    }
    check_same("{ text = 'a' }, { incomplete = 'max_output_tokens' }").await;
    check_same("{ text = 'a' }, { event = '{\"type\":\"error\",\"error\":{\"code\":\"x\",\"message\":\"m\"}}' }").await;
}

#[tokio::test]
async fn a_bad_request_is_shown_as_the_server_said_it() {
    let server = socket_server(&["{ status = 400, body = { error = { message = 'odd' } } }"]).await;
    let error = refused(&socket_client(&server)).await;
    assert_eq!(
        (error.stage, error.kind),
        (FailureStage::Status(400), FailureKind::InvalidRequest)
    );
    assert_eq!(
        error.message,
        r#"{"type":"error","status":400,"error":{"message":"odd"},"headers":{}}"#
    );
}

/// An answer that breaks after its first words.
async fn check_broken(actions: &str, why: &str) {
    let server = socket_server(&[&format!("{{ text = 'half' }}, {actions}")]).await;
    let (events, error) = exchange(&socket_client(&server)).await;
    assert_eq!(text(&events), "half", "{actions}");
    let expected = ModelError {
        over_socket: true,
        ..ModelError::new(
            FailureStage::Stream,
            format!("stream disconnected before completion: {why}"),
        )
    };
    assert_eq!(error, Some(expected), "{actions}");
}

#[tokio::test]
async fn an_answer_that_breaks_says_how() {
    let reset = "WebSocket protocol error: Connection reset without closing handshake";
    check_broken("{ disconnect = 'now' }", reset).await;
    check_broken("{ disconnect = 'mid_event' }", reset).await;
    let closed = "websocket closed by server before response.completed";
    for code in [1000, 1001, 1008, 1011, 4000] {
        let why = format!("{closed} ({code}: as the script says)");
        check_broken(&format!("{{ close = {code} }}"), &why).await;
    }
    check_broken(
        "{ garbage = { hex = 'ff fe' } }",
        "unexpected binary websocket event",
    )
    .await;
    check_broken(
        r#"{ event = '{"type":"error","status":400,"error":{"code":"websocket_connection_limit_reached","message":"an hour is over"}}' }"#,
        "an hour is over",
    )
    .await;
}

#[tokio::test]
async fn a_request_that_is_too_large_for_a_web_socket_goes_another_way() {
    let server = socket_server(&["{ close = 1009 }"]).await;
    let error = refused(&socket_client(&server)).await;
    assert_eq!(error.stage, FailureStage::Upgrade);
    assert_eq!(
        error.message,
        "the server takes no request of this size over a WebSocket"
    );
}

#[tokio::test]
async fn silence_is_noticed_and_pings_do_not_break_it() {
    let server = socket_server(&["{ text = 'half' }, { ping = true }, { hang = true }"]).await;
    let options = ClientOptions {
        idle_timeout: Duration::from_millis(300),
        ..socket_options(PlainHosts::default())
    };
    let client = socket_client_of(Arc::default(), &server.base_url(), options);
    let (_, error) = exchange(&client).await;
    let message = error.expect("it fails").message;
    assert_eq!(
        message,
        "stream disconnected before completion: idle timeout waiting for websocket"
    );
}

#[tokio::test]
async fn what_is_given_up_is_closed_at_once() {
    let server = socket_server(&["{ text = 'half' }, { hang = true }", "{ hang = true }"]).await;
    let client = socket_client(&server);
    drop(send(&client).await.expect("it begins"));
    // The upgrade was answered too.
    server.wait_until(|progress| progress.abandoned == 1).await;
    let cancel = CancellationToken::new();
    let request = request();
    let (error, ()) = tokio::join!(client.send(&request, &cancel), async {
        server.wait_until(|progress| progress.requests == 4).await;
        cancel.cancel();
    });
    assert_eq!(
        error.err().map(|error| error.message).as_deref(),
        Some("the request was cancelled")
    );
    server.wait_until(|progress| progress.abandoned == 2).await;
}

#[tokio::test]
async fn a_cancelled_stream_ends() {
    let server = socket_server(&["{ text = 'half' }, { hang = true }"]).await;
    let cancel = CancellationToken::new();
    let client = socket_client(&server);
    let stream = client.send(&request(), &cancel).await.expect("it begins");
    cancel.cancel();
    let (_, error) = collect(stream).await;
    assert_eq!(
        error.map(|error| error.message).as_deref(),
        Some("the request was cancelled")
    );
}

#[tokio::test]
async fn no_text_of_ours_holds_the_credential() {
    let said = format!("{{ message = 'the key {KEY} is wrong' }}");
    for actions in [
        format!("{{ status = 403, body = {{ error = {said} }} }}"),
        format!("{{ failed = {{ code = 'x', message = 'the key {KEY} is wrong' }} }}"),
        format!("{{ incomplete = '{KEY}' }}"),
    ] {
        let server = socket_server(&[&actions]).await;
        let error = match send(&socket_client(&server)).await {
            Err(error) => error,
            Ok(stream) => collect(stream).await.1.expect("it fails"),
        };
        assert!(
            !format!("{error:?}").contains(KEY) && error.message.contains('…'),
            "{error:?}"
        );
    }
}

/// Agrees to an upgrade. `key` is what it makes of the client's key.
async fn agree(listener: &TcpListener, key: fn(&str) -> String) -> TcpStream {
    let (mut stream, _) = listener.accept().await.expect("a client");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    let head = String::from_utf8(head).expect("text");
    let given = head
        .lines()
        .find_map(|line| line.strip_prefix("sec-websocket-key: "));
    let accept = derive_accept_key(key(given.expect("a key")).as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.expect("it reads");
    stream
}

async fn listener() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("bound"));
    (url, listener)
}

#[tokio::test]
async fn pings_are_answered_while_nothing_is_asked() {
    let (url, listener) = listener().await;
    let client = socket_client_of(Arc::default(), &url, socket_options(PlainHosts::default()));
    let serving = async {
        let stream = agree(&listener, str::to_owned).await;
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        let asked = socket.next().await.expect("a request").expect("a message");
        assert!(asked.is_text());
        let completed = r#"{"type":"response.completed","response":{"id":"r"}}"#;
        socket
            .send(Message::text(completed))
            .await
            .expect("it reads");
        socket
    };
    let (answered, mut socket) = tokio::join!(exchange(&client), serving);
    assert_eq!(answered.1, None);
    for number in 0..3_u8 {
        let ping = Message::Ping(vec![number].into());
        socket.send(ping).await.expect("it reads");
        let pong = socket.next().await.expect("an answer").expect("a message");
        assert_eq!(pong, Message::Pong(vec![number].into()));
    }
    drop(client);
    let goodbye = socket.next().await.expect("a goodbye").expect("a message");
    assert!(matches!(goodbye, Message::Close(Some(frame)) if frame.code == CloseCode::Normal));
}

/// A server that says these bytes once it has agreed to a WebSocket.
async fn raw(key: fn(&str) -> String, bytes: &'static [u8]) -> (String, AbortOnDropHandle<()>) {
    let (url, listener) = listener().await;
    let serving = tokio::spawn(async move {
        let mut stream = agree(&listener, key).await;
        stream.write_all(bytes).await.expect("it reads");
        std::future::pending::<()>().await;
    });
    (url, AbortOnDropHandle::new(serving))
}

async fn check_raw(key: fn(&str) -> String, bytes: &'static [u8], expected: (FailureStage, &str)) {
    let (url, _serving) = raw(key, bytes).await;
    let client = socket_client_of(Arc::default(), &url, socket_options(PlainHosts::default()));
    let error = refused(&client).await;
    let message = error.message.replace(&url.replace("http", "ws"), "URL");
    assert_eq!((error.stage, message.as_str()), expected);
}

#[tokio::test]
async fn an_answer_to_another_upgrade_is_refused() {
    let other = "no WebSocket at `URL/responses`: the server's answer belongs to another request";
    check_raw(str::to_ascii_lowercase, b"", (FailureStage::Upgrade, other)).await;
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_is_left() {
    let check = async |bytes: &'static [u8], why: &str| {
        let message = format!("stream disconnected before completion: {why}");
        check_raw(str::to_owned, bytes, (FailureStage::Stream, &message)).await;
    };
    // A text of 64 MiB, of which nothing needs to come.
    check(
        b"\x81\x7f\0\0\0\0\x04\0\0\0",
        "an event is longer than 33554432 bytes",
    )
    .await;
    check(
        b"\xf1\x01a",
        "WebSocket protocol error: Reserved bits are non-zero",
    )
    .await;
    check(
        b"\x81\x02\xff\xfe",
        "UTF-8 encoding error: invalid utf-8 sequence of 1 bytes from index 0",
    )
    .await;
}
