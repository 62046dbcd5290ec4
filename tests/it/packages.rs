//! Packages of plugins: from files, web servers and registries; signed, changed, hostile; at once and on a full disk.

mod archives;
mod bundles;
mod registries;
mod server;
mod signatures;
mod updates;

use std::fs;
use std::path::Path;

use dovetail_package::pack::{File, pack};
use dovetail_tests::{Guest, Lab, NOTES};
use serde_json::Value;

/// The package of a guest.
pub(crate) fn package(guest: &Guest) -> Vec<u8> {
    package_with(guest, guest.manifest, guest.wasm)
}

/// The same with another manifest or component.
pub(crate) fn package_with(guest: &Guest, manifest: &str, wasm: &[u8]) -> Vec<u8> {
    let file = |path: String, content: &[u8]| File {
        path,
        content: content.to_vec(),
    };
    pack(vec![
        file("plugin.toml".to_owned(), manifest.as_bytes()),
        file(guest.file(manifest), wasm),
    ])
    .unwrap()
}

/// A component that does the same and has another digest.
pub(crate) fn with_more(wasm: &[u8]) -> Vec<u8> {
    [wasm, &[0, 2, 1, b'x']].concat()
}

/// A plugin as `plugin list --json` has it; null where there is none.
pub(crate) async fn listed(lab: &Lab, id: &str) -> Value {
    let list = lab
        .run(&["plugin", "list", "--json"])
        .await
        .expect_code(0)
        .json();
    let plugins = list["plugins"].as_array().unwrap();
    let found = plugins.iter().find(|plugin| plugin["id"] == id);
    found.cloned().unwrap_or(Value::Null)
}

/// The names of everything in the home, but for files that only hold a lock.
pub(crate) fn files(lab: &Lab) -> Vec<String> {
    fn collect(dir: &Path, base: &Path, files: &mut Vec<String>) {
        let Ok(entries) = fs::read_dir(dir) else {
            return;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(base).unwrap().display().to_string();
            if !name.ends_with(".guard") {
                files.push(name);
            }
            if path.is_dir() {
                collect(&path, base, files);
            }
        }
    }
    let mut files = Vec::new();
    collect(&lab.home(), &lab.home(), &mut files);
    files.sort();
    files
}

/// An install that is refused: it says why, and leaves everything as it was.
pub(crate) async fn check_refused(lab: &Lab, args: &[&str], code: i32, parts: &[&str]) {
    let before = files(lab);
    let all = [&["plugin", "install", "--yes"], args].concat();
    lab.run(&all).await.expect_code(code).expect_errors(parts);
    let mut after = files(lab);
    // The directory itself may have been made.
    after.retain(|name| name != "dovetail" || before.contains(name));
    assert_eq!(after, before, "{args:?}");
}

#[tokio::test]
async fn a_package_is_installed_and_its_source_is_kept() {
    let lab = Lab::bare(crate::DOVETAIL);
    let path = lab.write("notes.tar.zst", package(&NOTES));
    let ran = lab
        .run(&["plugin", "install", "notes.tar.zst", "--yes"])
        .await
        .expect_code(0);
    ran.expect_errors(&["asks to", "signed   by nobody"]);
    assert_eq!(listed(&lab, "notes").await["state"], "ready");
    let records = lab
        .run(&["trust", "list", "--json"])
        .await
        .expect_code(0)
        .json();
    assert_eq!(
        records["records"][0]["source"],
        format!("file:{}", path.display())
    );
    assert_eq!(
        listed(&lab, "notes").await["package"]["source"],
        format!("file:{}", path.display())
    );
    assert!(
        files(&lab).iter().all(|name| !name.contains(".incoming")),
        "{:?}",
        files(&lab)
    );
}

#[tokio::test]
async fn two_installs_at_once_leave_one_plugin() {
    let lab = Lab::bare(crate::DOVETAIL);
    lab.write("notes.tar.zst", package(&NOTES));
    let args = ["plugin", "install", "notes.tar.zst", "--yes"];
    let running: Vec<_> = (0..6).map(|_| lab.start(&args)).collect();
    for one in running {
        one.finish().await.expect_code(0);
    }
    assert_eq!(listed(&lab, "notes").await["state"], "ready");
    let plugins = lab.home().join("dovetail/plugins");
    let names: Vec<_> = fs::read_dir(plugins)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["notes"]);
}

/// A limit on the size of files is noticed as a full disk is: in the middle of a write.
#[tokio::test]
async fn a_full_disk_leaves_nothing_behind() {
    let lab = Lab::bare(crate::DOVETAIL);
    lab.write("notes.tar.zst", package(&NOTES));
    lab.write("notes/plugin.toml", NOTES.manifest);
    lab.write("notes/notes.wasm", NOTES.wasm);
    // Enough for the archive, and not for what is in it.
    let between = package(&NOTES).len() / 1024 + 4;
    assert!(NOTES.wasm.len() > between * 1024);
    for (package, blocks) in [
        ("notes.tar.zst", 8),
        ("notes.tar.zst", between),
        ("./notes", 8),
    ] {
        let before = files(&lab);
        let line = format!(
            "ulimit -f {blocks}; exec {} plugin install {package} --yes",
            crate::DOVETAIL
        );
        let ran = lab.start_other("bash", &["-c", &line]).finish().await;
        ran.expect_code(1)
            .expect_errors(&["cannot", "nothing was installed"]);
        let mut after = files(&lab);
        after.retain(|name| {
            !["dovetail", "dovetail/plugins"].contains(&name.as_str()) || before.contains(name)
        });
        assert_eq!(after, before, "{package} {blocks}");
    }
}
