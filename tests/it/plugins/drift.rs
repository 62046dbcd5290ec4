//! Plugins that change, or whose grant does, while a session runs.

use dovetail_tests::{Guest, Lab, NO_RM, NOTES, script};
use serde_json::Value;

use super::{notes, search};
use crate::lab;

/// A lab in which the model first runs a command, which may write anywhere, and then goes on with `then`.
async fn lab_with(guest: &Guest, command: &str, then: &str) -> Lab {
    let mut lab = lab(&[&script::answer("unused")]).await;
    notes(&lab);
    let dir = lab.home().join("dovetail");
    let command = command.replace("DIR", &dir.display().to_string());
    lab.play(&[&script::command("c", &command), then, &script::answer("ok")].concat())
        .await;
    lab.write_config(&lab.provider_config(""));
    lab.install(guest).await;
    lab
}

/// The tool server is stopped for a reason, and says what to do.
async fn check_stopped(command: &str, why: &str) {
    let lab = lab_with(&NOTES, command, &search("n")).await;
    let events = lab.project().join("events.jsonl");
    lab.add_config(&format!(
        "[dovetail.plugins.jsonl-sink]\nenabled = true\nconfig = {{ path = {:?} }}",
        events.display().to_string()
    ));
    let ran = lab
        .exec(&["-s", "danger-full-access", "go"])
        .await
        .expect_code(0);
    let output = lab.output_of("n");
    assert!(
        output.contains("plugin `notes` was stopped: ") && output.contains(why),
        "{command}: {output}"
    );
    ran.expect_errors(&[why, "dovetail trust review notes"]);
    let told: Vec<Value> = dovetail_tests::read_lines(&events)
        .into_iter()
        .filter(|event| event["kind"] == "plugin.changed")
        .collect();
    assert_eq!(told.len(), 1, "{command}: {told:?}");
    let fields = told[0]["fields"].to_string();
    assert!(
        fields.contains("notes") && fields.contains("drifted"),
        "{fields}"
    );
}

#[tokio::test]
async fn a_plugin_that_changes_while_it_runs_is_stopped() {
    check_stopped(
        "printf '\\0\\2\\1x' >> DIR/plugins/notes/notes.wasm",
        "its component changed while it ran (sha256 ",
    )
    .await;
    check_stopped(
        "echo '# more' >> DIR/plugins/notes/plugin.toml",
        "its plugin.toml changed while it ran",
    )
    .await;
    check_stopped(
        "rm -r DIR/plugins/notes",
        "its files cannot be read any more",
    )
    .await;
}

#[tokio::test]
async fn a_plugin_whose_grant_goes_while_it_runs_is_stopped() {
    check_stopped("rm DIR/plugins.lock", "its grant was taken back").await;
    check_stopped(
        "sed -i s/enabled/enabled/ DIR/plugins.lock && sed -i s:./notes:/: DIR/plugins.lock",
        "its record in plugins.lock was replaced by one that your dovetail did not write",
    )
    .await;
}

#[tokio::test]
async fn the_same_bytes_written_again_change_nothing() {
    let command = "cp DIR/plugins/notes/notes.wasm x && cat x > DIR/plugins/notes/notes.wasm && touch DIR/plugins.lock";
    let lab = lab_with(&NOTES, command, &search("n")).await;
    lab.exec(&["-s", "danger-full-access", "go"])
        .await
        .expect_code(0);
    assert!(
        lab.output_of("n").contains("A greeting ends with a comma."),
        "{}",
        lab.output_of("n")
    );
}

/// Even one that may fail open: what was granted that is not what is there now.
#[tokio::test]
async fn the_gate_of_a_hook_that_changes_is_closed() {
    let mut lab = lab(&[&script::answer("unused")]).await;
    let wasm = lab.home().join("dovetail/plugins/no-rm/no-rm.wasm");
    let change = format!("printf '\\0\\2\\1x' >> {}", wasm.display());
    lab.play(
        &[
            script::command("c", &change),
            script::command("d", "touch ran"),
            script::answer("ok"),
        ]
        .concat(),
    )
    .await;
    lab.write_config(&lab.provider_config(""));
    let manifest = NO_RM
        .manifest
        .replace("on_error = \"deny\"", "on_error = \"allow\"");
    assert_ne!(manifest, NO_RM.manifest);
    lab.install_with(&NO_RM, &manifest).await;
    lab.exec(&["-s", "danger-full-access", "go"])
        .await
        .expect_code(0);
    assert!(
        lab.output_of("d").contains("plugin `no-rm` was stopped"),
        "{}",
        lab.output_of("d")
    );
    assert!(!lab.project().join("ran").exists());
}
