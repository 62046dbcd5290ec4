//! Newer versions, from where the installed one came from.

use dovetail_tests::{Lab, NOTES};

use super::registries::publish;
use super::server::Server;
use super::signatures::{Key, signed};
use super::{files, listed, package, package_with, with_more};
use crate::DOVETAIL;

/// Another version, which asks for `more`.
fn version(number: &str, more: &str) -> Vec<u8> {
    let manifest = NOTES
        .manifest
        .replace("version = \"0.1.0\"", &format!("version = \"{number}\""));
    assert!(manifest.contains(number), "{manifest}");
    package_with(&NOTES, &format!("{manifest}{more}"), &with_more(NOTES.wasm))
}

async fn installed() -> Lab {
    let lab = Lab::bare(DOVETAIL);
    lab.write("notes.tar.zst", package(&NOTES));
    lab.run(&["plugin", "install", "notes.tar.zst", "--yes"])
        .await
        .expect_code(0);
    lab
}

#[tokio::test]
async fn an_update_that_asks_for_no_more_takes_a_yes() {
    let lab = installed().await;
    let same = lab.run(&["plugin", "update"]).await.expect_code(0);
    assert_eq!(same.stdout, "notes 0.1.0 is what its source has\n");
    lab.write("notes.tar.zst", version("0.2.0", ""));
    lab.run(&["plugin", "update", "notes"])
        .await
        .expect_code(1)
        .expect_errors(&["notes 0.1.0 → 0.2.0", "sha256", "= fs ./notes", "add --yes"]);
    assert_eq!(listed(&lab, "notes").await["version"], "0.1.0");
    let ran = lab.run(&["plugin", "update", "--yes"]).await.expect_code(0);
    assert_eq!(ran.stdout, "updated notes 0.1.0 → 0.2.0\n");
    let plugin = listed(&lab, "notes").await;
    assert_eq!(
        (&plugin["version"], &plugin["state"]),
        (&"0.2.0".into(), &"ready".into())
    );
}

#[tokio::test]
async fn an_update_that_asks_for_more_shows_it_and_takes_no_yes() {
    let lab = installed().await;
    for (more, words) in [
        (
            "net = [\"https://elsewhere.example\"]\n",
            "+ net https://elsewhere.example",
        ),
        ("\n[limits]\nmemory_mb = 512\n", "512 MB of memory"),
    ] {
        lab.write("notes.tar.zst", version("0.2.0", more));
        let before = files(&lab);
        lab.run(&["plugin", "update", "notes", "--yes"])
            .await
            .expect_code(3)
            .expect_errors(&[
                words,
                "asks for more than was granted",
                "nothing was changed",
            ]);
        assert_eq!(files(&lab), before);
        assert_eq!(listed(&lab, "notes").await["version"], "0.1.0");
    }
}

#[tokio::test]
async fn a_source_that_offers_an_older_version_or_another_signer_is_not_followed() {
    let lab = Lab::bare(DOVETAIL);
    let (key, other) = (Key::new(), Key::new());
    signed(&lab, &key, &version("0.2.0", ""));
    let text = key.text();
    lab.write_config(&format!(
        "[dovetail.trusted_keys]\nacme = \"{text}\"\nevil = \"{}\"\n",
        other.text()
    ));
    lab.run(&["plugin", "install", "notes.tar.zst", "--yes"])
        .await
        .expect_code(0);
    signed(&lab, &key, &version("0.1.9", ""));
    lab.run(&["plugin", "update", "--yes"])
        .await
        .expect_code(3)
        .expect_errors(&["plugin `notes` is 0.2.0, and its source has the older 0.1.9"]);
    signed(&lab, &other, &version("0.3.0", ""));
    lab.run(&["plugin", "update", "--yes"])
        .await
        .expect_code(3)
        .expect_errors(&[
            "was signed by acme (RW",
            "this package is signed by evil (RW",
        ]);
    assert_eq!(listed(&lab, "notes").await["version"], "0.2.0");
}

#[tokio::test]
async fn a_tag_that_moved_is_followed_and_a_digest_is_not() {
    let lab = Lab::bare(DOVETAIL);
    let server = Server::start().await;
    let first = publish(&server, "stable", &package(&NOTES), None);
    let tagged = format!("oci://{}/acme/notes:stable", server.address());
    let install = async |reference: &str| {
        lab.run(&["plugin", "install", reference, "--plain-http", "--yes"])
            .await
            .expect_code(0);
    };
    install(&tagged).await;
    let second = publish(&server, "stable", &version("0.2.0", ""), None);
    lab.run(&["plugin", "update", "--plain-http", "--yes"])
        .await
        .expect_code(0);
    let source = listed(&lab, "notes").await["package"]["source"].clone();
    assert_eq!(source, format!("{tagged}@{second}"));
    install(&format!("oci://{}/acme/notes@{first}", server.address())).await;
    lab.run(&["plugin", "update", "--plain-http", "--yes"])
        .await
        .expect_code(1)
        .expect_errors(&["was installed by digest, which never changes"]);
}

#[tokio::test]
async fn what_came_from_nowhere_is_not_updated() {
    let lab = Lab::bare(DOVETAIL);
    lab.install(&NOTES).await;
    let ran = lab.run(&["plugin", "update"]).await.expect_code(0);
    assert_eq!(
        ran.stdout,
        "no plugin of yours was installed from a package\n"
    );
    lab.run(&["plugin", "update", "notes"])
        .await
        .expect_code(1)
        .expect_errors(&["was not installed from a package", "--from"]);
}
