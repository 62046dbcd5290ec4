#![expect(
    clippy::panic,
    reason = "a test that gets something else ends that way"
)]

use std::path::PathBuf;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::capability::{Capabilities, SlotName};
use crate::origin::OriginPattern;
use crate::secrets::Secrets;

fn id() -> PluginId {
    PluginId::parse("acme").expect("valid")
}

/// An egress whose plugin may reach `origins` and use the secret `acme-token`, whose value is `s3cret`.
fn egress(origins: &[&str]) -> Sender {
    let env: HostEnv = [("ACME_TOKEN".into(), "s3cret".into())]
        .into_iter()
        .collect();
    let policy = EgressPolicy::new(Arc::new(Secrets::new(
        Arc::new(env.clone()),
        PathBuf::from("/none"),
    )));
    let asked = Capabilities {
        net: origins
            .iter()
            .map(|origin| OriginPattern::parse(origin).expect("valid"))
            .collect(),
        secrets: [SlotName::parse("acme-token").expect("valid")].into(),
        ..Capabilities::default()
    };
    let grant = Arc::new(Grant::intersect(&asked, &asked));
    policy.admit(id(), Arc::clone(&grant));
    Sender {
        http: HttpEgress::new(Arc::new(policy), &env),
        grant,
    }
}

/// An egress with the grant of its only plugin.
struct Sender {
    http: HttpEgress,
    grant: Arc<Grant>,
}

impl Sender {
    async fn send(
        &self,
        plugin: &PluginId,
        request: HttpRequest,
        limit: usize,
    ) -> Result<HttpResponse, PluginError> {
        self.http.send(plugin, &self.grant, request, limit).await
    }
}

/// Answers one request with `response` and gives back what it was sent.
async fn serve(response: &'static [u8]) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !request.windows(4).any(|window| window == b"\r\n\r\n") {
            let mut buffer = [0; 1024];
            let count = socket.read(&mut buffer).await.expect("readable");
            request.extend_from_slice(&buffer[..count]);
            if count == 0 {
                break;
            }
        }
        socket.write_all(response).await.expect("writable");
        socket.shutdown().await.expect("closed");
        String::from_utf8(request).expect("text")
    });
    (port, served)
}

fn request(url: String) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        url,
        headers: Vec::new(),
        body: Vec::new(),
        timeout: None,
    }
}

fn header(name: &str, value: Vec<ValuePart>) -> HeaderTemplate {
    HeaderTemplate {
        name: name.to_owned(),
        value,
        sensitive: false,
    }
}

