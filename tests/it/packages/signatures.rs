//! Packages that are signed, and lists of who may sign.

use std::io::Cursor;

use dovetail_tests::{Lab, NOTES, script};
use minisign::KeyPair;

use super::registries::publish;
use super::server::{Answer, Server};
use super::{check_refused, listed, package};
use crate::{DOVETAIL, lab};

/// A key of somebody's own.
pub(crate) struct Key(KeyPair);

impl Key {
    pub(crate) fn new() -> Self {
        Self(KeyPair::generate_unencrypted_keypair().unwrap())
    }

    pub(crate) fn text(&self) -> String {
        self.0.pk.to_base64()
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> String {
        minisign::sign(None, &self.0.sk, Cursor::new(bytes), None, None)
            .unwrap()
            .into_string()
    }
}

/// Writes a package and its signature.
pub(crate) fn signed(lab: &Lab, key: &Key, archive: &[u8]) {
    lab.write("notes.tar.zst", archive);
    lab.write("notes.tar.zst.minisig", key.sign(archive));
}

#[tokio::test]
async fn a_signer_is_checked_kept_and_shown() {
    let key = Key::new();
    let archive = package(&NOTES);
    let server = Server::start().await;
    server.play("/notes.tar.zst", Answer::ok(archive.clone()));
    server.play("/notes.tar.zst.minisig", Answer::ok(key.sign(&archive)));
    publish(&server, "1.0", &archive, Some(&key.sign(&archive)));
    let packages = [
        "notes.tar.zst".to_owned(),
        server.url("/notes.tar.zst"),
        format!("oci://{}/acme/notes:1.0", server.address()),
    ];
    for package in &packages {
        let lab = Lab::bare(DOVETAIL);
        signed(&lab, &key, &archive);
        lab.write(
            "acme.pub",
            format!("untrusted comment: x\n{}\n", key.text()),
        );
        lab.run(&[
            "plugin",
            "install",
            package,
            "--plain-http",
            "--yes",
            "--key",
            "acme.pub",
        ])
        .await
        .expect_code(0);
        assert_eq!(listed(&lab, "notes").await["package"]["signer"], key.text());
        lab.write_config(&format!(
            "[dovetail.trusted_keys]\nacme = \"{}\"\n",
            key.text()
        ));
        lab.run(&[
            "plugin",
            "install",
            package,
            "--plain-http",
            "--yes",
            "--key",
            "acme",
        ])
        .await
        .expect_code(0)
        .expect_errors(&["signed   by acme (RW"]);
        let shown = lab
            .run(&["plugin", "inspect", "notes"])
            .await
            .expect_code(0);
        assert!(shown.stdout.contains("acme (RW"), "{}", shown.stdout);
        let shown = lab.run(&["trust", "list"]).await.expect_code(0);
        assert!(shown.stdout.contains("acme (RW"), "{}", shown.stdout);
    }
}

#[tokio::test]
async fn a_package_that_was_changed_or_is_of_somebody_else_is_refused() {
    let (key, other) = (Key::new(), Key::new());
    let lab = Lab::bare(DOVETAIL);
    let archive = package(&NOTES);
    let text = key.text();
    lab.write_config(&format!("[dovetail.trusted_keys]\nacme = \"{text}\"\n"));
    // Changed after it was signed: refused whether or not a signature is required.
    lab.write("notes.tar.zst", [archive.as_slice(), b"x"].concat());
    lab.write("notes.tar.zst.minisig", key.sign(&archive));
    let changed = &["changed after it was signed", "nothing was installed"];
    check_refused(&lab, &["notes.tar.zst"], 3, changed).await;
    check_refused(&lab, &["notes.tar.zst", "--key", &text], 3, changed).await;
    // No signature.
    lab.write("notes.tar.zst.minisig", "hello");
    check_refused(
        &lab,
        &["notes.tar.zst"],
        3,
        &["not one that minisign makes"],
    )
    .await;
    std::fs::remove_file(lab.project().join("notes.tar.zst.minisig")).unwrap();
    check_refused(
        &lab,
        &["notes.tar.zst", "--key", &text],
        3,
        &["there is no signature beside it"],
    )
    .await;
    // Somebody else's.
    signed(&lab, &other, &archive);
    check_refused(
        &lab,
        &["notes.tar.zst", "--key", "acme"],
        3,
        &["signed with another key"],
    )
    .await;
    lab.run(&["plugin", "install", "notes.tar.zst", "--yes"])
        .await
        .expect_code(0)
        .expect_errors(&["not among your trusted keys"]);
    assert_eq!(
        listed(&lab, "notes").await["package"]["signer"],
        serde_json::Value::Null
    );
    check_refused(
        &lab,
        &["notes.tar.zst", "--key", "1F0C0B0A0908E2D1"],
        1,
        &["is the id of a key"],
    )
    .await;
}

#[tokio::test]
async fn what_was_signed_stays_with_its_signer() {
    let (key, other) = (Key::new(), Key::new());
    let lab = Lab::bare(DOVETAIL);
    let archive = package(&NOTES);
    let text = key.text();
    signed(&lab, &key, &archive);
    lab.run(&[
        "plugin",
        "install",
        "notes.tar.zst",
        "--yes",
        "--key",
        &text,
    ])
    .await
    .expect_code(0);
    for _ in 0..2 {
        check_refused(
            &lab,
            &["notes.tar.zst"],
            3,
            &[
                "plugin `notes` was signed by RW",
                "not signed by anybody that is known",
                "--change-signer",
            ],
        )
        .await;
        signed(&lab, &other, &archive);
    }
    lab.run(&[
        "plugin",
        "install",
        "notes.tar.zst",
        "--yes",
        "--change-signer",
    ])
    .await
    .expect_code(0);
}

#[tokio::test]
async fn a_managed_list_of_signers_is_enforced_at_install_and_at_load() {
    let (key, other) = (Key::new(), Key::new());
    let lab = lab(&[&script::answer("hi")]).await;
    let archive = package(&NOTES);
    lab.write("notes.tar.zst", &archive);
    lab.run(&["plugin", "install", "notes.tar.zst", "--yes"])
        .await
        .expect_code(0);
    lab.write_home(
        "managed_config.toml",
        format!(
            "[dovetail.plugin_policy]\nallow_keys = [\"{}\"]\n[dovetail.plugins.notes]\nrequired = true\n",
            key.text()
        ),
    );
    let sentence = "plugin `notes` is not among the plugins that may be used here";
    lab.exec(&["hello"])
        .await
        .expect_code(3)
        .expect_errors(&["plugin `notes` is required and does not run", sentence]);
    check_refused(&lab, &["notes.tar.zst"], 3, &[sentence]).await;
    signed(&lab, &other, &archive);
    check_refused(
        &lab,
        &["notes.tar.zst", "--key", &other.text()],
        3,
        &[sentence],
    )
    .await;
    signed(&lab, &key, &archive);
    lab.run(&["plugin", "install", "notes.tar.zst", "--yes"])
        .await
        .expect_code(0);
    lab.exec(&["hello"]).await.expect_code(0);
    // A record that claims the signer is no record.
    let path = lab.home().join("dovetail/plugins.lock");
    let text = std::fs::read_to_string(&path).unwrap();
    lab.run(&["trust", "revoke", "notes"]).await.expect_code(0);
    lab.grant(&NOTES).await;
    let unsigned = std::fs::read_to_string(&path).unwrap();
    let signer = text
        .lines()
        .find(|line| line.starts_with("signer"))
        .unwrap();
    let forged = unsigned.replacen("granted_at", &format!("{signer}\ngranted_at"), 1);
    std::fs::write(&path, forged).unwrap();
    lab.exec(&["hello"])
        .await
        .expect_code(3)
        .expect_errors(&[sentence]);
}

#[tokio::test]
async fn a_managed_list_of_sources_knows_neighbours_apart() {
    let lab = Lab::bare(DOVETAIL);
    let dir = lab.project().join("packages").display().to_string();
    lab.write_home(
        "managed_config.toml",
        format!("[dovetail.plugin_policy]\nallow_sources = [\"file:{dir}\"]\n"),
    );
    lab.write("packages/notes.tar.zst", package(&NOTES));
    lab.write("packages-of-others/notes.tar.zst", package(&NOTES));
    check_refused(
        &lab,
        &["packages-of-others/notes.tar.zst"],
        3,
        &["is not among the plugins"],
    )
    .await;
    lab.run(&["plugin", "install", "packages/notes.tar.zst", "--yes"])
        .await
        .expect_code(0);
    assert_eq!(listed(&lab, "notes").await["state"], "ready");
}
