//! Native plugins in the real program: marked wherever they are shown, off by default, and named when they crash.

mod manage;
mod packages;
mod refusals;
mod reload;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dovetail_tests::{AGENT_SIGNER, Guest, Lab, MOODY, Ran, crude, crude_guest, script};
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::DOVETAIL;

const ALLOW: &str = "[dovetail]\nallow_native = true";

/// A lab with a native plugin that is allowed and granted.
async fn with_native(guest: &Guest, responses: &[String]) -> Lab {
    let lab = Lab::new(DOVETAIL, &responses.concat()).await;
    lab.add_config(ALLOW);
    lab.install(guest).await;
    lab
}

async fn listed(lab: &Lab, id: &str) -> Value {
    let list = lab.run(&["plugin", "list", "--json"]).await;
    let list = list.expect_code(0).json();
    let plugins = list["plugins"].as_array().unwrap();
    let found = plugins.iter().find(|plugin| plugin["id"] == id);
    found.cloned().unwrap_or_default()
}

/// A response that calls a tool of a plugin.
fn call(plugin: &str, tool: &str) -> String {
    script::response(&format!(
        "{{ tool_call = \"{tool}\", namespace = \"mcp__{plugin}\", call_id = \"c\", arguments = {{}} }}"
    ))
}

async fn text_of(lab: &Lab, args: &[&str]) -> String {
    lab.run(args).await.expect_code(0).stdout
}

#[tokio::test]
async fn a_native_plugin_serves_like_any_other() {
    let lab = with_native(&MOODY, &[call("moody", "count"), script::answer("ok")]).await;
    lab.exec_json(&["count"], 0).await.expect_errors(&[]);
    let output = lab.output_of("c");
    assert!(output.contains("\"text\":\"1\""), "{output}");
}

#[tokio::test]
async fn a_native_hook_guards_like_any_other() {
    let shell = script::command("c", "rm -rf build");
    let lab = with_native(&MOODY, &[shell, script::answer("ok")]).await;
    lab.write("build/file", "kept");
    lab.exec_json(&["clean up"], 0).await;
    let output = lab.output_of("c");
    assert!(output.contains("not in the mood"), "{output}");
    assert!(lab.project().join("build/file").exists());
}

#[tokio::test]
async fn a_native_plugin_is_marked_wherever_it_is_shown() {
    let lab = with_native(&MOODY, &[script::answer("ok")]).await;
    let entry = listed(&lab, "moody").await;
    assert_eq!(
        (&entry["native"], &entry["sandboxed"], &entry["state"]),
        (&json!(true), &json!(false), &json!("ready"))
    );
    for args in [
        &["plugin", "list"][..],
        &["plugin", "inspect", "moody"],
        &["doctor"],
    ] {
        let shown = lab.run(args).await.stdout;
        assert!(shown.contains("UNSANDBOXED"), "{args:?}: {shown}");
    }
    let inspected = text_of(&lab, &["plugin", "inspect", "moody"]).await;
    assert!(
        inspected.contains("needs ") && inspected.contains("libc.so"),
        "{inspected}"
    );
    lab.run(&["plugin", "disable", "moody"])
        .await
        .expect_code(0);
    let off = text_of(&lab, &["plugin", "list"]).await;
    assert!(
        off.contains("UNSANDBOXED"),
        "also where it is disabled: {off}"
    );
    let component = listed(&lab, "openai").await;
    assert_eq!(component["sandboxed"], json!(true));
}

#[tokio::test]
async fn installing_one_says_that_nothing_is_kept_from_it() {
    let lab = Lab::bare(DOVETAIL);
    lab.write_config(ALLOW);
    let folder = lab.outside().join("moody");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("plugin.toml"), MOODY.manifest).unwrap();
    fs::write(folder.join("moody.so"), MOODY.wasm).unwrap();
    let folder = folder.to_str().unwrap();
    let asked = lab.run(&["plugin", "install", folder]).await.expect_code(1);
    asked.expect_errors(&["native", "UNSANDBOXED", "nothing is kept from it", "--yes"]);
    assert_eq!(listed(&lab, "moody").await, Value::Null);
    let installed = lab.run(&["plugin", "install", folder, "--yes"]).await;
    installed.expect_code(0);
    assert_eq!(listed(&lab, "moody").await["state"], "ready");
    lab.run(&["plugin", "remove", "moody"]).await.expect_code(0);
    assert_eq!(listed(&lab, "moody").await, Value::Null);
}

