//! Packages in OCI registries.

use dovetail_tests::{Lab, NOTES};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::server::{Answer, Server};
use super::{check_refused, listed, package};
use crate::DOVETAIL;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// Serves an archive as `acme/notes`, under a tag and its digest, which is returned.
pub(crate) fn publish(
    server: &Server,
    tag: &str,
    archive: &[u8],
    signature: Option<&str>,
) -> String {
    let layer = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": digest(bytes), "size": bytes.len() });
    let mut layers = vec![layer(
        "application/vnd.dovetail.plugin.v1.tar+zstd",
        archive,
    )];
    let mut blobs = vec![archive.to_vec(), b"{}".to_vec()];
    if let Some(signature) = signature {
        let kind = "application/vnd.dovetail.plugin.signature.v1+minisig";
        layers.push(layer(kind, signature.as_bytes()));
        blobs.push(signature.as_bytes().to_vec());
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layer("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": layers,
    })
    .to_string();
    for blob in blobs {
        server.play(
            &format!("/v2/acme/notes/blobs/{}", digest(&blob)),
            Answer::ok(blob),
        );
    }
    let name = digest(manifest.as_bytes());
    for reference in [tag, &name] {
        let answer = Answer::ok(manifest.as_bytes())
            .header("Content-Type", MANIFEST)
            .header("Docker-Content-Digest", &name);
        server.play(&format!("/v2/acme/notes/manifests/{reference}"), answer);
    }
    server.play("/v2/", Answer::ok("{}"));
    name
}

#[tokio::test]
async fn a_package_in_a_registry_is_installed_and_its_digest_is_kept() {
    let lab = Lab::bare(DOVETAIL);
    let server = Server::start().await;
    let name = publish(&server, "1.0", &package(&NOTES), None);
    let reference = format!("oci://{}/acme/notes:1.0", server.address());
    lab.run(&["plugin", "install", &reference, "--plain-http", "--yes"])
        .await
        .expect_code(0);
    let plugin = listed(&lab, "notes").await;
    assert_eq!(plugin["state"], "ready");
    assert_eq!(plugin["package"]["source"], format!("{reference}@{name}"));
    let by_digest = format!("oci://{}/acme/notes@{name}", server.address());
    lab.run(&["plugin", "install", &by_digest, "--plain-http", "--yes"])
        .await
        .expect_code(0);
    assert_eq!(
        listed(&lab, "notes").await["package"]["source"],
        by_digest.as_str()
    );
}

#[tokio::test]
async fn a_registry_that_sends_something_else_is_not_believed() {
    let lab = Lab::bare(DOVETAIL);
    let server = Server::start().await;
    let archive = package(&NOTES);
    let name = publish(&server, "1.0", &archive, None);
    let tagged = format!("oci://{}/acme/notes:1.0", server.address());
    let pinned = format!("oci://{}/acme/notes@{name}", server.address());
    // Other bytes for the layer, of the same length and longer.
    let mut other = archive.clone();
    other[100] ^= 1;
    let blob = format!("/v2/acme/notes/blobs/{}", digest(&archive));
    server.play(&blob, Answer::ok(other));
    check_refused(
        &lab,
        &[&tagged, "--plain-http"],
        1,
        &[
            "cannot fetch `oci://",
            "other bytes than its manifest names",
        ],
    )
    .await;
    server.play(&blob, Answer::ok([archive.as_slice(), b"more"].concat()));
    check_refused(
        &lab,
        &[&tagged, "--plain-http"],
        1,
        &["cannot fetch `oci://"],
    )
    .await;
    server.play(&blob, Answer::ok(archive));
    // Another manifest than the digest names.
    let evil = Server::start().await;
    publish(
        &evil,
        "1.0",
        &super::package_with(&NOTES, NOTES.manifest, &super::with_more(NOTES.wasm)),
        None,
    );
    let manifest = format!("/v2/acme/notes/manifests/{name}");
    server.play(
        &manifest,
        Answer::ok("{\"schemaVersion\":2,\"layers\":[]}").header("Content-Type", MANIFEST),
    );
    check_refused(
        &lab,
        &[&pinned, "--plain-http"],
        1,
        &["cannot fetch `oci://"],
    )
    .await;
}

#[tokio::test]
async fn a_registry_is_asked_without_encryption_only_here_and_when_told() {
    let lab = Lab::bare(DOVETAIL);
    let server = Server::start().await;
    publish(&server, "1.0", &package(&NOTES), None);
    let here = format!("oci://{}/acme/notes:1.0", server.address());
    check_refused(&lab, &[&here], 1, &["cannot fetch `oci://"]).await;
    assert_eq!(
        server.asked(),
        Vec::<String>::new(),
        "nothing is sent in the clear"
    );
    check_refused(
        &lab,
        &["oci://registry.example/acme/notes:1.0", "--plain-http"],
        1,
        &["--plain-http is for registries of this machine, and `registry.example` is none"],
    )
    .await;
}

