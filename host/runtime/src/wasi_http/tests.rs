//! A real guest that speaks `wasi:http`, against servers on this machine.

use dovetail_core::ids::CallId;
use dovetail_core::plugin::ToolContent;
use dovetail_tests::WEB_CALLER;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::load::tests::{Lab, request};
use crate::plugin::Plugin;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A web caller that may send what `net` lists.
async fn caller(net: &[&str], limits: &str) -> (Lab, Plugin) {
    let lab = Lab::new();
    let more = format!("[request]\nnet = {net:?}\n[limits]\n{limits}");
    let plugin = lab.load(request(WEB_CALLER, &more, Value::Null)).await;
    (lab, plugin)
}

async fn call(plugin: &Plugin, order: Value) -> String {
    let tools = plugin.tools().expect("it serves tools");
    let called = tools
        .call_tool(&CallId::new("c"), "call", &order, &json!({}))
        .await;
    match called {
        Ok(result) => match result.content.as_slice() {
            [ToolContent::Text(text)] => text.clone(),
            other => format!("{other:?}"),
        },
        Err(error) => error.to_string(),
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, format!("http://127.0.0.1:{port}"))
}

/// Answers one request, and gives back what was sent.
async fn serve(answer: Vec<u8>) -> (String, JoinHandle<Vec<u8>>) {
    let (listener, origin) = listen().await;
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let sent = read_request(&mut socket).await;
        // A client that has read enough hangs up.
        drop(socket.write_all(&answer).await);
        drop(socket.shutdown().await);
        sent
    });
    (origin, served)
}

