//! Libraries that change while a session goes on: nothing that is loaded is replaced.

use dovetail_tests::{Guest, Lab, crude, crude_guest, script};

use super::{ALLOW, call};
use crate::DOVETAIL;

/// A session in which the model has the library changed by a command, then calls it.
async fn changed_by(command: &str) -> (Lab, dovetail_tests::Ran) {
    let mut lab = Lab::new(DOVETAIL, &script::answer("unused")).await;
    let new = lab.outside().join("new.so");
    std::fs::write(&new, crude(&["-DTAG=\"new\""])).unwrap();
    let guest: Guest = crude_guest(&[]);
    let library = lab.plugin_dir(&guest).join("crude.so");
    let command = format!("cp {} {}; {command}", new.display(), library.display())
        .replace("OWN", &lab.home().display().to_string());
    let turns = [
        script::response(&format!(
            "{{ tool_call = 'exec_command', call_id = 'change', arguments = {{ cmd = '''{command}''', yield_time_ms = 30000 }} }}"
        )),
        call("crude", "well"),
        script::answer("ok"),
        call("crude", "well"),
        script::answer("ok"),
    ];
    lab.play(&turns.concat()).await;
    lab.write_config(&lab.provider_config(""));
    lab.add_config(ALLOW);
    lab.install(&guest).await;
    let ran = lab.exec(&["-s", "danger-full-access", "go"]).await;
    (lab, ran.expect_code(0))
}

#[tokio::test]
async fn a_library_that_changes_while_it_runs_is_stopped_and_says_how_to_go_on() {
    let (lab, ran) = changed_by("true").await;
    let output = lab.output_of("c");
    for words in [
        "plugin `crude` was stopped: its library changed while it ran (sha256 ",
        "native code is not replaced while dovetail runs: start dovetail again",
        "dovetail trust review crude",
    ] {
        assert!(output.contains(words), "{words}: {output}");
    }
    ran.expect_errors(&["its library changed while it ran"]);
    assert_eq!(super::listed(&lab, "crude").await["state"], "changed");
}

#[tokio::test]
async fn a_change_that_is_granted_meanwhile_is_taken_up_by_the_next_session() {
    // The session looks once a second; the command ends when it has.
    let command = format!(
        "CODEX_HOME=OWN {DOVETAIL} trust review crude --yes >/dev/null 2>&1; i=0; \
         until grep -q calls OWN/dovetail/state/crude@user.activity.json || [ $i -gt 300 ]; do sleep 0.1; i=$((i+1)); done"
    );
    let (lab, ran) = changed_by(&command).await;
    let output = lab.output_of("c");
    assert!(
        output.contains("native code is not replaced while dovetail runs"),
        "{output}"
    );
    ran.expect_errors(&["native code is not replaced while dovetail runs"]);
    lab.exec(&["-s", "danger-full-access", "go"])
        .await
        .expect_code(0);
    let output = lab.output_of("c");
    assert!(output.contains("opened 1"), "{output}");
}