#[tokio::test]
async fn what_is_no_plugin_in_a_registry_is_refused() {
    let lab = Lab::bare(DOVETAIL);
    let server = Server::start().await;
    server.play("/v2/", Answer::ok("{}"));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(b"{}"), "size": 2 },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(b"x"), "size": 1 }],
    });
    server.play(
        "/v2/acme/notes/manifests/1.0",
        Answer::ok(manifest.to_string()).header("Content-Type", MANIFEST),
    );
    let reference = format!("oci://{}/acme/notes:1.0", server.address());
    check_refused(
        &lab,
        &[&reference, "--plain-http"],
        1,
        &["it holds no plugin"],
    )
    .await;
    let missing = format!("oci://{}/acme/other:1.0", server.address());
    check_refused(
        &lab,
        &[&missing, "--plain-http"],
        1,
        &["cannot fetch `oci://"],
    )
    .await;
}

#[tokio::test]
async fn a_registry_that_wants_a_token_is_given_the_one_it_gives() {
    let lab = Lab::bare(DOVETAIL);
    let server = Server::start().await;
    publish(&server, "1.0", &package(&NOTES), None);
    let challenge = format!(
        "Bearer realm=\"{}\",service=\"acme\",scope=\"anything\"",
        server.url("/token?x=y")
    );
    server.close("/v2/", "Bearer t0ken", &challenge);
    let token = "/token?x=y&scope=repository%3Aacme%2Fnotes%3Apull&service=acme";
    let reference = format!("oci://{}/acme/notes:1.0", server.address());
    for (answer, words) in [
        ("{}", "the registry gives a token that cannot be used"),
        ("no", "the registry gives a token that is no JSON"),
        (
            "{\"token\":\"a\\nb: c\"}",
            "the registry gives a token that cannot be used",
        ),
        ("{\"token\":\"other\"}", "the registry answers 401"),
    ] {
        server.play(token, Answer::ok(answer));
        check_refused(
            &lab,
            &[&reference, "--plain-http"],
            1,
            &["cannot fetch `oci://", words],
        )
        .await;
    }
    server.play(token, Answer::ok("{\"access_token\":\"t0ken\"}"));
    lab.run(&["plugin", "install", &reference, "--plain-http", "--yes"])
        .await
        .expect_code(0);
    assert_eq!(listed(&lab, "notes").await["state"], "ready");
}

#[tokio::test]
async fn a_registry_that_sends_tokens_elsewhere_or_asks_for_a_password_is_refused() {
    for (challenge, words) in [
        (
            "Bearer realm=\"http://tokens.example/\"",
            "wants a token to be fetched without encryption",
        ),
        ("Basic realm=\"acme\"", "lets in only those who sign in"),
        ("gibberish", "lets in only those who sign in"),
    ] {
        let lab = Lab::bare(DOVETAIL);
        let server = Server::start().await;
        server.close("/v2/", "Bearer t0ken", challenge);
        let reference = format!("oci://{}/acme/notes:1.0", server.address());
        check_refused(
            &lab,
            &[&reference, "--plain-http"],
            1,
            &["cannot fetch `oci://", words],
        )
        .await;
    }
}

#[tokio::test]
async fn a_registry_that_sends_without_end_is_cut_off_by_size() {
    let lab = Lab::bare(DOVETAIL);
    let server = Server::start().await;
    let reference = format!("oci://{}/acme/notes:1.0", server.address());
    let spaces = vec![b' '; (4 << 20) + 1];
    server.play(
        "/v2/acme/notes/manifests/1.0",
        Answer::ok(spaces.clone()).header("Content-Type", MANIFEST),
    );
    check_refused(
        &lab,
        &[&reference, "--plain-http"],
        1,
        &["the registry sent a manifest longer than 4194304 bytes"],
    )
    .await;
    server.close(
        "/v2/",
        "Bearer t0ken",
        &format!("Bearer realm=\"{}\"", server.url("/token")),
    );
    server.play(
        "/token?scope=repository%3Aacme%2Fnotes%3Apull",
        Answer::ok(spaces),
    );
    check_refused(
        &lab,
        &[&reference, "--plain-http"],
        1,
        &["the registry sent a token longer than 65536 bytes"],
    )
    .await;
}