/// Reads a head, and the body that it announces.
async fn read_request(socket: &mut TcpStream) -> Vec<u8> {
    let mut sent = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = socket.read(&mut buffer).await.expect("readable");
        sent.extend_from_slice(&buffer[..count]);
        let Some(head) = sent.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(&sent[..head]).to_ascii_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        if count == 0 || sent.len() >= head + 4 + length {
            return sent;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_granted_request_goes_out_and_its_answer_comes_back() {
    let answer = b"HTTP/1.1 404 Not Found\r\nx-a: 1\r\ncontent-length: 5\r\n\r\nhello";
    let (origin, served) = serve(answer.to_vec()).await;
    let (_lab, plugin) = caller(&[&format!("POST {origin}/v1")], "").await;
    let order = json!({
        "url": format!("{origin}/v1/x?y=z"),
        "method": "POST",
        "headers": [["x-own", "1"], ["content-length", "100000"]],
        "body": 100_000,
    });
    assert_eq!(
        call(&plugin, order).await,
        "status 404, 2 headers, 5 bytes: hello"
    );
    let sent = served.await.expect("it ends");
    let text = String::from_utf8_lossy(&sent);
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines.remove(0), "POST /v1/x?y=z HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", origin.trim_start_matches("http://"));
    let agent = concat!("user-agent: dovetail/", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        lines,
        [
            "accept: */*",
            "content-length: 100000",
            &host,
            agent,
            "x-own: 1"
        ]
    );
    assert_eq!(body, "x".repeat(100_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_grant_it_loads_and_every_request_is_refused() {
    let (_lab, plugin) = caller(&[], "").await;
    assert_eq!(
        call(&plugin, json!({ "url": "http://127.0.0.1:1/" })).await,
        "failed: ErrorCode::HttpRequestDenied"
    );
    assert_eq!(
        plugin.denials(),
        [
            "plugin `web-caller` may not connect to `http://127.0.0.1:1`; \
          to allow it: dovetail plugin grant web-caller net http://127.0.0.1:1"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_beyond_the_grant_is_refused_before_anything_is_sent() {
    let (listener, origin) = listen().await;
    let port = origin.rsplit(':').next().expect("a port");
    let (_lab, plugin) = caller(&[&format!("GET {origin}/v1")], "").await;
    for (method, url) in [
        ("GET", "https://elsewhere.example/v1".to_owned()),
        ("GET", "http://10.0.0.1/v1".to_owned()),
        ("GET", "http://169.254.169.254/v1".to_owned()),
        ("GET", format!("http://localhost:{port}/v1")),
        ("GET", format!("http://[::ffff:127.0.0.1]:{port}/v1")),
        ("GET", format!("https://127.0.0.1:{port}/v1")),
        ("GET", "http://127.0.0.1:1/v1".to_owned()),
        ("GET", format!("{origin}/v2")),
        ("GET", format!("{origin}/v1/../v2")),
        ("GET", format!("{origin}/v1/..%2fv2")),
        ("POST", format!("{origin}/v1")),
        ("get", format!("{origin}/v1")),
    ] {
        let order = json!({ "method": method, "url": url, "headers": [["x", "y"]] });
        assert_eq!(
            call(&plugin, order).await,
            "failed: ErrorCode::HttpRequestDenied",
            "{method} {url}"
        );
    }
    drop(plugin);
    let nobody = std::future::poll_fn(|context| Poll::Ready(listener.poll_accept(context)));
    assert!(nobody.await.is_pending(), "nobody connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_of_a_plugin_is_refused_with_its_reason() {
    let (_lab, plugin) = caller(&["http://127.0.0.1:1"], "").await;
    let url = "http://127.0.0.1:1/";
    let many: Vec<[String; 2]> = (0..65).map(|n| [format!("x-{n}"), n.to_string()]).collect();
    for (order, said) in [
        (
            json!({ "url": url, "headers": [["host", "evil.example"]] }),
            "header `host`: HeaderError::Forbidden",
        ),
        (
            json!({ "url": url, "headers": [["proxy-authorization", "x"]] }),
            "header `proxy-authorization`: HeaderError::Forbidden",
        ),
        (
            json!({ "url": url, "headers": [["x", "a\r\nb: c"]] }),
            "header `x`: HeaderError::InvalidSyntax",
        ),
        (
            json!({ "url": url, "method": "CONNECT" }),
            "failed: ErrorCode::InternalError(Some(\"`CONNECT` is not a method a plugin can use\"))",
        ),
        (
            json!({ "url": url, "headers": many }),
            "failed: ErrorCode::InternalError(Some(\"the request has more than 64 headers\"))",
        ),
        (
            json!({ "url": "ftp://127.0.0.1:1/" }),
            "handle: ErrorCode::HttpProtocolError",
        ),
        (
            json!({ "url": url }),
            "failed: ErrorCode::ConnectionRefused",
        ),
    ] {
        assert_eq!(call(&plugin, order).await, said);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_handed_back() {
    let answer =
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let (origin, _served) = serve(answer.to_vec()).await;
    let (_lab, plugin) = caller(&["http://127.0.0.1:*"], "").await;
    assert_eq!(
        call(&plugin, json!({ "url": origin })).await,
        "status 302, 2 headers, 0 bytes: "
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_long_is_an_error_in_either_direction() {
    let (_lab, plugin) = caller(&["http://127.0.0.1:1"], "").await;
    let order = json!({ "url": "http://127.0.0.1:1/", "method": "POST", "body": MOST_BODY + 1 });
    assert_eq!(
        call(&plugin, order).await,
        format!("failed: ErrorCode::HttpRequestBodySize(Some({MOST_BODY}))")
    );
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 3 << 20).into_bytes();
    answer.resize(answer.len() + (3 << 20), b'y');
    let (origin, _served) = serve(answer).await;
    let (_lab, plugin) = caller(&[&origin], "output_kb = 2048\n").await;
    let said = call(&plugin, json!({ "url": origin })).await;
    let beyond = format!("HTTP response body size exceeds limit: {} bytes", 2 << 20);
    assert!(
        said.starts_with("body: ") && said.contains(&beyond),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_has_only_so_many_headers() {
    for (names, expected) in [
        (
            MOST_RESPONSE_HEADERS - 1,
            "status 200, 100 headers, 0 bytes: ",
        ),
        (
            MOST_RESPONSE_HEADERS,
            "failed: ErrorCode::ConnectionTerminated",
        ),
    ] {
        let headers: String = (0..names).map(|n| format!("x-{n}: a\r\n")).collect();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{headers}\r\n");
        let (origin, _served) = serve(answer.into_bytes()).await;
        let (_lab, plugin) = caller(&[&origin], "").await;
        assert_eq!(call(&plugin, json!({ "url": origin })).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_costs_the_guest_its_time() {
    let (_listener, origin) = listen().await;
    let (_lab, plugin) = caller(&[&origin], "deadline_ms = 500\n").await;
    assert_eq!(
        call(&plugin, json!({ "url": origin, "patience_ms": 20 })).await,
        "failed: ErrorCode::HttpResponseTimeout"
    );
    let late = call(&plugin, json!({ "url": origin })).await;
    assert!(late.contains("within 500 ms"), "{late}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_so_many_exchanges_go_on_at_once() {
    let (_listener, origin) = listen().await;
    let (_lab, plugin) = caller(&[&origin], "").await;
    let order = json!({ "url": origin, "patience_ms": 200, "at_once": MOST_EXCHANGES + 2 });
    let said = call(&plugin, order).await;
    let count = |end: &str| said.lines().filter(|line| line.ends_with(end)).count();
    assert_eq!(
        (
            count("HttpResponseTimeout"),
            count("ConnectionLimitReached")
        ),
        (MOST_EXCHANGES, 2),
        "{said}"
    );
    // They are over, so there is room again.
    let (origin, _served) = serve(OK.to_vec()).await;
    let (_lab, plugin) = caller(&[&origin], "").await;
    assert_eq!(
        call(&plugin, json!({ "url": origin })).await,
        "status 200, 1 headers, 2 bytes: ok"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_granted_name_that_leads_into_the_network_is_refused() {
    let (lab, plugin) = caller(&["http://public.example"], "").await;
    for inside in ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1"] {
        let address = inside.parse().expect("an address");
        let egress = lab.runtime.services().http();
        egress.lead("http://public.example", &[address]);
        assert_eq!(
            call(&plugin, json!({ "url": "http://public.example/" })).await,
            "failed: ErrorCode::DestinationIpProhibited",
            "{inside}"
        );
    }
    assert_eq!(plugin.denials().len(), 4);
    assert_eq!(
        plugin.denials()[0],
        "plugin `web-caller` may not connect to `http://public.example`: `public.example` resolves to 10.0.0.1, \
         an address inside the local network; if that is meant, grant the address itself"
    );
}
