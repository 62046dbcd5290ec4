//! The examples in other languages: built as their authors would build them, and compared with those in Rust. These
//! tests need each language's tools, see `examples/README.md`; where they are missing, they say that they were not run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use dovetail_tests::{COUNTER, Guest, Lab, NO_RM, NOTES, script};

use crate::compat::installed::{directory, not_run, works};
use crate::plugins::{notes, output_parts, search};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");

/// Three interpreters of 18 MB are compiled in this time, on a slow machine with a host that is not optimised.
const COMPILED: Duration = Duration::from_mins(15);

/// A language with the tools that its examples are built with.
struct Language {
    name: &'static str,
    path: OsString,
}

impl Language {
    /// A language whose tools are in directories that a variable names, or in the cache folder of `.ci/run`. Each tool
    /// is asked for its version.
    fn find(name: &'static str, tools: &[(&str, &str, [&str; 2])]) -> Result<Self, String> {
        let mut places: Vec<PathBuf> = Vec::new();
        for (variable, in_cache, [tool, argument]) in tools {
            let place = directory(variable, in_cache)?;
            works(Command::new(place.join(tool)).arg(argument), tool)?;
            places.push(place);
        }
        if let Some(path) = std::env::var_os("PATH") {
            places.extend(std::env::split_paths(&path));
        }
        let path = std::env::join_paths(places).map_err(|error| error.to_string())?;
        Ok(Self { name, path })
    }

    /// Builds the counterpart of an example in Rust. It has its id and its manifest.
    fn build(&self, lab: &Lab, example: &str, guest: &Guest) -> Guest {
        let output = lab.project().join(format!("{example}.wasm"));
        let folder = Path::new(EXAMPLES).join(self.name);
        let ran = Command::new(folder.join("build"))
            .arg(example)
            .arg(&output)
            .env("PATH", &self.path)
            .output()
            .unwrap();
        assert!(
            ran.status.success(),
            "{example} in {}: {}{}",
            self.name,
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
        let manifest = std::fs::read_to_string(folder.join(example).join("plugin.toml")).unwrap();
        assert_eq!(manifest, guest.manifest);
        Guest {
            // A few guests for the life of the test binary.
            wasm: std::fs::read(output).unwrap().leak(),
            ..*guest
        }
    }
}

/// What the examples in Rust do, the others do.
async fn check(language: &Language) {
    let empty = script::call("e", "search", "{ query = \" \" }").replace(
        "tool_call = \"search\"",
        "tool_call = \"search\", namespace = \"mcp__notes\"",
    );
    let mut lab = crate::lab(&[
        &script::command("denied", "sudo rm -rf build"),
        &script::command("allowed", "echo rm"),
        &search("hit"),
        &empty,
        &script::answer("done"),
    ])
    .await;
    notes(&lab);
    lab.set_env("DOVETAIL_LOG", "info");
    for (example, guest) in [
        ("hook-deny", NO_RM),
        ("notes-tools", NOTES),
        ("event-counter", COUNTER),
    ] {
        lab.install(&language.build(&lab, example, &guest)).await;
    }
    let ran = lab.start_exec(&["go"]).finish_within(COMPILED).await;
    let ran = ran.expect_code(0);
    assert_eq!(
        lab.output_of("denied"),
        "Command blocked by PreToolUse hook: destructive commands need a person. Command: sudo rm -rf build"
    );
    assert!(lab.output_of("allowed").ends_with("Output:\nrm\n"));
    assert_eq!(
        output_parts(&lab, "hit"),
        [
            "Wall time: <time>\nOutput:",
            "style.md:2: A greeting ends with a comma."
        ]
    );
    assert!(lab.output_of("e").contains("the query is empty"));
    ran.expect_errors(&[" events: ", "turn.completed 1"]);
}

/// Checks a language whose tools are there.
async fn check_where_present(language: Result<Language, String>, test: &str) {
    match language {
        Ok(language) => check(&language).await,
        Err(why) => not_run(test, &why),
    }
}

#[tokio::test]
async fn plugins_in_javascript_do_what_those_in_rust_do() {
    let tools = [(
        "DOVETAIL_JCO",
        "npm/jco/node_modules/.bin",
        ["jco", "--version"],
    )];
    check_where_present(Language::find("javascript", &tools), "javascript").await;
}

#[tokio::test]
async fn plugins_in_python_do_what_those_in_rust_do() {
    let tools = [(
        "DOVETAIL_COMPONENTIZE_PY",
        "python/bin",
        ["componentize-py", "--version"],
    )];
    check_where_present(Language::find("python", &tools), "python").await;
}

#[tokio::test]
async fn plugins_in_c_do_what_those_in_rust_do() {
    let tools = [
        (
            "DOVETAIL_WIT_BINDGEN",
            "wit-bindgen/bin",
            ["wit-bindgen", "--version"],
        ),
        (
            "DOVETAIL_JCO",
            "npm/jco/node_modules/.bin",
            ["jco", "--version"],
        ),
        ("DOVETAIL_ZIG", "python/bin", ["python-zig", "version"]),
    ];
    check_where_present(Language::find("c", &tools), "c").await;
}
