//! From HTTP to a WebSocket, and what is done where that does not work out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dovetail_core::model::{FailureStage, ModelClient as _, ModelError};
use dovetail_core::plugin::{FailureKind, PluginError, Recovery};
use dovetail_core::retry::RecoveryStep;
use dovetail_responses::{ClientOptions, PlainHosts, WebSocketOptions};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::{
    KEY, TestProvider, client, endpoint, exchange, exchange_with, literal, methods, refused,
    request, script, socket_client, socket_client_of, socket_options, socket_server,
};

#[tokio::test]
async fn an_upgrade_has_the_headers_of_existing_clients_in_their_order() {
    let server = socket_server(&["{ text = 'hi' }"]).await;
    let mut request = request();
    request.turn_state = Some("ts-abc".to_owned());
    exchange_with(&socket_client(&server), &request).await;
    let upgrade = server.requests().remove(0);
    assert_eq!(
        (upgrade.method.as_str(), upgrade.path.as_str()),
        ("GET", "/v1/responses")
    );
    let thread = "01a1fb58-2811-7ea0-9e27-e6be064a83e5";
    let window = format!("{thread}:0");
    let blob = request.metadata.turn_metadata();
    let headers: Vec<(&str, &str)> = upgrade
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !matches!(*name, "host" | "sec-websocket-key"))
        .collect();
    assert_eq!(
        headers,
        [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("authorization", "Bearer sk-test-secret-0001"),
            ("user-agent", "codex_exec/0.1.0 (Test)"),
            ("originator", "codex_exec"),
            ("openai-beta", "responses_websockets=2026-02-06"),
            ("x-codex-turn-metadata", &blob),
            ("x-codex-beta-features", "remote_compaction_v2"),
            ("x-codex-turn-state", "ts-abc"),
            ("x-client-request-id", thread),
            ("session-id", thread),
            ("thread-id", thread),
            ("x-codex-window-id", &window),
            ("accept", "*/*"),
        ]
    );
}

#[tokio::test]
async fn an_upgrade_is_signed_like_a_request_without_a_body() {
    let server = socket_server(&["{ text = 'hi' }"]).await;
    let provider = Arc::new(TestProvider {
        signature: vec![literal("x-signature", "s")],
        ..TestProvider::default()
    });
    let options = socket_options(PlainHosts::default());
    let client = socket_client_of(Arc::clone(&provider), &server.base_url(), options);
    exchange(&client).await;
    let seen = provider.seen.lock().expect("no panic");
    let [(head, digest)] = &seen[..] else {
        panic!("messages are not signed: {seen:?}");
    };
    let url = format!("{}/responses", server.base_url());
    assert_eq!((head.method.as_str(), &head.url), ("GET", &url));
    assert_eq!(*digest, <[u8; 32]>::from(Sha256::digest(b"")));
    assert!(!format!("{head:?}").contains(KEY));
    let upgrade = server.requests().remove(0);
    assert_eq!(upgrade.header("x-signature"), Some("s"));
}

