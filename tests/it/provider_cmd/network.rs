//! `provider test`: the way to the server.

use std::net::TcpListener;

use dovetail_tests::Lab;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::api::{Api, spoken};
use super::{failure, lab, told, vendor};
use crate::raw_server::RawServer;
use crate::tls_server::{
    AUTHORITY, EXPIRED, answering, answering_as, with_authoritys_certificate,
    with_expired_certificate,
};

/// What answers every request, the end of a turn.
const TURN: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
    data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\"}}\n\n";

/// A port where nobody listens.
fn nobody() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Tests the provider, and compares the step that fails, what is known, and what to do.
async fn fails(lab: &Lab, step: &str, fact: &str, fix: &str) {
    let ran = lab
        .run(&["provider", "test", "--json"])
        .await
        .expect_code(1);
    let (failed, known, fixes) = failure(lab, &ran);
    assert_eq!(failed, step, "{known}");
    assert!(known.starts_with(fact), "`{fact}` does not begin: {known}");
    assert!(
        fixes.iter().any(|known| known.contains(fix)),
        "`{fix}` is missing in: {fixes:#?}"
    );
}

#[tokio::test]
async fn a_name_that_nobody_knows_fails_at_dns() {
    let lab = lab(&vendor("https://llm.example.invalid/v1", ""));
    fails(
        &lab,
        "dns",
        "`llm.example.invalid` cannot be found: ",
        "is the name right? It is written in user: /home/config.toml:4",
    )
    .await;
}

#[tokio::test]
async fn a_port_where_nobody_listens_fails_at_tcp() {
    let mut lab = lab(&vendor(&format!("http://127.0.0.1:{}/v1", nobody()), ""));
    fails(
        &lab,
        "tcp",
        "127.0.0.1:<port>: Connection refused",
        "start the server",
    )
    .await;
    lab.set_env(
        "CODEX_OSS_BASE_URL",
        &format!("http://127.0.0.1:{}/v1", nobody()),
    );
    let ran = lab
        .run(&["provider", "test", "ollama", "--json"])
        .await
        .expect_code(1);
    let (step, _, fixes) = failure(&lab, &ran);
    assert_eq!(
        (step.as_str(), fixes[0].as_str()),
        ("tcp", "start it with `ollama serve`")
    );
}

#[tokio::test]
async fn a_certificate_that_does_not_count_fails_at_tls() {
    let address = answering(TURN);
    let mut lab = lab(&vendor(&format!("https://{address}/v1"), ""));
    fails(
        &lab,
        "tls",
        "no secure connection to 127.0.0.1: invalid peer certificate: UnknownIssuer",
        "CODEX_CA_CERTIFICATE=/path/to/authority.pem",
    )
    .await;
    lab.set_env("CODEX_CA_CERTIFICATE", "/nowhere/ca.pem");
    fails(
        &lab,
        "tls",
        "no secure connection to 127.0.0.1: `CODEX_CA_CERTIFICATE` names",
        "correct the variable, or take it away",
    )
    .await;
    lab.set_env("CODEX_CA_CERTIFICATE", AUTHORITY);
    lab.write_config(&vendor(
        &format!("https://localhost:{}/v1", address.port()),
        "",
    ));
    fails(
        &lab,
        "tls",
        "no secure connection to localhost: invalid peer certificate: ",
        "use the name that the certificate is for",
    )
    .await;

    let expired = answering_as(with_expired_certificate(), TURN);
    lab.set_env("CODEX_CA_CERTIFICATE", EXPIRED);
    lab.write_config(&vendor(&format!("https://{expired}/v1"), ""));
    fails(
        &lab,
        "tls",
        "no secure connection to 127.0.0.1: invalid peer certificate: ",
        "whoever runs the server has to renew it",
    )
    .await;

    let plain = RawServer::start(|mut stream| async move {
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .ok();
        stream
    })
    .await;
    lab.write_config(&vendor(&format!("https://{}/v1", plain.address()), ""));
    fails(
        &lab,
        "tls",
        "no secure connection to 127.0.0.1: ",
        "is this the port for https?",
    )
    .await;
}

#[tokio::test]
async fn an_authority_that_is_named_is_trusted() {
    let mut lab = lab(&vendor(&format!("https://{}/v1", answering(TURN)), ""));
    lab.set_env("CODEX_CA_CERTIFICATE", AUTHORITY);
    let ran = lab
        .run(&["provider", "test", "--json"])
        .await
        .expect_code(1);
    let told = told(&lab, &ran);
    let tls = &told["steps"][5];
    assert_eq!(
        (tls["status"].as_str(), tls["fact"].as_str()),
        (Some("ok"), Some("the certificate is trusted"))
    );
    // What answers everything with the end of a turn calls no tool.
    assert_eq!(failure(&lab, &ran).0, "tools");
}

