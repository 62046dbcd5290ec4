//! Packages with native plugins in them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use dovetail_runtime::digest::Sha256;
use dovetail_tests::{CRUDE_MANIFEST, Guest, Lab, MOODY, NOTES, crude};
use serde_json::json;

use super::ALLOW;
use crate::DOVETAIL;
use crate::packages::{check_refused, listed, package, package_with};

fn allowing() -> Lab {
    let lab = Lab::bare(DOVETAIL);
    lab.write_config(ALLOW);
    lab
}

#[tokio::test]
async fn a_native_package_is_installed_only_where_native_code_is_allowed_and_pinned() {
    let lab = Lab::bare(DOVETAIL);
    let path = lab.write("moody.tar.zst", package(&MOODY));
    let words = [
        "plugin `moody` is native code",
        "native plugins are not allowed",
        "`allow_native = true` under `[dovetail]` in your own config.toml",
    ];
    check_refused(&lab, &["moody.tar.zst"], 1, &words).await;
    lab.write_config(ALLOW);
    let asked = lab.run(&["plugin", "install", "moody.tar.zst"]).await;
    asked
        .expect_code(1)
        .expect_errors(&["UNSANDBOXED", "nothing is kept from it"]);
    lab.run(&["plugin", "install", "moody.tar.zst", "--yes"])
        .await
        .expect_code(0);
    let entry = listed(&lab, "moody").await;
    assert_eq!(
        (&entry["state"], &entry["sandboxed"]),
        (&json!("ready"), &json!(false))
    );
    assert_eq!(
        entry["package"]["source"],
        format!("file:{}", path.display())
    );
    let records = lab.run(&["trust", "list", "--json"]).await.expect_code(0);
    assert_eq!(
        records.json()["records"][0]["sha256"],
        Sha256::of(MOODY.wasm).to_string()
    );
}

#[tokio::test]
async fn a_bundle_holds_native_plugins_and_installs_where_they_are_allowed() {
    let lab = allowing();
    lab.install(&MOODY).await;
    lab.run(&["plugin", "bundle", "-o", "all.tar.zst"])
        .await
        .expect_code(0);
    let bundle = fs::read(lab.project().join("all.tar.zst")).unwrap();
    let other = Lab::bare(DOVETAIL);
    other.write("all.tar.zst", bundle);
    check_refused(
        &other,
        &["all.tar.zst"],
        1,
        &["native plugins are not allowed"],
    )
    .await;
    other.write_config(ALLOW);
    other
        .run(&["plugin", "install", "all.tar.zst", "--yes"])
        .await
        .expect_code(0);
    assert_eq!(listed(&other, "moody").await["state"], "ready");
}

#[tokio::test]
async fn an_update_that_leaves_the_sandbox_takes_no_yes() {
    let lab = allowing();
    lab.write("notes.tar.zst", package(&NOTES));
    lab.run(&["plugin", "install", "notes.tar.zst", "--yes"])
        .await
        .expect_code(0);
    let inner = "{\\\"abi\\\":1,\\\"id\\\":\\\"notes\\\",\\\"api\\\":\\\"0.1.0\\\",\\\"kinds\\\":[\\\"tools\\\"]}";
    let library = crude(&[&format!("-DMANIFEST=\"{inner}\"")]);
    let manifest = CRUDE_MANIFEST
        .replace("\"crude\"", "\"notes\"")
        .replace("0.1.0", "0.2.0");
    lab.write("notes.tar.zst", package_with(&NOTES, &manifest, &library));
    let update = lab.run(&["plugin", "update", "notes", "--yes"]).await;
    update.expect_code(3).expect_errors(&[
        "notes 0.1.0 → 0.2.0 · UNSANDBOXED",
        "+ run UNSANDBOXED",
        "asks for more than was granted",
        "nothing was changed",
    ]);
    assert_eq!(listed(&lab, "notes").await["sandboxed"], json!(true));
    // Where native code is not allowed at all, it is not even a question.
    lab.write_config("");
    let update = lab.run(&["plugin", "update", "notes", "--yes"]).await;
    update
        .expect_code(1)
        .expect_errors(&["plugin `notes` is native code", "not allowed"]);
}

/// What a library is installed from, with these permissions.
fn folder(lab: &Lab, guest: &Guest, folder: u32, library: u32) -> String {
    let dir = lab.outside().join(format!("{folder:o}-{library:o}"));
    fs::create_dir(&dir).unwrap();
    let file = dir.join(guest.file(guest.manifest));
    fs::write(dir.join("plugin.toml"), guest.manifest).unwrap();
    fs::write(&file, guest.wasm).unwrap();
    for (path, mode) in [(&file, library), (&dir, folder)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    dir.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_library_that_everybody_can_write_is_not_installed() {
    let lab = allowing();
    let everybody = "can be written by every user of this machine";
    for (dir, library) in [(0o777, 0o644), (0o755, 0o646)] {
        let folder = folder(&lab, &MOODY, dir, library);
        check_refused(&lab, &[&folder], 1, &[everybody, "chmod o-w "]).await;
    }
    let fine = folder(&lab, &MOODY, 0o755, 0o644);
    lab.run(&["plugin", "install", &fine, "--yes"])
        .await
        .expect_code(0);
}