#[tokio::test]
async fn without_the_users_word_none_is_installed_granted_or_loaded() {
    // It would leave a trace if any of its code ran.
    let trace = tempfile::tempdir().unwrap();
    let trace = trace.path().join("trace");
    let leave = format!("-DCONSTRUCTOR=(void)!creat(\"{}\", 0600)", trace.display());
    let guest = crude_guest(&["-include", "fcntl.h", &leave]);
    let lab = Lab::new(DOVETAIL, &script::answer("ok").repeat(2)).await;
    lab.drop_in(&guest);
    let not_allowed = "native plugins are not allowed";
    for args in [
        &["plugin", "grant", "crude", "--yes"][..],
        &[
            "plugin",
            "install",
            lab.plugin_dir(&guest).to_str().unwrap(),
            "--yes",
        ],
    ] {
        let refused = lab.run(args).await.expect_code(1);
        refused.expect_errors(&["plugin `crude`", not_allowed, "allow_native = true"]);
    }
    assert_eq!(listed(&lab, "crude").await["granted"], Value::Null);
    // Granted once, and then not allowed any more.
    let before = fs::read_to_string(lab.home().join("config.toml")).unwrap();
    lab.add_config(ALLOW);
    lab.grant(&guest).await;
    lab.write_config(&before);
    assert_eq!(listed(&lab, "crude").await["state"], "not allowed");
    let ran = lab.exec_json(&["hello"], 0).await;
    let complaints = ran.complaints().join("\n");
    assert!(
        complaints.contains(not_allowed) && complaints.contains("allow_native = true"),
        "{complaints}"
    );
    assert!(!trace.exists(), "none of its code ran");
    lab.add_config(ALLOW);
    lab.exec_json(&["hello"], 0).await;
    assert!(trace.exists(), "now it did");
}

#[tokio::test]
async fn a_project_can_neither_bring_nor_allow_native_code() {
    let lab = Lab::new(DOVETAIL, &script::answer("ok")).await;
    let root = lab.project().display().to_string();
    lab.add_config(&format!("[projects.\"{root}\"]\ntrust_level = \"trusted\""));
    lab.init_git();
    lab.write(".codex/config.toml", ALLOW);
    lab.write(".codex/dovetail/plugins/moody/plugin.toml", MOODY.manifest);
    lab.write(".codex/dovetail/plugins/moody/moody.so", MOODY.wasm);
    let list = lab.run(&["plugin", "list", "--json"]).await;
    assert_eq!(
        list.expect_code(0).json()["problems"][0]["error"],
        "plugin `moody` is native code, which a project's plugin cannot be: it would run without a sandbox"
    );
    lab.drop_in(&MOODY);
    let refused = lab.run(&["plugin", "grant", "moody", "--yes"]).await;
    refused
        .expect_code(1)
        .expect_errors(&["native plugins are not allowed"]);
}

#[tokio::test]
async fn a_library_that_changed_is_not_loaded() {
    let lab = with_native(&crude_guest(&[]), &[script::answer("ok")]).await;
    let library = lab.home().join("dovetail/plugins/crude/crude.so");
    fs::write(&library, crude(&["-DCONSTRUCTOR=_exit(9)"])).unwrap();
    assert_eq!(listed(&lab, "crude").await["state"], "changed");
    let ran = lab.exec_json(&["hello"], 0).await;
    let complaints = ran.complaints().join("\n");
    assert!(
        complaints.contains("plugin `crude` changed since it was granted"),
        "{complaints}"
    );
}

/// Runs a turn in which the model calls a tool that takes the process along.
async fn crash(lab: &Lab) -> Ran {
    lab.exec(&["go"]).await
}

#[tokio::test]
async fn a_crash_names_the_plugin_and_it_is_not_loaded_again_before_it_is_enabled() {
    let lab = with_native(
        &crude_guest(&[]),
        &[call("crude", "segv"), script::answer("ok")],
    )
    .await;
    let crashed = crash(&lab).await;
    assert_eq!(crashed.code, None, "a signal ended it");
    assert!(
        crashed
            .stderr
            .contains("error: plugin `crude` crashed; it is native code")
            && crashed.stderr.contains("dovetail plugin enable crude"),
        "{}",
        crashed.stderr
    );
    let entry = listed(&lab, "crude").await;
    assert_eq!(entry["state"], "crashed");
    let sentence = entry["refusal"]["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("plugin `crude` crashed in `call-tool` and took dovetail with it")
            && sentence.contains("SIGSEGV"),
        "{sentence}"
    );
    let next = lab.exec_json(&["hello"], 0).await;
    let complaints = next.complaints().join("\n");
    assert!(
        complaints.contains("crashed in `call-tool`"),
        "{complaints}"
    );
    let enabled = lab.run(&["plugin", "enable", "crude"]).await.expect_code(0);
    assert_eq!(enabled.stdout, "plugin `crude` is enabled\n");
    assert_eq!(listed(&lab, "crude").await["state"], "ready");
}

#[tokio::test]
async fn a_library_that_gives_up_is_named_with_its_signal() {
    let lab = with_native(
        &crude_guest(&[]),
        &[call("crude", "abort"), script::answer("ok")],
    )
    .await;
    let crashed = crash(&lab).await;
    assert!(
        crashed.stderr.contains("plugin `crude` crashed"),
        "{}",
        crashed.stderr
    );
    let entry = listed(&lab, "crude").await;
    let sentence = entry["refusal"]["sentence"].as_str().unwrap();
    assert!(sentence.contains("SIGABRT"), "{sentence}");
    // Another version is another matter.
    lab.drop_in(&crude_guest(&["-DTAG=\"mended\""]));
    lab.grant(&crude_guest(&[])).await;
    assert_eq!(listed(&lab, "crude").await["state"], "ready");
}

