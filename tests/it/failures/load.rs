//! Plugins that are refused before any of their code runs. The others load.

use dovetail_tests::{Lab, NO_RM, NOTES, TOO_GREEDY, script};

use crate::lab;

/// What is in a plugin's folder.
struct Folder {
    manifest: String,
    wasm: Vec<u8>,
}

impl Folder {
    /// The notes server with one thing changed in its manifest.
    fn with(from: &str, to: &str) -> Self {
        let manifest = NOTES.manifest.replace(from, to);
        assert_ne!(manifest, NOTES.manifest, "`{from}` is in the manifest");
        Self {
            manifest,
            wasm: NOTES.wasm.to_vec(),
        }
    }

    /// Another file in the place of its component.
    fn of(wasm: &[u8]) -> Self {
        Self {
            manifest: NOTES.manifest.to_owned(),
            wasm: wasm.to_vec(),
        }
    }
}

/// The turn goes on without the plugin, with a warning of these words; another plugin works.
async fn check(folder: Folder, words: &[&str]) {
    let lab = lab(&[&script::command("c", "rm -rf x"), &script::answer("ok")]).await;
    lab.install(&NO_RM).await;
    lab.drop_in_with(&NOTES, &folder.manifest);
    std::fs::write(lab.plugin_dir(&NOTES).join("notes.wasm"), &folder.wasm).unwrap();
    // What can be granted is, so that it is the loading that fails.
    lab.run(&["plugin", "grant", "notes", "--yes"]).await;
    let ran = lab.exec_json(&["go"], 0).await;
    let complaints = ran.complaints().join("\n");
    for part in words {
        assert!(
            complaints.contains(part),
            "`{part}` is missing in:\n{complaints}"
        );
    }
    assert!(
        lab.output_of("c").contains("destructive commands"),
        "the other plugin does not work"
    );
    lab.expect_played();
    lab.drop_in(&NOTES);
    lab.grant(&NOTES).await;
}

#[tokio::test]
async fn a_manifest_that_is_no_toml_is_named_with_its_line() {
    check(
        Folder::with("kinds = [\"tools\"]", "kinds = [\"tools\""),
        &["notes/plugin.toml:5: "],
    )
    .await;
}

#[tokio::test]
async fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    check(
        Folder::with("description = ", "descripton = "),
        &[
            "notes/plugin.toml:5: unknown key `descripton`",
            "did you mean `description`",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_named() {
    check(
        Folder::with("./notes", "../../etc"),
        &[
            "notes/plugin.toml:8: ",
            "`../../etc`",
            "write the path from",
        ],
    )
    .await;
    check(
        Folder::with("\"read\"", "\"everything\""),
        &["notes/plugin.toml:8: `access` must be \"read\""],
    )
    .await;
}

#[tokio::test]
async fn the_older_side_is_named_where_the_contract_differs() {
    check(
        Folder::with("^0.1", "^9.0"),
        &[
            "plugin `notes` needs plugin API `^9.0`",
            "the host is older than the plugin",
            "hint: update dovetail",
        ],
    )
    .await;
    check(
        Folder::with("^0.1", "=0.0.1"),
        &[
            "plugin `notes` needs plugin API `=0.0.1`",
            "the plugin is older than the host",
            "hint: update `notes`",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_component_of_another_kind_is_refused() {
    check(
        Folder::with("kinds = [\"tools\"]", "kinds = [\"sink\"]"),
        &["plugin `notes`", "sink", "tools"],
    )
    .await;
    check(
        Folder::with("kinds = [\"tools\"]", "kinds = [\"tools\", \"sink\"]"),
        &["plugin `notes`", "sink"],
    )
    .await;
}

#[tokio::test]
async fn a_file_that_is_no_component_is_refused() {
    check(
        Folder::of(b""),
        &["notes.wasm", "is not a WebAssembly component"],
    )
    .await;
    check(
        Folder::of(b"#!/bin/sh\necho hello\n"),
        &["notes.wasm", "is not a WebAssembly component"],
    )
    .await;
    check(Folder::of(b"\0asm\x01\0\0\0"), &["notes"]).await;
    check(Folder::of(&NOTES.wasm[..NOTES.wasm.len() / 2]), &["notes"]).await;
}

#[tokio::test]
async fn a_folder_of_another_name_is_refused() {
    check(
        Folder::with("id = \"notes\"", "id = \"other\""),
        &["the folder `notes` holds plugin `other`"],
    )
    .await;
}

#[tokio::test]
async fn a_component_that_is_missing_is_named() {
    let lab = lab(&[&script::answer("ok")]).await;
    std::fs::remove_file(lab.drop_in(&NOTES).join("notes.wasm")).unwrap();
    let ran = lab.exec_json(&["go"], 0).await;
    assert!(
        ran.complaints().join("\n").contains("notes.wasm"),
        "{:?}",
        ran.complaints()
    );
}

/// A hook that cannot be loaded must not become a hole.
async fn check_closed_gate(lab: &Lab, words: &[&str]) {
    let ran = lab.exec_json(&["-s", "danger-full-access", "go"], 0).await;
    let complaints = ran.complaints().join("\n");
    for part in words {
        assert!(
            complaints.contains(part),
            "`{part}` is missing in:\n{complaints}"
        );
    }
    let output = lab.output_of("c");
    assert!(output.contains("blocked by PreToolUse hook"), "{output}");
    assert!(!lab.project().join("ran").exists());
}

#[tokio::test]
async fn a_hook_that_imports_beyond_its_grant_closes_its_gate() {
    let lab = lab(&[&script::command("c", "touch ran"), &script::answer("ok")]).await;
    lab.install(&TOO_GREEDY).await;
    check_closed_gate(
        &lab,
        &[
            "plugin `too-greedy` imports `dovetail:plugin/http",
            "its grant has no `net`",
            "its gate is closed",
            "hint: ",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_damaged_hook_closes_its_gate() {
    let lab = lab(&[&script::command("c", "touch ran"), &script::answer("ok")]).await;
    let dir = lab.drop_in(&NO_RM);
    std::fs::write(dir.join("no-rm.wasm"), &NO_RM.wasm[..NO_RM.wasm.len() / 2]).unwrap();
    let granted = lab.run(&["plugin", "grant", "no-rm", "--yes"]).await;
    if granted.code == Some(0) {
        check_closed_gate(&lab, &["no-rm"]).await;
    } else {
        // What cannot be granted is not trusted, and the run does not begin.
        lab.exec(&["go"]).await.expect_code(3);
    }
}