#[tokio::test]
async fn no_credential_means_no_upgrade() {
    let server = socket_server(&["{ text = 'hi' }"]).await;
    let provider = Arc::new(TestProvider::default());
    let failure = PluginError::Unavailable("the command failed".to_owned());
    *provider.refuses.lock().expect("no panic") = Some(failure);
    let options = socket_options(PlainHosts::default());
    let client = socket_client_of(Arc::clone(&provider), &server.base_url(), options.clone());
    client.warm_up(&request());
    let error = refused(&client).await;
    assert_eq!(error.stage, FailureStage::Auth);
    assert!(error.message.contains("the command failed"), "{error:?}");
    let forbidden = format!("{}/forbidden/", server.base_url());
    let forbidden = socket_client_of(Arc::default(), &forbidden, options);
    assert_eq!(refused(&forbidden).await.stage, FailureStage::Auth);
    assert!(server.requests().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_service_without_web_sockets_is_asked_over_http() {
    let server = socket_server(&["{ text = 'hi' }", "{ text = 'hi' }"]).await;
    let without = client(
        Arc::default(),
        endpoint(&server.base_url()),
        socket_options(PlainHosts::default()),
    );
    without.warm_up(&request());
    exchange(&without).await;
    assert!(!without.fall_back(), "there is no other way");
    let switched_off = ClientOptions {
        websockets: None,
        ..socket_options(PlainHosts::default())
    };
    exchange(&socket_client_of(
        Arc::default(),
        &server.base_url(),
        switched_off,
    ))
    .await;
    assert_eq!(methods(&server), ["POST", "POST"]);
}

/// A refused upgrade; `URL` in the message stands for its address. Then the request over HTTP.
async fn check_refused(upgrade: &str, kind: FailureKind, message: &str) {
    let server = script(&format!(
        "[[upgrade]]\n{upgrade}\n[[response]]\ntimes = 2\nactions = [{{ text = 'hi' }}]"
    ))
    .await;
    let hosts = PlainHosts::default();
    let client = socket_client_of(
        Arc::default(),
        &server.base_url(),
        socket_options(hosts.clone()),
    );
    let error = refused(&client).await;
    let url = format!("{}/responses", server.base_url()).replace("http", "ws");
    let expected = ModelError {
        kind,
        ..ModelError::new(FailureStage::Upgrade, message.to_owned())
    };
    let error = ModelError {
        message: error.message.replace(&url, "URL"),
        ..error
    };
    assert_eq!(error, expected, "{upgrade}");
    assert!(client.fall_back(), "there is HTTP");
    assert!(!client.fall_back(), "there is nothing else");
    exchange(&client).await;
    // The next thread does not try.
    let next = socket_client_of(Arc::default(), &server.base_url(), socket_options(hosts));
    next.warm_up(&request());
    exchange(&next).await;
    assert_eq!(methods(&server), ["GET", "POST", "POST"], "{upgrade}");
}

#[tokio::test]
async fn a_refused_upgrade_leads_to_http_for_all_who_share_the_host() {
    check_refused(
        "status = 404\nheaders = { x-request-id = 'r1' }\nbody = { error = { message = 'nope' } }",
        FailureKind::NotFound,
        "unexpected status 404 Not Found: nope, url: URL, request id: r1",
    )
    .await;
    check_refused(
        "status = 403",
        FailureKind::Forbidden,
        "unexpected status 403 Forbidden: Unknown error, url: URL",
    )
    .await;
    check_refused(
        "status = 401",
        FailureKind::Unauthorized,
        "unexpected status 401 Unauthorized: Unknown error, url: URL",
    )
    .await;
    check_refused(
        "status = 400\nbody = 'Bad Request'",
        FailureKind::InvalidRequest,
        "Bad Request",
    )
    .await;
    check_refused(
        "status = 500",
        FailureKind::ServerError,
        "the model's service is in high demand and could not answer (500 Internal Server Error), url: URL",
    )
    .await;
    check_refused(
        "status = 307\nheaders = { location = 'http://elsewhere.example/?key=1' }",
        FailureKind::Unknown,
        "unexpected status 307 Temporary Redirect: redirects are not followed; this one points to `http://elsewhere.example/`, url: URL",
    )
    .await;
    check_refused(
        "status = 200\nbody = '<html>'",
        FailureKind::Unknown,
        "unexpected status 200 OK: <html>, url: URL",
    )
    .await;
}

#[tokio::test]
async fn a_service_that_wants_http_is_asked_over_http_at_once() {
    let server =
        script("[[upgrade]]\nstatus = 426\n[[response]]\ntimes = 3\nactions = [{ text = 'hi' }]")
            .await;
    let hosts = PlainHosts::default();
    let client = socket_client_of(
        Arc::default(),
        &server.base_url(),
        socket_options(hosts.clone()),
    );
    client.warm_up(&request());
    assert_eq!(exchange(&client).await.1, None);
    assert_eq!(exchange(&client).await.1, None);
    assert!(!client.fall_back(), "that has happened");
    exchange(&socket_client_of(
        Arc::default(),
        &server.base_url(),
        socket_options(hosts),
    ))
    .await;
    assert_eq!(methods(&server), ["GET", "POST", "POST", "POST"]);
}

#[tokio::test]
async fn an_answer_that_was_lost_says_nothing_of_the_host() {
    let server = socket_server(&[
        "{ disconnect = 'now' }",
        "{ text = 'hi' }",
        "{ text = 'hi' }",
    ])
    .await;
    let hosts = PlainHosts::default();
    let client = socket_client_of(
        Arc::default(),
        &server.base_url(),
        socket_options(hosts.clone()),
    );
    assert_eq!(refused(&client).await.stage, FailureStage::Stream);
    assert!(client.fall_back());
    exchange(&client).await;
    exchange(&socket_client_of(
        Arc::default(),
        &server.base_url(),
        socket_options(hosts),
    ))
    .await;
    assert_eq!(
        methods(&server),
        ["GET", "WEBSOCKET", "POST", "GET", "WEBSOCKET"]
    );
}

#[tokio::test]
async fn an_upgrade_that_is_not_answered_is_not_waited_for_longer_than_told() {
    let server = script("[[upgrade]]\nhang = true\n[[response]]").await;
    let options = ClientOptions {
        websockets: Some(WebSocketOptions {
            connect_timeout: Duration::from_millis(200),
            plain_hosts: PlainHosts::default(),
        }),
        ..socket_options(PlainHosts::default())
    };
    let client = socket_client_of(Arc::default(), &server.base_url(), options);
    let error = refused(&client).await;
    let url = format!("{}/responses", server.base_url()).replace("http", "ws");
    assert_eq!(
        error,
        ModelError::new(
            FailureStage::Upgrade,
            format!("no WebSocket at `{url}` within 200 ms")
        )
    );
    server.wait_until(|progress| progress.abandoned == 1).await;
}

#[tokio::test]
async fn a_connection_that_is_being_made_can_be_given_up() {
    for warm_up in [false, true] {
        let server = script("[[upgrade]]\nhang = true\n[[response]]").await;
        let client = socket_client(&server);
        if warm_up {
            client.warm_up(&request());
        }
        let (cancel, request) = (CancellationToken::new(), request());
        let (sent, ()) = tokio::join!(client.send(&request, &cancel), async {
            server.wait_until(|progress| progress.requests == 1).await;
            cancel.cancel();
        });
        assert_eq!(
            sent.err().map(|error| error.message).as_deref(),
            Some("the request was cancelled")
        );
        server.wait_until(|progress| progress.abandoned == 1).await;
    }
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_warm_up_along() {
    let server = script("[[upgrade]]\nhang = true\n[[response]]").await;
    let client = socket_client(&server);
    client.warm_up(&request());
    server.wait_until(|progress| progress.requests == 1).await;
    drop(client);
    server.wait_until(|progress| progress.abandoned == 1).await;
}

#[tokio::test]
async fn a_host_that_is_not_there_is_not_said_to_have_no_web_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let client = socket_client_of(
        Arc::default(),
        &format!("http://{address}/v1"),
        socket_options(PlainHosts::default()),
    );
    let error = refused(&client).await;
    assert_eq!(error.stage, FailureStage::Connect);
    assert!(
        error.message.starts_with(&format!(
            "cannot connect to `ws://{address}/v1/responses`: "
        )),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_credential_that_an_upgrade_was_refused_for_is_recovered() {
    let server =
        script("[[upgrade]]\nstatus = 401\n[[upgrade]]\n[[response]]\nactions = [{ text = 'hi' }]")
            .await;
    let provider = Arc::new(TestProvider::default());
    let client = socket_client_of(
        Arc::clone(&provider),
        &server.base_url(),
        socket_options(PlainHosts::default()),
    );
    let error = refused(&client).await;
    assert_eq!(
        (error.stage, error.kind),
        (FailureStage::Upgrade, FailureKind::Unauthorized)
    );
    assert_eq!(
        client.recover(&error, RecoveryStep::First).await,
        Recovery::Changed
    );
    assert_eq!(provider.recovered.load(Ordering::SeqCst), 1);
    assert_eq!(exchange(&client).await.1, None);
    assert_eq!(
        provider.prepared.load(Ordering::SeqCst),
        2,
        "it is another credential"
    );
    assert_eq!(methods(&server), ["GET", "GET", "WEBSOCKET"]);
}
