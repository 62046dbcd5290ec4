//! Libraries that are not loaded, and calls that go wrong, as the user of the real program sees them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use dovetail_tests::{Guest, Lab, MOODY, crude_guest, script};

use super::{ALLOW, call, crash, listed, with_native};
use crate::DOVETAIL;

/// A lab that allows native plugins, with one that is there and not granted.
async fn dropped_in(guest: &Guest) -> Lab {
    let lab = Lab::new(DOVETAIL, &script::answer("ok").repeat(2)).await;
    lab.add_config(ALLOW);
    lab.drop_in(guest);
    lab
}

#[tokio::test]
async fn a_library_for_another_host_is_broken_in_the_list_and_none_of_it_runs() {
    let later = "-DMANIFEST=\"{\\\"abi\\\":2}\"";
    let lab = dropped_in(&crude_guest(&[later, "-DCONSTRUCTOR=_exit(9)"])).await;
    let listed = lab.run(&["plugin", "list"]).await.expect_code(0).stdout;
    let listed = listed.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        listed.contains("was built for version 2 of the native interface, this host has version 1")
            && listed.contains("hint: update dovetail"),
        "{listed}"
    );
    let granted = lab.run(&["plugin", "grant", "crude", "--yes"]).await;
    granted
        .expect_code(1)
        .expect_errors(&["cannot be used", "version 2 of the native interface"]);
    let ran = lab.exec_json(&["hello"], 0).await;
    let complaints = ran.complaints().join("\n");
    assert!(
        complaints.contains("version 2 of the native interface"),
        "{complaints}"
    );
}

#[tokio::test]
async fn a_library_with_something_missing_says_what() {
    let lab = dropped_in(&crude_guest(&["-DNO_ENTRY"])).await;
    let listed = lab.run(&["plugin", "list", "--json"]).await;
    let problem = listed.expect_code(0).json()["problems"][0].clone();
    let error = problem["error"].as_str().unwrap_or_default();
    assert!(
        error.ends_with("is a shared library, but does not export `dovetail_native_plugin`"),
        "{problem}"
    );
    // What the linker misses is known only when it links, which nobody does before the user grants it.
    let missing = "-DCONSTRUCTOR=extern int nowhere_to_be_found(void); nowhere_to_be_found()";
    let guest = crude_guest(&[missing]);
    lab.drop_in(&guest);
    lab.grant(&guest).await;
    let ran = lab.exec_json(&["hello"], 0).await;
    let complaints = ran.complaints().join("\n");
    assert!(
        complaints.contains("cannot be linked: undefined symbol: nowhere_to_be_found"),
        "{complaints}"
    );
}

#[tokio::test]
async fn a_library_that_others_can_write_is_not_looked_at_any_further() {
    let guest = crude_guest(&["-DCONSTRUCTOR=_exit(9)"]);
    let lab = dropped_in(&guest).await;
    lab.grant(&guest).await;
    let dir = lab.plugin_dir(&guest);
    let everybody = "can be written by every user of this machine";
    let cases: [(&Path, u32, &str); 3] = [
        (&dir.join("crude.so"), 0o646, everybody),
        (&dir.join("crude.so"), 0o664, "can be written by its group"),
        (&dir, 0o757, everybody),
    ];
    for (path, mode, words) in cases {
        let change = |mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let before = fs::metadata(path).unwrap().permissions().mode();
        change(mode);
        let listed = lab.run(&["plugin", "list", "--json"]).await;
        let problem = listed.expect_code(0).json()["problems"][0].clone();
        assert!(problem["error"].to_string().contains(words), "{problem}");
        assert!(problem["hint"].to_string().contains("chmod "), "{problem}");
        change(before);
    }
    fs::set_permissions(dir.join("crude.so"), fs::Permissions::from_mode(0o646)).unwrap();
    let ran = lab.exec_json(&["hello"], 0).await;
    let complaints = ran.complaints().join("\n");
    assert!(complaints.contains(everybody), "{complaints}");
}

#[tokio::test]
async fn a_panic_is_an_error_for_the_model_and_the_turn_goes_on() {
    let turns = [call("moody", "panic"), script::answer("ok")];
    let lab = with_native(&MOODY, &turns).await;
    lab.exec_json(&["go"], 0).await;
    let output = lab.output_of("c");
    assert!(
        output.contains("plugin `moody` trapped in `call-tool`: told to, after"),
        "{output}"
    );
    assert_eq!(listed(&lab, "moody").await["faults"], 1);
}

#[tokio::test]
async fn a_call_that_hangs_costs_its_deadline_and_not_the_session() {
    let turns = [call("crude", "hang"), script::answer("ok")];
    let lab = with_native(&crude_guest(&[]), &turns).await;
    lab.exec_json(&["go"], 0).await;
    let output = lab.output_of("c");
    assert!(
        output.contains("plugin `crude` did not answer `call-tool` within 1000 ms"),
        "{output}"
    );
}

#[tokio::test]
async fn an_exception_that_nobody_catches_is_a_crash_with_a_name() {
    let turns = [call("crude", "unwind"), script::answer("ok")];
    let lab = with_native(&crude_guest(&[]), &turns).await;
    let crashed = crash(&lab).await;
    assert_eq!(crashed.code, None, "a signal ended it: {}", crashed.stderr);
    crashed.expect_errors(&["error: plugin `crude` crashed; it is native code"]);
    let entry = listed(&lab, "crude").await;
    assert_eq!(entry["state"], "crashed");
    let sentence = entry["refusal"]["sentence"].to_string();
    assert!(sentence.contains("SIGABRT"), "{sentence}");
    let review = lab.run(&["trust", "review", "crude", "--yes"]).await;
    review
        .expect_code(3)
        .expect_errors(&["crashed in `call-tool`", "dovetail plugin enable crude"]);
}
