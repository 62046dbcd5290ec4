//! A grant is for one component, one request and one user.

use dovetail_tests::{Lab, NO_RM, NOTES, script};

use super::{notes, search};
use crate::{DOVETAIL, lab};

/// A granted tool server; whatever is then done to it, the turn goes on without it and says why.
async fn check_stopped(change: impl AsyncFn(&Lab), sentence: &str) {
    let lab = lab(&[&search("n"), &script::answer("ok")]).await;
    notes(&lab);
    lab.install(&NOTES).await;
    change(&lab).await;
    let ran = lab.exec_json(&["look"], 0).await;
    let complaints = ran.complaints().join("\n");
    assert!(
        complaints.contains(sentence) && complaints.contains("dovetail plugin grant notes"),
        "{complaints}"
    );
    assert_eq!(lab.output_of("n"), "unsupported call: mcp__notessearch");
}

#[tokio::test]
async fn a_changed_component_stops_its_plugin() {
    let change = async |lab: &Lab| {
        std::fs::write(lab.plugin_dir(&NOTES).join("notes.wasm"), NO_RM.wasm).unwrap();
    };
    check_stopped(
        change,
        "plugin `notes` changed since it was granted (sha256 ",
    )
    .await;
}

#[tokio::test]
async fn a_wider_request_stops_its_plugin() {
    let change = async |lab: &Lab| {
        lab.drop_in_with(
            &NOTES,
            &format!("{}net = [\"https://elsewhere.example\"]\n", NOTES.manifest),
        );
    };
    check_stopped(
        change,
        "plugin `notes` now asks for more than was granted: net https://elsewhere.example",
    )
    .await;
}

#[tokio::test]
async fn a_grant_of_somebody_else_is_no_grant() {
    let change = async |lab: &Lab| {
        let other = Lab::bare(DOVETAIL);
        other.install(&NOTES).await;
        std::fs::copy(
            other.home().join("dovetail/plugins.lock"),
            lab.home().join("dovetail/plugins.lock"),
        )
        .unwrap();
    };
    check_stopped(
        change,
        "plugin `notes` has a record in plugins.lock that was not written by your dovetail",
    )
    .await;
}

#[tokio::test]
async fn a_grant_that_was_edited_is_no_grant() {
    let change = async |lab: &Lab| {
        let path = lab.home().join("dovetail/plugins.lock");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("./notes"), "{text}");
        std::fs::write(&path, text.replace("./notes", "/")).unwrap();
    };
    check_stopped(
        change,
        "plugin `notes` has a record in plugins.lock that was not written by your dovetail",
    )
    .await;
}

#[tokio::test]
async fn a_plugin_of_a_project_runs_only_where_the_project_is_trusted() {
    let lab = lab(&[&script::answer("hi")]).await;
    lab.init_git();
    let dir = lab.project().join(".codex/dovetail/plugins").join(NO_RM.id);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("plugin.toml"), NO_RM.manifest).unwrap();
    std::fs::write(dir.join("no-rm.wasm"), NO_RM.wasm).unwrap();
    // In a project that nobody trusts it is not even looked at; in a trusted one it has to be granted.
    let ran = lab.run(&["exec", "--json", "hello"]).await.expect_code(0);
    assert!(
        ran.complaints().iter().any(|words| words.contains("trust")),
        "{:?}",
        ran.complaints()
    );
    lab.run(&["exec", "--trust", "hello"])
        .await
        .expect_code(3)
        .expect_errors(&["plugin `no-rm`", "dovetail plugin grant no-rm"]);
}

#[tokio::test]
async fn strict_refuses_to_run_without_all_plugins() {
    let lab = lab(&[&script::answer("hi")]).await;
    lab.drop_in(&NOTES);
    lab.exec(&["--strict", "hello"])
        .await
        .expect_code(1)
        .expect_errors(&["strict", "plugin `notes`"]);
    assert!(lab.requests().is_empty());
}
