//! Connections that cannot be made, are not safe, or break before an answer.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use dovetail_rehearsal::{RehearsalServer, Script};
use dovetail_tests::{Lab, script};
use rustls::{ServerConfig, ServerConnection};

use super::{check_thread_goes_on, lab_with_retries, times, words};
use crate::lab;
use crate::raw_server::RawServer;
use crate::tls_server::with_own_certificate;

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// The flag that sends requests somewhere else.
fn base_url(url: &str) -> String {
    format!("model_providers.rehearsal.base_url={url}/v1")
}

/// Fails a turn at an address, compares the last words, and goes on with the well server.
async fn check_address(lab: &Lab, url: &str, expected: &[&str]) {
    let ran = lab
        .exec_json(&["-c", &base_url(url), "the question"], 1)
        .await;
    assert_eq!(words(lab, &ran), expected);
    assert_eq!(lab.requests(), []);
    check_thread_goes_on(lab).await;
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_named() {
    let lab = lab(&[&script::answer("well again")]).await;
    let refused = "cannot connect to `http://127.0.0.1:<port>/v1/responses`: Connection refused (os error 111)";
    let notice = format!("Reconnecting... 1/1 ({refused})");
    check_address(&lab, &format!("http://{}", nobody()), &[&notice, refused]).await;
}

#[tokio::test]
async fn a_proxy_that_nobody_runs_is_named() {
    let mut lab = lab_with_retries(&[&script::answer("well again")], "0", "0").await;
    lab.set_env("http_proxy", &format!("http://user:secret@{}", nobody()));
    let url = "http://llm.example.invalid";
    let refused = format!(
        "cannot connect to `{url}/v1/responses` through the proxy of `http_proxy`: Connection refused (os error 111)"
    );
    check_address(&lab, url, &[&refused]).await;
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_named() {
    let lab = lab_with_retries(&[&script::answer("well again")], "0", "0").await;
    let ran = lab
        .exec_json(
            &["-c", &base_url("http://nobody.invalid"), "the question"],
            1,
        )
        .await;
    let failure = ran.failure();
    // The rest are the resolver's words, which are not the same everywhere.
    assert!(
        failure.starts_with("cannot connect to `http://nobody.invalid/v1/responses`: "),
        "{failure}"
    );
    check_thread_goes_on(&lab).await;
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_named() {
    let lab = lab_with_retries(&[&script::answer("well again")], "0", "1").await;
    let plain = RawServer::start(|mut stream| async move {
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        stream
    })
    .await;
    let unsafe_words = "no secure connection to `https://127.0.0.1:<port>/v1/responses`: received corrupt message of type InvalidContentType";
    let notice = format!("Reconnecting... 1/1 ({unsafe_words})");
    check_address(
        &lab,
        &format!("https://{}", plain.address()),
        &[&notice, unsafe_words],
    )
    .await;
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_named() {
    let lab = lab_with_retries(&[&script::answer("well again")], "0", "0").await;
    let config = Arc::new(with_own_certificate());
    let server = RawServer::start(move |stream| {
        let config = Arc::clone(&config);
        async move { shake_hands(stream, config).await }
    })
    .await;
    check_address(
        &lab,
        &format!("https://{}", server.address()),
        &["no secure connection to `https://127.0.0.1:<port>/v1/responses`: invalid peer certificate: UnknownIssuer"],
    )
    .await;
}

/// The server's side of a handshake, as far as it goes.
async fn shake_hands(
    stream: tokio::net::TcpStream,
    config: Arc<ServerConfig>,
) -> tokio::net::TcpStream {
    let mut stream = stream.into_std().unwrap();
    let stream = tokio::task::spawn_blocking(move || {
        stream.set_nonblocking(false).unwrap();
        let mut connection = ServerConnection::new(config).unwrap();
        let refused = connection.complete_io(&mut stream);
        assert!(refused.is_err(), "the client does not trust us");
        stream
    })
    .await
    .unwrap();
    stream.set_nonblocking(true).unwrap();
    tokio::net::TcpStream::from_std(stream).unwrap()
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_tried_again() {
    let lab = lab(&[
        &times(4, "{ disconnect = 'now' }"),
        &script::answer("well again"),
    ])
    .await;
    let ran = lab.exec_json(&["the question"], 1).await;
    let said = words(&lab, &ran);
    let broken = "no answer from `http://127.0.0.1:<port>/v1/responses`: ";
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with(&format!("Reconnecting... 1/1 ({broken}"))
            && said[1].starts_with(broken),
        "{said:?}"
    );
    assert_eq!(lab.requests().len(), 4);
    check_thread_goes_on(&lab).await;
}

#[tokio::test]
async fn a_server_that_takes_the_request_and_says_nothing_is_given_up() {
    let lab = lab(&[&times(4, "{ hang = true }"), &script::answer("well again")]).await;
    lab.write_config(&lab.provider_config("stream_idle_timeout_ms = 300"));
    let ran = lab.exec_json(&["the question"], 1).await;
    let silent = "no answer from `http://127.0.0.1:<port>/v1/responses` within 300 ms";
    assert_eq!(
        words(&lab, &ran),
        [&format!("Reconnecting... 1/1 ({silent})"), silent]
    );
    assert_eq!(lab.requests().len(), 4);
    lab.write_config(&lab.provider_config(""));
    check_thread_goes_on(&lab).await;
}

/// The feature, and no counted repeats before it takes effect.
const PATIENT: [&str; 2] = ["--enable", "unbounded_connection_retries"];

#[tokio::test]
async fn a_network_that_is_gone_ends_the_turn_unless_waiting_is_wanted() {
    let lab = lab_with_retries(&[&script::answer("well again")], "0", "0").await;
    let refused = "cannot connect to `http://127.0.0.1:<port>/v1/responses`: Connection refused (os error 111)";
    let gone = format!("http://{}", nobody());
    check_address(&lab, &gone, &[refused]).await;
    let off = [
        "--disable",
        PATIENT[1],
        "--json",
        "-c",
        &base_url(&gone),
        "go",
    ];
    let ran = lab.exec(&off).await.expect_code(1);
    assert_eq!(words(&lab, &ran), [refused]);
}

#[tokio::test]
async fn a_network_that_comes_back_is_waited_for_where_that_is_wanted() {
    let lab = lab_with_retries(&[&script::answer("unused")], "0", "1").await;
    let address = nobody();
    let url = base_url(&format!("http://{address}"));
    let mut running = lab.start_exec(&["--json", PATIENT[0], PATIENT[1], "-c", &url, "go"]);
    let counted = running.wait_for("Reconnecting... ").await;
    assert!(counted.contains("Reconnecting... 1/1 ("), "{counted}");
    let waiting = running.wait_for("Reconnecting... ").await;
    assert_eq!(
        lab.normal(&waiting),
        r#"{"type":"error","message":"Reconnecting... waiting for network (cannot connect to `http://127.0.0.1:<port>/v1/responses`: Connection refused (os error 111))"}"#
    );
    // It is back, and warms up first.
    let responses = [times(1, "{ status = 502 }"), script::answer("here I am")].concat();
    let _back = RehearsalServer::start_on(Script::parse(&responses).unwrap(), address.port())
        .await
        .unwrap();
    let ran = running.finish().await.expect_code(0);
    assert!(ran.stdout.contains("here I am"), "{}", ran.stdout);
    let said = words(&lab, &ran);
    assert_eq!(said.len(), 3, "waiting is said once: {said:?}");
    assert!(
        said[2].starts_with("Reconnecting... 1/1 (unexpected status 502"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_connection_that_is_not_safe_is_not_waited_for() {
    let lab = lab_with_retries(&[&script::answer("well again")], "0", "0").await;
    let config = Arc::new(with_own_certificate());
    let server = RawServer::start(move |stream| {
        let config = Arc::clone(&config);
        async move { shake_hands(stream, config).await }
    })
    .await;
    let url = base_url(&format!("https://{}", server.address()));
    let ran = lab
        .exec_json(&[PATIENT[0], PATIENT[1], "-c", &url, "go"], 1)
        .await;
    assert!(
        ran.failure()
            .ends_with("invalid peer certificate: UnknownIssuer"),
        "{}",
        ran.failure()
    );
}