#[tokio::test]
async fn a_proxy_on_the_way_is_named_without_who_we_are_to_it() {
    let mut lab = lab(&vendor("https://llm.example.invalid/v1", ""));
    lab.set_env(
        "https_proxy",
        &format!(
            "http://user:vendor-secret-0123456789@127.0.0.1:{}",
            nobody()
        ),
    );
    fails(
        &lab,
        "tcp",
        "the proxy of `https_proxy`: 127.0.0.1:<port>: Connection refused",
        "is the proxy running?",
    )
    .await;

    let refusing = RawServer::start(|mut stream| async move {
        let mut bytes = [0; 1024];
        // The first connection is made and closed; the second asks to be led on.
        if tokio::io::AsyncReadExt::read(&mut stream, &mut bytes)
            .await
            .is_ok_and(|read| read > 0)
        {
            let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer)
                .await
                .ok();
        }
        stream
    })
    .await;
    lab.set_env(
        "https_proxy",
        &format!(
            "http://user:vendor-secret-0123456789@{}",
            refusing.address()
        ),
    );
    fails(
        &lab,
        "proxy",
        "the proxy 127.0.0.1:<port> (`https_proxy`) does not lead to llm.example.invalid: ",
        "https_proxy=http://user:password@host:port",
    )
    .await;
}

#[tokio::test]
async fn a_proxy_leads_on_and_what_is_not_encrypted_is_warned_of() {
    let proxy = Api::start(|request| {
        let mut request = request.clone();
        request.line = request.line.replace("http://llm.example.invalid", "");
        spoken("responses", &["m-1"], &request)
    })
    .await;
    let mut lab = lab(&vendor("http://llm.example.invalid/v1", ""));
    lab.set_env("http_proxy", &proxy.url(""));
    let warning = "http:// is not encrypted: whoever is on the way can read key and conversation";
    let ran = lab.run(&["provider", "test", "--json"]).await;
    let tested = told(&lab, &ran.expect_code(0));
    assert_eq!(
        tested["steps"][4]["fact"],
        "through 127.0.0.1:<port> (`http_proxy`)"
    );
    assert_eq!(
        tested["steps"][5],
        json!({ "step": "tls", "status": "skipped", "fact": warning, "fix": [], "ms": null })
    );
    let url = "http://llm.example.invalid";
    let ran = lab
        .run(&["provider", "add", url, "--dry-run", "--json"])
        .await;
    let added = told(&lab, &ran.expect_code(0));
    assert_eq!(
        (&added["id"], &added["warnings"]),
        (&json!("example"), &json!([warning]))
    );
}

#[tokio::test]
async fn a_certificate_that_is_an_authoritys_own_fails_at_tls() {
    let address = answering_as(with_authoritys_certificate(), TURN);
    let lab = lab(&vendor(&format!("https://{address}/v1"), ""));
    fails(
        &lab,
        "tls",
        "no secure connection to 127.0.0.1: the server's certificate is one of an authority",
        "basicConstraints=critical,CA:FALSE",
    )
    .await;
}

#[tokio::test]
async fn a_server_of_tls_that_is_asked_without_is_said_to_be_one() {
    let address = answering(TURN);
    let lab = lab(&vendor(&format!("http://{address}/v1"), ""));
    fails(
        &lab,
        "stream",
        "no answer from `http://127.0.0.1:<port>/v1/responses`: ",
        "does it speak TLS? Then base_url begins with https://; it is written in user: /home/config.toml:4",
    )
    .await;
}

/// A SOCKS proxy without a password, which leads everywhere to one address.
async fn socks(to: std::net::SocketAddr) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                // The greeting, then the name and the port. Some connections are only made and closed.
                let mut head = [0; 3];
                if client.read_exact(&mut head).await.is_err() {
                    return;
                }
                assert_eq!(head, [5, 1, 0]);
                client.write_all(&[5, 0]).await.unwrap();
                let mut wish = [0; 5];
                client.read_exact(&mut wish).await.unwrap();
                assert_eq!(wish[..4], [5, 1, 0, 3], "the proxy is given the name");
                let mut name = vec![0; usize::from(wish[4]) + 2];
                client.read_exact(&mut name).await.unwrap();
                assert_eq!(&name[..name.len() - 2], b"llm.example.invalid");
                client
                    .write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])
                    .await
                    .unwrap();
                let mut server = tokio::net::TcpStream::connect(to).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    address
}

#[tokio::test]
async fn a_proxy_may_speak_socks() {
    let server = Api::speaking("chat", &["m-1"]).await;
    let to = server
        .url("")
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let mut lab = lab(&vendor(
        "http://llm.example.invalid/v1",
        "wire_api = \"chat\"",
    ));
    lab.set_env("ALL_PROXY", &format!("socks5h://{}", socks(to).await));
    let ran = lab
        .run(&["provider", "test", "--json"])
        .await
        .expect_code(0);
    assert_eq!(told(&lab, &ran)["ok"], true);
    assert_eq!(server.requests().len(), 4);
}
