//! The commands that show native plugins and try them out.

use std::fs;
use std::path::Path;
use std::process::Command;

use dovetail_tests::{CRUDE_MANIFEST, Lab, MOODY, crude, crude_guest, script};
use serde_json::{Value, json};

use super::{ALLOW, text_of, with_native};
use crate::DOVETAIL;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/native-c");

/// A library that leaves a file if any of its code runs.
fn traced(trace: &Path, more: &[&str]) -> Vec<u8> {
    let leave = format!("-DCONSTRUCTOR=(void)!creat(\"{}\", 0600)", trace.display());
    crude(&[&["-include", "fcntl.h", leave.as_str()], more].concat())
}

#[tokio::test]
async fn a_library_is_checked_without_running_it() {
    let lab = Lab::bare(DOVETAIL);
    let trace = lab.outside().join("trace");
    lab.write("crude.so", traced(&trace, &[]));
    let checked = text_of(&lab, &["plugin", "check", "crude.so"]).await;
    for line in [
        "sandbox      none: UNSANDBOXED native code, which can do whatever you can",
        "abi          1, this host has 1",
        "contract     dovetail:plugin@0.1.0, this host speaks 0.1.0",
        "id           crude",
        "kinds        tools",
        "needs        libgcc_s.so.1, libc.so.6",
        "native = true",
        "allow_native = true",
    ] {
        assert!(checked.contains(line), "{line}: {checked}");
    }
    let size = checked.lines().find(|line| line.starts_with("size "));
    assert!(size.is_some_and(|line| line.ends_with(" KB")), "{checked}");
    let value = lab.run(&["plugin", "check", "crude.so", "--json"]).await;
    let value = value.expect_code(0).json();
    assert_eq!(
        (&value["abi"], &value["host_abi"], &value["exports"]),
        (&json!(1), &json!(1), &json!(["tools"]))
    );
    assert_eq!(
        (&value["sandboxed"], &value["mark"]),
        (&json!(false), &json!("UNSANDBOXED"))
    );
    lab.write("crude/plugin.toml", CRUDE_MANIFEST);
    lab.write("crude/crude.so", traced(&trace, &[]));
    let folder = text_of(&lab, &["plugin", "check", "crude"]).await;
    assert!(
        folder.contains("UNSANDBOXED") && folder.contains("ok  "),
        "{folder}"
    );
    let other = "-DMANIFEST=\"{\\\"abi\\\":7}\"";
    lab.write("other.so", traced(&trace, &[other]));
    let refused = lab.run(&["plugin", "check", "other.so"]).await;
    refused.expect_code(1).expect_errors(&[
        "other.so` was built for version 7 of the native interface, this host has version 1",
        "update dovetail",
    ]);
    assert!(!trace.exists(), "none of its code ran");
}

#[tokio::test]
async fn every_command_that_shows_a_native_plugin_says_that_it_has_no_sandbox() {
    let lab = with_native(&MOODY, &[script::answer("unused")]).await;
    fs::write(lab.project().join("moody.so"), MOODY.wasm).unwrap();
    let commands: [&[&str]; 6] = [
        &["plugin", "list"],
        &["plugin", "inspect", "moody"],
        &["plugin", "explain", "moody", "env", "HOME"],
        &["plugin", "check", "moody.so"],
        &["plugin", "reload", "moody"],
        &["trust", "list"],
    ];
    for args in commands {
        let shown = text_of(&lab, args).await;
        assert!(shown.contains("UNSANDBOXED"), "{args:?}: {shown}");
        if args.contains(&"reload") {
            assert!(
                shown.contains("native code is not replaced while dovetail runs"),
                "{shown}"
            );
            continue;
        }
        let mut with_json = args.to_vec();
        with_json.insert(2, "--json");
        let value = lab.run(&with_json).await.expect_code(0).json().to_string();
        assert!(
            value.contains("\"mark\":\"UNSANDBOXED\"") && value.contains("\"sandboxed\":false"),
            "{args:?}: {value}"
        );
    }
    let library = lab.plugin_dir(&MOODY).join("moody.so");
    fs::write(&library, [MOODY.wasm, b"x"].concat()).unwrap();
    let review = lab.run(&["trust", "review", "moody"]).await;
    review
        .expect_code(3)
        .expect_errors(&["moody 0.1.0 · user · UNSANDBOXED", "sha256"]);
    let review = lab.run(&["trust", "review", "moody", "--json"]).await;
    let value: Value = review.expect_code(3).json();
    assert_eq!(value["plugins"][0]["sandboxed"], json!(false));
    assert_eq!(value["plugins"][0]["mark"], "UNSANDBOXED");
}

