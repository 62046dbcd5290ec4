//! Files that change while a session goes on.

use dovetail_tests::{Lab, MISBEHAVER, NO_RM, NOTES, REWRITE, script};

use crate::{DOVETAIL, lab};

/// A command for the model that puts another component in the place of `no-rm`, does `then`, and waits until `file`
/// below the state directory says `word`. It gives up after half a minute.
fn swap(lab: &Lab, then: &str, file: &str, word: &str) -> String {
    let new = lab.outside().join("new.wasm");
    std::fs::write(&new, REWRITE.wasm).unwrap();
    let home = lab.home();
    let command = format!(
        "cp {new} {home}/dovetail/plugins/no-rm/no-rm.wasm; {then} i=0; \
         until grep -q '{word}' {home}/dovetail/state/{file} || [ $i -gt 300 ]; do sleep 0.1; i=$((i+1)); done; echo waited",
        new = new.display(),
        home = home.display(),
    );
    format!(
        "[[response]]\nactions = [{{ tool_call = 'exec_command', call_id = 'swap', arguments = {{ cmd = '''{command}''', yield_time_ms = 30000 }} }}]\n"
    )
}

#[tokio::test]
async fn a_granted_change_takes_over_while_the_session_goes_on() {
    let mut lab = lab(&[&script::answer("x")]).await;
    lab.install(&NO_RM).await;
    let grant = format!(
        "CODEX_HOME={} {DOVETAIL} plugin grant no-rm --yes >/dev/null 2>&1;",
        lab.home().display()
    );
    let turns = [
        swap(&lab, &grant, "no-rm@user.activity.json", "\"generation\":2"),
        script::command("push", "echo would: git push origin"),
        script::answer("ok"),
    ];
    lab.play(&turns.concat()).await;
    lab.write_config(&lab.provider_config(""));
    lab.exec(&["-s", "danger-full-access", "go"])
        .await
        .expect_code(0);
    assert!(
        lab.output_of("swap").contains("waited"),
        "{}",
        lab.output_of("swap")
    );
    assert!(
        lab.output_of("push")
            .contains("would: git push --dry-run origin"),
        "{}",
        lab.output_of("push")
    );
}

#[tokio::test]
async fn a_change_that_nobody_granted_stops_the_plugin_and_closes_its_gate() {
    let mut lab = lab(&[&script::answer("x")]).await;
    lab.install(&NO_RM).await;
    let turns = [
        swap(&lab, "", "no-rm@user.activity.json", "calls"),
        script::command("after", "echo ran"),
        script::answer("ok"),
    ];
    lab.play(&turns.concat()).await;
    lab.write_config(&lab.provider_config(""));
    let ran = lab
        .exec(&["-s", "danger-full-access", "go"])
        .await
        .expect_code(0);
    assert!(
        lab.output_of("after")
            .contains("plugin `no-rm` is not running"),
        "{}",
        lab.output_of("after")
    );
    ran.expect_errors(&[
        "plugin `no-rm` was stopped during the session",
        "changed since it was granted",
    ]);
}

#[tokio::test]
async fn the_reload_command_says_whether_plugins_can_be_loaded() {
    let lab = Lab::bare(DOVETAIL);
    lab.write_config("");
    lab.install(&NOTES).await;
    let ran = lab.run(&["plugin", "reload"]).await.expect_code(0);
    assert_eq!(
        ran.stdout,
        "notes 0.1.0 can be loaded\nrunning sessions take it up within a few seconds\n"
    );
    lab.configure(
        &MISBEHAVER,
        serde_json::json!({ "behave": "trap", "at": "describe" }),
    );
    lab.install(&MISBEHAVER).await;
    let ran = lab
        .run(&["plugin", "reload", "misbehaver"])
        .await
        .expect_code(1);
    ran.expect_errors(&[
        "plugin `misbehaver` broke while it was loaded",
        "running sessions keep what they have",
    ]);
    lab.run(&["plugin", "reload", "nobody"])
        .await
        .expect_code(1)
        .expect_errors(&["there is no plugin `nobody`"]);
}
