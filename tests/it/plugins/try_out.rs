//! `dovetail plugin test`.

use dovetail_tests::{ACME, COUNTER, Guest, Lab, MISBEHAVER, NO_RM, NOTES, REWRITE};
use serde_json::{Value, json};

use crate::DOVETAIL;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");

/// Puts a guest's folder into the project.
fn folder(lab: &Lab, guest: &Guest) -> String {
    lab.write(&format!("{}/plugin.toml", guest.id), guest.manifest);
    lab.write(&format!("{0}/{0}.wasm", guest.id), guest.wasm);
    guest.id.to_owned()
}

#[tokio::test]
async fn every_example_passes_its_own_cases() {
    let lab = Lab::bare(DOVETAIL);
    for (guest, example) in [
        (&NO_RM, "hook-deny"),
        (&REWRITE, "hook-rewrite"),
        (&NOTES, "notes-tools"),
        (&COUNTER, "event-counter"),
        (&ACME, "provider-header"),
    ] {
        let folder = folder(&lab, guest);
        let table = format!("{EXAMPLES}/{example}/cases.toml");
        let args = [
            "plugin",
            "test",
            &format!("./{folder}"),
            "--table",
            &table,
            "--json",
        ];
        let report = lab.run(&args).await.expect_code(0).json();
        assert_eq!(report["findings"], json!([]), "{example}: {report:#}");
        let table = &report["tables"][0];
        assert!(table["cases"].as_u64() > Some(1), "{example}: {report:#}");
        assert_eq!(table["cases"], table["passed"], "{example}: {report:#}");
        assert!(
            report["load_us"].as_u64() > Some(0),
            "{example}: {report:#}"
        );
        assert!(
            report["most_memory_bytes"].as_u64() > Some(0),
            "{example}: {report:#}"
        );
    }
}

async fn findings(lab: &Lab, args: &[&str]) -> Vec<Value> {
    let args = [&["plugin", "test", "--json"], args].concat();
    let report = lab.run(&args).await.expect_code(1).json();
    report["findings"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_case_that_goes_otherwise_is_a_finding_with_its_line() {
    let lab = Lab::bare(DOVETAIL);
    let folder = format!("./{}", folder(&lab, &NO_RM));
    lab.write(
        "wrong.toml",
        "# A comment.\n[[hook]]\nname = \"ls is denied\"\ninput = { command = \"ls\" }\nexpect = { decision = \"deny\" }\n",
    );
    let found = findings(&lab, &[&folder, "--table", "wrong.toml"]).await;
    assert_eq!(
        found,
        [json!({
            "about": "ls is denied",
            "problem": "the hook has no opinion; expected that it denies it",
            "place": "wrong.toml:2",
        })]
    );
    let text = lab
        .run(&["plugin", "test", &folder, "--table", "wrong.toml"])
        .await
        .expect_code(1)
        .stdout;
    assert!(
        text.contains("table       wrong.toml: 0 of 1 cases\n") && text.ends_with("1 finding\n"),
        "{text}"
    );
    lab.write("bad.toml", "[[hook]]\ninput = {}\nexpct = {}\n");
    lab.run(&["plugin", "test", &folder, "--table", "bad.toml"])
        .await
        .expect_code(1)
        .expect_errors(&["bad.toml:3: unknown field `expct`", "hint: "]);
}

#[tokio::test]
async fn a_plugin_that_breaks_is_found_out_in_every_kind() {
    let lab = Lab::bare(DOVETAIL);
    let folder = format!("./{}", folder(&lab, &MISBEHAVER));
    for (at, about) in [
        ("handle", "handle"),
        ("call-tool", "call-tool"),
        ("list-tools", "list-tools"),
        ("classify", "classify"),
        ("configure", "configure"),
        ("deliver", "deliver"),
        ("describe", "load"),
    ] {
        let table = format!("[host]\nconfig = {{ behave = \"trap\", at = \"{at}\" }}\n");
        lab.write("orders.toml", table);
        let found = findings(&lab, &[&folder, "--table", "orders.toml"]).await;
        assert!(
            found.iter().any(|finding| {
                finding["about"] == about
                    && finding["problem"]
                        .as_str()
                        .unwrap()
                        .contains("trapped as ordered")
            }),
            "{at}: {found:#?}"
        );
    }
}

#[tokio::test]
async fn the_world_of_a_table_answers_what_the_grant_allows_and_nothing_else_does() {
    let lab = Lab::bare(DOVETAIL);
    let folder = format!("./{}", folder(&lab, &MISBEHAVER));
    let case = |target: &str, rest: &str| {
        format!(
            "[host]\nconfig = {{ behave = \"http\", target = \"{target}\", at = \"call-tool\" }}\n\
             [[http]]\nurl = \"https://granted.example/*\"\nstatus = 201\nbody = \"hello\"\n\
             [[tool]]\ncall = \"obey\"\nexpect = {rest}\n"
        )
    };
    lab.write(
        "granted.toml",
        case(
            "https://granted.example/x",
            "{ text = \"status 201: hello\" }",
        ),
    );
    lab.write(
        "denied.toml",
        case(
            "https://other.example/",
            "{ error = { contains = \"denied\" } }",
        ),
    );
    let ran = lab
        .run(&[
            "plugin",
            "test",
            &folder,
            "--json",
            "--table",
            "granted.toml",
            "--table",
            "denied.toml",
        ])
        .await;
    let report = ran.json();
    let passed: Vec<&Value> = report["tables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|table| &table["passed"])
        .collect();
    assert_eq!(passed, [&json!(1), &json!(1)], "{report:#}");
    assert!(
        report["notes"]
            .to_string()
            .contains("may not connect to `https://other.example`"),
        "{report:#}"
    );
    let unanswered = case("https://granted.example/x", "{ is_error = false }")
        .replace("granted.example/*", "granted.example/else");
    lab.write("unanswered.toml", unanswered);
    let found = findings(&lab, &[&folder, "--table", "unanswered.toml"]).await;
    assert!(
        found.iter().any(|finding| finding["problem"]
            == "no `[[http]]` of a table answers GET https://granted.example/x"),
        "{found:#?}"
    );
}

#[tokio::test]
async fn a_component_alone_is_tried_out_with_the_request_of_a_table() {
    let lab = Lab::bare(DOVETAIL);
    lab.write("no-rm.wasm", NO_RM.wasm);
    lab.run(&["plugin", "test", "no-rm.wasm"])
        .await
        .expect_code(0);
    lab.write("notes.wasm", NOTES.wasm);
    lab.write(
        "notes.toml",
        "[request]\nfs = [{ path = \"n\", mount = \"/notes\", access = \"read\" }]\n\
         [host.files]\n\"n/a.md\" = \"x\"\n[[tool]]\ncall = \"list\"\nexpect = { text = \"a.md\" }\n",
    );
    lab.run(&["plugin", "test", "notes.wasm", "--table", "notes.toml"])
        .await
        .expect_code(0);
}
