//! A grant is for one component, one request and one user.

use dovetail_tests::{Lab, NO_RM, NOTES, script};
use serde_json::json;

use super::{notes, search};
use crate::{DOVETAIL, lab};

const REVIEW: &str = "dovetail trust review notes";
const GRANT: &str = "dovetail plugin grant notes";

/// A granted tool server; whatever is then done to it, the turn goes on without it and says why.
async fn check_stopped(change: impl AsyncFn(&Lab), sentence: &str, hint: &str) {
    let lab = lab(&[&search("n"), &script::answer("ok")]).await;
    notes(&lab);
    lab.install(&NOTES).await;
    change(&lab).await;
    let ran = lab.exec_json(&["look"], 0).await;
    let complaints = ran.complaints().join("\n");
    assert!(
        complaints.contains(sentence) && complaints.contains(hint),
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
        REVIEW,
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
        REVIEW,
    )
    .await;
}

#[tokio::test]
async fn another_configuration_stops_its_plugin() {
    let change = async |lab: &Lab| lab.configure(&NOTES, json!({ "level": 2 }));
    check_stopped(
        change,
        "the configuration of plugin `notes` changed since it was granted (sha256 ",
        REVIEW,
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
        GRANT,
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
        GRANT,
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

/// Puts a plugin into the project, with a lock as somebody else committed it.
async fn commit(lab: &Lab, guest: &dovetail_tests::Guest) {
    lab.init_git();
    let dir = format!(".codex/dovetail/plugins/{}", guest.id);
    lab.write(&format!("{dir}/plugin.toml"), guest.manifest);
    lab.write(&format!("{dir}/{}.wasm", guest.id), guest.wasm);
    let author = Lab::bare(DOVETAIL);
    author.write_config(&format!(
        "[projects.{:?}]\ntrust_level = \"trusted\"\n",
        lab.project().display().to_string()
    ));
    author
        .run_in(
            &lab.project(),
            &["trust", "review", "--write-lock", "--yes"],
        )
        .await
        .expect_code(0);
}

#[tokio::test]
async fn in_ci_a_committed_lock_is_a_grant() {
    let mut lab = lab(&[&script::command("c", "rm -rf build"), &script::answer("ok")]).await;
    commit(&lab, &NO_RM).await;
    lab.run(&["trust", "verify", "--ci"]).await.expect_code(0);
    // On a person's machine it is that person who decides.
    lab.run(&["exec", "--trust", "clean up"])
        .await
        .expect_code(3)
        .expect_errors(&["nobody has granted it"]);
    lab.set_env("CI", "true");
    lab.run(&["exec", "clean up"]).await.expect_code(0);
    assert!(
        lab.output_of("c").contains("blocked by PreToolUse hook"),
        "{}",
        lab.output_of("c")
    );
    lab.run(&[
        "exec",
        "-c",
        "dovetail.accept_project_lock=false",
        "clean up",
    ])
    .await
    .expect_code(3);
}

/// Whatever is done to a committed plugin stops a run in CI before the model is asked, with a line that says what.
async fn check_not_covered(change: impl Fn(&Lab), sentence: &str) {
    let mut lab = lab(&[&script::answer("hi")]).await;
    commit(&lab, &NOTES).await;
    lab.set_env("CI", "1");
    change(&lab);
    let verified = lab.run(&["trust", "verify", "--ci"]).await.expect_code(3);
    let line = verified.stdout.replace('\n', " ");
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        line.contains("fail notes") && line.contains(sentence),
        "{line}"
    );
    lab.run(&["exec", "--trust", "hello"])
        .await
        .expect_code(3)
        .expect_errors(&[sentence]);
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn in_ci_nothing_is_skipped() {
    const DIR: &str = ".codex/dovetail/plugins/notes";
    check_not_covered(
        |lab| {
            lab.write(&format!("{DIR}/notes.wasm"), NO_RM.wasm);
        },
        "plugin `notes` changed since it was granted",
    )
    .await;
    check_not_covered(
        |lab| std::fs::remove_dir_all(lab.project().join(DIR)).unwrap(),
        "plugin `notes` is listed in the project's plugins.lock, and is not there",
    )
    .await;
    check_not_covered(
        |lab| std::fs::remove_file(lab.project().join(".codex/dovetail/plugins.lock")).unwrap(),
        "plugin `notes` is not listed in",
    )
    .await;
    check_not_covered(
        |lab| {
            lab.write(&format!("{DIR}/plugin.toml"), "id = \"notes\"\n");
        },
        "`api` is missing",
    )
    .await;
}

#[tokio::test]
async fn a_required_plugin_that_does_not_load_stops_the_session() {
    let lab = lab(&[&script::answer("hi")]).await;
    lab.write_home(
        "managed_config.toml",
        "[dovetail.plugins.notes]\nrequired = true\n",
    );
    let stopped = async |why: &str| {
        let ran = lab.exec(&["hello"]).await.expect_code(3);
        ran.expect_errors(&[
            "plugin `notes` is required and does not run: ",
            why,
            "hint: ",
        ]);
        assert!(lab.requests().is_empty());
    };
    stopped("it is not installed").await;
    lab.drop_in(&NOTES);
    stopped("nobody has granted it").await;
    lab.grant(&NOTES).await;
    lab.run(&["plugin", "disable", "notes"])
        .await
        .expect_code(0);
    stopped("is disabled").await;
    lab.run(&["plugin", "enable", "notes"]).await.expect_code(0);
    lab.add_config("[dovetail.plugins.notes]\nenabled = false");
    stopped("the configuration turned it off").await;
    lab.write_config(&lab.provider_config(""));
    lab.exec(&["hello"]).await.expect_code(0);
}

#[tokio::test]
async fn only_plugins_on_the_managed_list_are_installed_and_loaded() {
    let lab = lab(&[&search("n"), &script::answer("ok")]).await;
    notes(&lab);
    lab.install(&NOTES).await;
    let allow = |digest: &str| {
        lab.write_home(
            "managed_config.toml",
            format!("[dovetail.plugin_policy]\nallow_digests = [\"{digest}\"]\n"),
        );
    };
    allow(&"0".repeat(64));
    // What a user adds does not widen the list.
    let listed = lab
        .run(&["plugin", "list", "--json"])
        .await
        .expect_code(0)
        .json();
    let notes = listed["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .find(|plugin| plugin["id"] == "notes")
        .unwrap()
        .clone();
    let digest = notes["sha256"].as_str().unwrap();
    lab.add_config(&format!(
        "[dovetail.plugin_policy]\nallow_digests = [\"{digest}\"]\nallow_sources = [\"folder:/\"]"
    ));
    let sentence = "plugin `notes` is not among the plugins that may be used here";
    let ran = lab.exec_json(&["look"], 0).await;
    let complaints = ran.complaints().join("\n");
    assert!(
        complaints.contains(sentence) && complaints.contains("managed_config.toml` line 1"),
        "{complaints}"
    );
    assert_eq!(lab.output_of("n"), "unsupported call: mcp__notessearch");
    lab.write("pack/plugin.toml", NOTES.manifest);
    lab.write("pack/notes.wasm", NOTES.wasm);
    lab.run(&["plugin", "remove", "notes"]).await.expect_code(0);
    lab.run(&["plugin", "install", "./pack", "--yes"])
        .await
        .expect_code(3)
        .expect_errors(&[sentence]);
    assert!(!lab.plugin_dir(&NOTES).exists());
    allow(digest);
    lab.run(&["plugin", "install", "./pack", "--yes"])
        .await
        .expect_code(0);
}