#[tokio::test]
async fn an_end_in_the_middle_of_a_call_without_a_crash_is_only_told() {
    let lab = with_native(
        &crude_guest(&[]),
        &[call("crude", "exit"), script::answer("ok")],
    )
    .await;
    let ended = crash(&lab).await;
    assert_eq!(ended.code, Some(7));
    assert_eq!(listed(&lab, "crude").await["state"], "ready");
    let told = lab.run(&["plugin", "list"]).await.expect_code(0);
    told.expect_errors(&["in the middle of `call-tool` of the native plugin `crude`"]);
    lab.run(&["plugin", "enable", "crude"]).await.expect_code(0);
    let told = lab.run(&["plugin", "list"]).await.expect_code(0);
    assert!(!told.stderr.contains("in the middle of"), "{}", told.stderr);
}

#[tokio::test]
async fn a_crash_of_the_engines_guests_is_still_the_engines() {
    // The signals that are watched are also those by which the engine notices a trap of a component.
    let responses = [call("misbehaver", "obey"), script::answer("ok")];
    let lab = with_native(&MOODY, &responses).await;
    lab.configure(
        &dovetail_tests::MISBEHAVER,
        json!({ "behave": "trap", "at": "call-tool" }),
    );
    lab.install(&dovetail_tests::MISBEHAVER).await;
    let ran = lab.exec_json(&["go"], 0).await;
    assert!(!ran.stderr.contains("crashed"), "{}", ran.stderr);
    assert_eq!(listed(&lab, "moody").await["state"], "ready");
}

/// An agent with one key, which signs what it is asked to by prefixing it.
fn agent(socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    let text = |bytes: &[u8]| {
        [
            &u32::try_from(bytes.len()).unwrap().to_be_bytes()[..],
            bytes,
        ]
        .concat()
    };
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut asked = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut asked).unwrap();
            let answer = match asked[0] {
                11 => [&[12, 0, 0, 0, 1][..], &text(b"PUBLIC"), &text(b"work")].concat(),
                _ => {
                    // Kind, key with its length, the data's length, the data, four bytes of flags.
                    let data = &asked[1 + 4 + 6 + 4..asked.len() - 4];
                    let digest = sha2::Sha256::digest(data);
                    let signature = [text(b"fake"), text(&digest)].concat();
                    [&[14][..], &text(&signature)].concat()
                }
            };
            stream.write_all(&text(&answer)).unwrap();
        }
    });
}

/// A lab whose provider is the example, granted to send to the lab's server; with the address of that.
async fn signed(responses: &str) -> (Lab, String) {
    let mut lab = Lab::bare(DOVETAIL);
    lab.play(responses).await;
    let url = lab.server().base_url();
    lab.write_config(&format!(
        "model = \"m\"\nmodel_provider = \"signed\"\n[model_providers.signed]\nbase_url = \"{url}\"\n{ALLOW}\n"
    ));
    let socket = lab.outside().join("agent");
    agent(&socket);
    lab.set_env("SSH_AUTH_SOCK", socket.to_str().unwrap());
    let origin = url.strip_suffix("/v1").unwrap();
    let manifest = AGENT_SIGNER
        .manifest
        .replace("https://llm.acme.example", origin);
    lab.install_with(&AGENT_SIGNER, &manifest).await;
    (lab, url)
}

#[tokio::test]
async fn commands_about_logins_and_models_load_a_native_provider() {
    let (lab, url) = signed(&script::answer("never")).await;
    let explained = lab.run(&["auth", "explain"]).await.expect_code(0);
    let expected = format!("result: sent to {url} by plugin `agent-signer`\n");
    assert!(
        explained.stdout.starts_with(&expected),
        "{}",
        explained.stdout
    );
    assert_eq!(explained.stderr, "");
    let listed = lab.run(&["models", "list", "--json"]).await;
    let listed = listed.expect_code(0);
    assert!(!listed.stderr.contains("agent-signer"), "{}", listed.stderr);
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn the_example_signs_each_request_with_a_key_that_it_never_sees() {
    let (mut lab, url) = signed(&script::answer("signed and sent")).await;
    let ran = lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(ran.stdout, "signed and sent\n");
    let request = &lab.requests()[0];
    assert_eq!(request.header("x-key"), Some("UFVCTElD"));
    let body: String = sha2::Sha256::digest(&request.body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let time = request.header("x-signed-at").unwrap();
    let text = format!("POST\n{url}/responses\n{body}\n{time}\n");
    let signature = request.header("x-signature").unwrap();
    let expected = STANDARD.encode(sha2::Sha256::digest(text.as_bytes()));
    assert_eq!(signature, format!("fake {expected}"));

    fs::remove_file(lab.outside().join("agent")).unwrap();
    lab.play(&script::answer("never")).await;
    let failed = lab.exec(&["hello"]).await.expect_code(1);
    assert!(lab.requests().is_empty(), "nothing leaves unsigned");
    failed.expect_errors(&["ssh-agent at `", "cannot be asked"]);
}