#[tokio::test]
async fn what_a_grant_says_of_native_code_is_not_what_keeps_it_from_anything() {
    let lab = with_native(&MOODY, &[script::answer("unused")]).await;
    for action in [
        &["fs", "write", "/etc/hosts"][..],
        &["net", "https://anywhere.example"],
        &["process", "rm", "-rf", "/"],
    ] {
        let args = [&["plugin", "explain", "moody"], action].concat();
        let told = text_of(&lab, &args).await;
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            told.contains("yes, nothing keeps it from that")
                && told.contains("dovetail itself does not do this on its behalf"),
            "{action:?}: {told}"
        );
    }
    // Only dovetail can give it these.
    let told = lab
        .run(&["plugin", "explain", "moody", "secret", "t"])
        .await;
    let told = told.expect_code(1).stdout;
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("no, its manifest does not ask to use secret `t`")
            && told.contains("this is about what dovetail does on its behalf"),
        "{told}"
    );
}

/// Builds the example in C as its own script does.
fn machine(lab: &Lab) -> String {
    let folder = lab.outside().join("machine");
    fs::create_dir(&folder).unwrap();
    for file in ["plugin.toml", "cases.toml"] {
        fs::copy(Path::new(EXAMPLE).join(file), folder.join(file)).unwrap();
    }
    let built = Command::new(Path::new(EXAMPLE).join("build"))
        .arg(folder.join("machine.so"))
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    folder.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_example_in_c_is_tried_out_installed_and_used() {
    let call = super::call("machine", "load");
    let lab = Lab::new(DOVETAIL, &[call, script::answer("ok")].concat()).await;
    let folder = machine(&lab);
    let test = [
        "plugin",
        "test",
        &folder,
        "--table",
        &format!("{folder}/cases.toml"),
    ];
    let refused = lab.run(&test).await.expect_code(1);
    refused.expect_errors(&["native plugins are not allowed", "allow_native = true"]);
    lab.add_config(ALLOW);
    let passed = text_of(&lab, &test).await;
    for words in [
        "UNSANDBOXED",
        "cases.toml: 2 of 2 cases",
        "the made-up host is no wall around native code",
        "nothing is wrong",
    ] {
        assert!(passed.contains(words), "{words}: {passed}");
    }
    let alone = lab
        .run(&["plugin", "test", &format!("{folder}/machine.so"), "--json"])
        .await;
    let alone = alone.expect_code(0).json();
    assert_eq!(
        (&alone["native"], &alone["mark"], &alone["id"]),
        (&json!(true), &json!("UNSANDBOXED"), &json!("machine"))
    );
    lab.run(&["plugin", "install", &folder, "--yes"])
        .await
        .expect_code(0);
    lab.exec_json(&["how busy?"], 0).await.expect_errors(&[]);
    let output = lab.output_of("c");
    assert!(
        output.contains("up ") && output.contains(" processes"),
        "{output}"
    );
}

#[tokio::test]
async fn what_a_library_does_wrong_is_found_and_a_crash_ends_the_test_with_its_name() {
    let lab = Lab::bare(DOVETAIL);
    lab.write_config(ALLOW);
    lab.write("moody.so", MOODY.wasm);
    let report = lab.run(&["plugin", "test", "moody.so", "--json"]).await;
    let report = report.expect_code(1).json();
    let findings = report["findings"].to_string();
    assert!(
        findings.contains("trapped in `call-tool`: told to, after"),
        "{findings}"
    );
    lab.write("crude.so", crude_guest(&[]).wasm);
    let crashed = lab.run(&["plugin", "test", "crude.so"]).await;
    assert_eq!(crashed.code, None, "a signal ended it: {}", crashed.stderr);
    let told = crashed.expect_errors(&["error: plugin `crude` crashed; it is native code"]);
    assert!(
        !told.stderr.contains("plugin enable"),
        "it is not installed: {}",
        told.stderr
    );
}
