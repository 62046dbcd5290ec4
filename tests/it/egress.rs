//! What is set for the host's requests holds for those of plugins: private authorities and proxies.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dovetail_tests::{Lab, MISBEHAVER, WEB_CALLER, script};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::raw_server::RawServer;
use crate::{lab, tls_server};

const ANSWER: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nsecret";
/// A turn that a model answers, in one piece.
const TURN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n\
data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"message\",\"role\":\"assistant\",\"id\":\"m\",\"content\":[{\"type\":\"output_text\",\"text\":\"safe and sound\"}]}}\n\n\
data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\"}}\n\n";

/// Both plugins send a request there, one over the contract's HTTP and one over WASI's.
async fn both_call(url: &str) -> Lab {
    let calls = script::response(&format!(
        "{{ tool_call = \"obey\", namespace = \"mcp__misbehaver\", call_id = \"contract\", arguments = {{}} }},\n\
         {{ tool_call = \"call\", namespace = \"mcp__web-caller\", call_id = \"wasi\", arguments = {{ url = \"{url}\" }} }}",
    ));
    let lab = lab(&[&calls, &script::answer("done")]).await;
    let origin = url::Url::parse(url).unwrap().origin().ascii_serialization();
    let manifest = MISBEHAVER
        .manifest
        .replace("https://granted.example", &origin);
    lab.configure(
        &MISBEHAVER,
        json!({ "behave": "http", "at": "call-tool", "target": url }),
    );
    lab.install_with(&MISBEHAVER, &manifest).await;
    let manifest = format!("{}\n[request]\nnet = [\"{origin}\"]\n", WEB_CALLER.manifest);
    lab.install_with(&WEB_CALLER, &manifest).await;
    lab
}

/// What each of the two got.
async fn outputs(lab: &Lab) -> [String; 2] {
    lab.exec(&["go"]).await.expect_code(0);
    ["contract", "wasi"].map(|call| lab.output_of(call))
}

#[tokio::test]
async fn a_private_authority_counts_for_plugins() {
    let url = format!("https://{}/", tls_server::answering(ANSWER));
    for variable in ["CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"] {
        let mut lab = both_call(&url).await;
        lab.set_env(variable, tls_server::AUTHORITY);
        let [contract, wasi] = outputs(&lab).await;
        assert!(
            contract.contains("status 404: secret"),
            "{variable}: {contract}"
        );
        assert!(
            wasi.contains("status 404, 1 headers, 6 bytes: secret"),
            "{variable}: {wasi}"
        );
    }
    let lab = both_call(&url).await;
    let [contract, wasi] = outputs(&lab).await;
    assert!(
        contract.contains("invalid peer certificate: UnknownIssuer"),
        "{contract}"
    );
    assert!(wasi.contains("ErrorCode::TlsProtocolError"), "{wasi}");
}