#[tokio::test]
async fn a_request_goes_out_with_its_secret_and_comes_back_whole() {
    let (port, served) =
        serve(b"HTTP/1.1 404 Not Found\r\nX-Kind: Test\r\nContent-Length: 5\r\n\r\nhello").await;
    let bearer = vec![
        ValuePart::Literal("Bearer ".to_owned()),
        ValuePart::Secret("acme-token".to_owned()),
    ];
    let request = HttpRequest {
        headers: vec![header("Authorization", bearer)],
        ..request(format!("http://127.0.0.1:{port}/v1?a=b"))
    };
    let response = egress(&["http://127.0.0.1:*"])
        .send(&id(), request, 1000)
        .await
        .expect("answered");
    let sent = served.await.expect("served");
    assert!(sent.starts_with("GET /v1?a=b HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("authorization: Bearer s3cret\r\n"), "{sent}");
    assert_eq!(response.status, 404);
    assert!(
        response
            .headers
            .contains(&("x-kind".to_owned(), "Test".to_owned()))
    );
    assert_eq!(
        (response.body.as_slice(), response.truncated),
        (b"hello".as_slice(), false)
    );
}

#[tokio::test]
async fn a_body_is_cut_at_the_limit() {
    let (port, _served) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    let response = egress(&["http://127.0.0.1:*"])
        .send(&id(), request(format!("http://127.0.0.1:{port}/")), 3)
        .await;
    let response = response.expect("answered");
    assert_eq!(
        (response.body.as_slice(), response.truncated),
        (b"hel".as_slice(), true)
    );
}

#[tokio::test]
async fn redirects_are_handed_back() {
    let (port, _served) =
        serve(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
            .await;
    let response = egress(&["http://127.0.0.1:*"])
        .send(&id(), request(format!("http://127.0.0.1:{port}/")), 10)
        .await;
    assert_eq!(response.expect("answered").status, 302);
}

#[tokio::test]
async fn origins_outside_the_grant_are_denied_before_anything_is_sent() {
    let egress = egress(&["https://llm.acme.example"]);
    let denied = egress
        .send(&id(), request("http://127.0.0.1:1/".to_owned()), 10)
        .await
        .expect_err("denied");
    assert!(matches!(denied, PluginError::Denied(_)), "{denied}");
    assert!(
        egress.http.clients.lock().expect("not poisoned").is_empty(),
        "no client is built for it"
    );
}

#[tokio::test]
async fn the_name_of_this_machine_must_be_granted_as_such() {
    let (port, _served) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let url = format!("http://localhost:{port}/");
    let by_address = egress(&["http://127.0.0.1:*"])
        .send(&id(), request(url.clone()), 10)
        .await;
    assert!(matches!(by_address, Err(PluginError::Denied(_))));
    assert!(
        egress(&["http://localhost:*"])
            .send(&id(), request(url), 10)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_or_does_not_answer_is_retryable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let egress = egress(&["http://127.0.0.1:*"]);
    let url = format!("http://127.0.0.1:{port}/?token=hush");
    let slow = HttpRequest {
        timeout: Some(Duration::from_millis(50)),
        ..request(url.clone())
    };
    let error = egress
        .send(&id(), slow, 10)
        .await
        .expect_err("nobody answers");
    let reason = format!("`http://127.0.0.1:{port}` did not answer within 50 ms");
    assert_eq!(
        error,
        PluginError::Retryable {
            reason,
            after: None
        }
    );
    drop(listener);
    let error = egress
        .send(&id(), request(url), 10)
        .await
        .expect_err("nobody is there");
    let PluginError::Retryable { reason, .. } = error else {
        panic!("{error}")
    };
    assert!(
        reason.starts_with(&format!("cannot connect to `http://127.0.0.1:{port}`: ")),
        "{reason}"
    );
    assert!(!reason.contains("hush"), "{reason}");
}

#[tokio::test]
async fn garbage_is_an_error_and_not_a_response() {
    let (port, _served) = serve(b"I am no web server\r\n\r\n").await;
    let error = egress(&["http://127.0.0.1:*"])
        .send(&id(), request(format!("http://127.0.0.1:{port}/")), 10)
        .await;
    assert!(
        matches!(error, Err(PluginError::Retryable { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn malformed_requests_are_invalid() {
    let egress = egress(&["http://127.0.0.1:*"]);
    let base = || request("http://127.0.0.1:1/".to_owned());
    let literal =
        |name: &str, value: &str| vec![header(name, vec![ValuePart::Literal(value.to_owned())])];
    let cases = [
        HttpRequest {
            method: "GET /".to_owned(),
            ..base()
        },
        HttpRequest {
            method: "CONNECT".to_owned(),
            ..base()
        },
        HttpRequest {
            headers: literal("Host", "evil.example"),
            ..base()
        },
        HttpRequest {
            headers: literal("Content-Length", "0"),
            ..base()
        },
        HttpRequest {
            headers: literal("bad name", "x"),
            ..base()
        },
        HttpRequest {
            headers: literal("x", "a\r\nb: c"),
            ..base()
        },
        HttpRequest {
            headers: vec![header("x", Vec::new()); 65],
            ..base()
        },
        HttpRequest {
            body: vec![0; MOST_BODY + 1],
            ..base()
        },
        request("http://u:p@127.0.0.1:1/".to_owned()),
    ];
    for case in cases {
        let shown = format!("{case:?}").chars().take(200).collect::<String>();
        let outcome = egress.send(&id(), case, 10).await;
        assert!(
            matches!(outcome, Err(PluginError::Invalid(_))),
            "{shown} {outcome:?}"
        );
    }
}

#[test]
fn proxies_of_the_environment_are_known_by_name() {
    let pairs = [
        ("HTTPS_PROXY", "http://Proxy.corp:3128"),
        ("all_proxy", "other.corp:1080"),
        ("HTTP_PROXY", ""),
    ];
    let env: HostEnv = pairs
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    assert_eq!(
        proxies(&env),
        ["other.corp".to_owned(), "proxy.corp".to_owned()].into()
    );
}

#[tokio::test]
async fn methods_and_paths_of_a_grant_bind_what_a_plugin_sends() {
    let (port, served) = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let origin = format!("http://127.0.0.1:{port}");
    let egress = egress(&[&format!("GET {origin}/v1/models")]);
    for (method, path) in [
        ("POST", "/v1/models"),
        ("GET", "/v1/keys"),
        ("GET", "/v1/models/../keys"),
        ("GET", "/v1/models/%2e%2e/keys"),
        ("GET", "/"),
    ] {
        let mut request = request(format!("{origin}{path}"));
        request.method = method.to_owned();
        let refused = egress.send(&id(), request, 10).await.expect_err("beyond");
        assert!(
            matches!(&refused, PluginError::Denied(why) if why.contains("that path of") && why.contains(&origin)),
            "{method} {path}: {refused}"
        );
    }
    let url = format!("{origin}/v1/models/one");
    let response = egress.send(&id(), request(url), 10).await.expect("granted");
    assert_eq!(response.status, 200);
    let sent = served.await.expect("it ends");
    assert!(
        sent.starts_with("GET /v1/models/one HTTP/1.1\r\n"),
        "{sent}"
    );
}

#[tokio::test]
async fn a_granted_name_that_leads_into_the_network_is_denied_with_its_address() {
    let egress = egress(&["http://public.example"]);
    for inside in ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1"] {
        let address = inside.parse().expect("an address");
        egress.http.lead("http://public.example", &[address]);
        let denied = egress
            .send(&id(), request("http://public.example/".to_owned()), 10)
            .await
            .expect_err("denied");
        assert_eq!(
            denied.to_string(),
            format!(
                "denied: plugin `acme` may not connect to `http://public.example`: `public.example` resolves to \
                 {inside}, an address inside the local network; if that is meant, grant the address itself"
            )
        );
    }
}

#[tokio::test]
async fn a_grant_ends_for_every_generation_at_once() {
    let (port, _served) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let egress = egress(&["http://127.0.0.1:*"]);
    let url = format!("http://127.0.0.1:{port}/");
    egress.http.policy.revoke(&id());
    let denied = egress.send(&id(), request(url), 10).await;
    assert_eq!(
        denied,
        Err(PluginError::Denied("plugin `acme` has no grant".to_owned()))
    );
}