#[tokio::test]
async fn a_private_authority_counts_for_models_and_packages() {
    let model = format!(
        "model_providers.rehearsal.base_url=https://{}/v1",
        tls_server::answering(TURN)
    );
    let package = format!("https://{}/a.tar.zst", tls_server::answering(ANSWER));
    let mut lab = lab(&[&script::answer("unused")]).await;
    for variable in ["CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"] {
        lab.set_env(variable, tls_server::AUTHORITY);
        let ran = lab.exec(&["-c", &model, "go"]).await.expect_code(0);
        assert_eq!(ran.stdout, "safe and sound\n", "{variable}");
        let ran = lab.run(&["plugin", "install", &package]).await;
        assert!(
            ran.stderr.contains("the server answers 404"),
            "{variable}: {}",
            ran.stderr
        );
        lab.remove_env(variable);
    }
    let ran = lab.run(&["plugin", "install", &package]).await;
    assert!(
        ran.stderr.contains("invalid peer certificate"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn the_client_certificate_is_shown_to_the_hosts_that_are_named_for_it() {
    let asking = |answer| {
        let config = tls_server::that_asks_for_a_certificate();
        format!("https://{}", tls_server::answering_as(config, answer))
    };
    let model = format!("model_providers.rehearsal.base_url={}/v1", asking(TURN));
    let package = format!("{}/a.tar.zst", asking(ANSWER));
    let mut lab = both_call(&format!("{}/", asking(ANSWER))).await;
    let body = STANDARD.encode(tls_server::KEY);
    let key = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    let certificate = std::fs::read_to_string(tls_server::AUTHORITY).unwrap();
    let together = lab.write("client.pem", format!("{certificate}{key}"));
    let key = lab.write("client.key", key);
    lab.set_env("CODEX_CA_CERTIFICATE", tls_server::AUTHORITY);

    for (certificate, key) in [
        (together.as_path(), None),
        (Path::new(tls_server::AUTHORITY), Some(key.as_path())),
    ] {
        let shown = |path: &Path| path.display().to_string();
        lab.set_env("DOVETAIL_CLIENT_CERTIFICATE", &shown(certificate));
        lab.set_env("DOVETAIL_CLIENT_KEY", &key.map(shown).unwrap_or_default());
        let hosts = "llm.corp.example, 127.0.0.1";
        lab.set_env("DOVETAIL_CLIENT_CERTIFICATE_HOSTS", hosts);
        let ran = lab.exec(&["-c", &model, "go"]).await.expect_code(0);
        assert_eq!(ran.stdout, "safe and sound\n");
        let ran = lab.run(&["plugin", "install", &package]).await;
        let told = ran.stderr;
        assert!(told.contains("the server answers 404"), "{told}");

        lab.set_env("DOVETAIL_CLIENT_CERTIFICATE_HOSTS", "*.corp.example");
        let retries = "model_providers.rehearsal.request_max_retries=0";
        let ran = lab.exec(&["-c", &model, "-c", retries, "go"]).await;
        ran.expect_code(1).expect_errors(&["CertificateRequired"]);
    }
    lab.set_env("DOVETAIL_CLIENT_CERTIFICATE_HOSTS", "127.0.0.1");
    let [contract, wasi] = outputs(&lab).await;
    assert!(contract.contains("status 404: secret"), "{contract}");
    assert!(wasi.contains("6 bytes: secret"), "{wasi}");
}

#[tokio::test]
async fn authorities_that_cannot_be_used_are_named() {
    let url = format!("https://{}/", tls_server::answering(ANSWER));
    let mut lab = both_call(&url).await;
    let file = lab.write("ca.pem", "no certificate\n");
    let sentence = format!(
        "`CODEX_CA_CERTIFICATE` names `{}`, which cannot be used: it holds no certificate in PEM form",
        file.display()
    );
    lab.set_env("CODEX_CA_CERTIFICATE", &file.display().to_string());
    for output in outputs(&lab).await {
        assert!(output.contains(&sentence), "{output}");
    }
    let model = format!("model_providers.rehearsal.base_url={url}v1");
    let ran = lab.exec(&["-c", &model, "go"]).await.expect_code(1);
    assert!(ran.stderr.contains(&sentence), "{}", ran.stderr);
    let package = format!("{url}a.tar.zst");
    let ran = lab.run(&["plugin", "install", &package]).await;
    assert!(ran.stderr.contains(&sentence), "{}", ran.stderr);
}

/// A proxy that answers whatever it is asked with what it was asked.
async fn echo() -> RawServer {
    RawServer::start(|mut stream| async move {
        let mut buffer = vec![0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let line = text.lines().next().unwrap_or_default();
        let answer = format!(
            "HTTP/1.1 418 Teapot\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{line}",
            line.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        stream
    })
    .await
}

#[tokio::test]
async fn plugins_go_through_the_hosts_proxy() {
    let proxy = echo().await;
    let mut lab = both_call("http://granted.example/x?y").await;
    lab.set_env("http_proxy", &format!("http://{}", proxy.address()));
    let asked = "GET http://granted.example/x?y HTTP/1.1";
    for output in outputs(&lab).await {
        assert!(
            output.contains("status 418") && output.contains(asked),
            "{output}"
        );
    }
}

#[tokio::test]
async fn encrypted_requests_go_through_a_tunnel() {
    let proxy = echo().await;
    let mut lab = both_call("https://granted.example/x").await;
    lab.set_env("HTTPS_PROXY", &format!("http://{}", proxy.address()));
    let [contract, wasi] = outputs(&lab).await;
    // This proxy makes none.
    assert!(
        contract.contains("cannot connect to `https://granted.example`: tunnel error"),
        "{contract}"
    );
    proxy.wait_for_connection().await;
    assert!(wasi.contains("ErrorCode::ConnectionRefused"), "{wasi}");
}

#[tokio::test]
async fn exceptions_and_this_machine_go_through_none() {
    let proxy = echo().await;
    let mut lab = both_call("http://nobody.invalid/").await;
    lab.set_env("http_proxy", &format!("http://{}", proxy.address()));
    lab.set_env("no_proxy", "nobody.invalid");
    let [contract, wasi] = outputs(&lab).await;
    assert!(
        contract.contains("cannot connect to `http://nobody.invalid`"),
        "{contract}"
    );
    assert!(wasi.contains("ErrorCode::ConnectionRefused"), "{wasi}");

    let server = echo().await;
    let mut lab = both_call(&format!("http://{}/here", server.address())).await;
    lab.set_env("http_proxy", "http://127.0.0.1:1");
    for output in outputs(&lab).await {
        assert!(output.contains("GET /here HTTP/1.1"), "{output}");
    }
}

#[tokio::test]
async fn a_request_over_wasi_beyond_the_grant_is_told_at_the_end() {
    let server = echo().await;
    let call = script::response(&format!(
        "{{ tool_call = \"call\", namespace = \"mcp__web-caller\", call_id = \"wasi\", arguments = {{ url = \"http://{}/\" }} }}",
        server.address()
    ));
    let lab = lab(&[&call, &script::answer("done")]).await;
    lab.install(&WEB_CALLER).await;
    let ran = lab.exec(&["--strict", "go"]).await.expect_code(1);
    assert!(
        lab.output_of("wasi")
            .contains("ErrorCode::HttpRequestDenied"),
        "{}",
        lab.output_of("wasi")
    );
    let told = format!(
        "plugin `web-caller` may not connect to `http://{}`",
        server.address()
    );
    assert!(ran.stderr.contains(&told), "{}", ran.stderr);
}
