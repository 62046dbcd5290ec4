//! A secret with a name that cannot be mistaken, taken along every path there is, and looked for everywhere.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use dovetail_tests::{ACME, Lab, MISBEHAVER, Ran, script};
use serde_json::json;

use crate::DOVETAIL;
use crate::failures::FAULTS;

/// The secret.
const CANARY: &str = "canary.7f3b9d2e41c8a650/b1d4+e9";

/// What it would look like, in the forms that programs write text in.
fn forms() -> Vec<Vec<u8>> {
    let hex = CANARY.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let base64 = base64::engine::general_purpose::STANDARD;
    let mut forms = vec![
        CANARY.to_owned(),
        CANARY.replace('/', "\\/"),
        CANARY.replace('/', "%2F").replace('+', "%2B"),
        hex.to_uppercase(),
        hex,
        CANARY.chars().rev().collect(),
        "7f3b9d2e41c8a650".to_owned(),
    ];
    // The ends depend on what stands beside it.
    for start in 0..3 {
        let padded = format!("{}{CANARY}", &"xx"[..start.min(2)]);
        let encoded = base64.encode(padded);
        forms.push(encoded[4..encoded.len() - 4].to_owned());
    }
    forms.into_iter().map(String::into_bytes).collect()
}

fn holds(bytes: &[u8], form: &[u8]) -> bool {
    bytes.windows(form.len()).any(|window| window == form)
}

/// Looks through everything that a run left behind, but for the files that the user put the secret into.
fn look(lab: &Lab, ran: &[&Ran], own: &[&Path], what: &str) {
    let forms = forms();
    let check = |bytes: &[u8], place: &str| {
        for form in &forms {
            assert!(
                !holds(bytes, form),
                "{what}: the secret is in {place} as `{}`",
                String::from_utf8_lossy(form)
            );
        }
    };
    for ran in ran {
        check(ran.stdout.as_bytes(), "standard output");
        check(ran.stderr.as_bytes(), "standard error");
    }
    let mut directories = vec![lab.home(), lab.project(), lab.outside()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.is_file() && !own.contains(&path.as_path()) {
                check(&fs::read(&path).unwrap(), &path.display().to_string());
            }
        }
    }
}

/// The commands that say what is installed and configured.
async fn describe(lab: &Lab) -> Vec<Ran> {
    let mut all = Vec::new();
    for command in [
        &["plugin", "list", "--json"][..],
        &["plugin", "list"],
        &["plugin", "inspect", "acme", "--json"],
        &["plugin", "inspect", "acme"],
        &["config", "explain"],
        &["config", "explain", "--json"],
        &["doctor"],
        &["doctor", "--json"],
        &["models", "list"],
        &["thread", "list", "--all", "--json"],
    ] {
        all.push(lab.run(command).await);
    }
    all
}

/// A lab whose provider sends the secret in a header. All that can be logged and recorded is.
async fn lab_with(script: &str, source: &str) -> Lab {
    let mut lab = Lab::bare(DOVETAIL);
    lab.play(script).await;
    let url = lab.server().base_url();
    let events = lab.project().join("events.jsonl");
    let source = match source {
        "" => String::new(),
        source => format!("[dovetail.plugins.acme]\nsecrets = {{ acme-token = '{source}' }}\n"),
    };
    lab.write_config(&format!(
        "model = \"acme-1\"\nmodel_provider = \"acme\"\n[model_providers.acme]\nbase_url = \"{url}\"\n\
         request_max_retries = 1\nstream_max_retries = 1\n\
         [dovetail.plugins.jsonl-sink]\nenabled = true\nclasses = [\"content\", \"location\", \"identity\"]\n\
         config = {{ path = \"{}\" }}\n\
         {source}",
        events.display()
    ));
    let origin = url.strip_suffix("/v1").unwrap();
    let manifest = ACME.manifest.replace("https://llm.acme.example", origin);
    lab.drop_in_with(&ACME, &manifest);
    lab.grant(&ACME).await;
    lab.set_env("DOVETAIL_LOG", "trace");
    lab.set_env("RUST_BACKTRACE", "1");
    lab
}

/// The answer that proves that the secret went where it belongs.
fn served(text: &str) -> String {
    format!(
        "[[response]]\nexpect = [{{ header = \"x-acme-key\", equals = \"{CANARY}\" }}]\nactions = [{{ text = \"{text}\" }}]\n"
    )
}

#[tokio::test]
async fn a_secret_of_any_source_is_in_its_header_and_nowhere_else() {
    let program = "command:sh -c \"cat token\"";
    for source in ["", "env:HIDDEN_VALUE", "file:~/token", program] {
        let environment = script::command("c", "env; cat /proc/$PPID/environ /proc/self/environ");
        let mut lab = lab_with(&[environment, served("done")].concat(), source).await;
        let mut own = Vec::new();
        match source {
            // The variable that is called like the slot.
            "" => lab.set_env("ACME_TOKEN", CANARY),
            "env:HIDDEN_VALUE" => lab.set_env("HIDDEN_VALUE", CANARY),
            "file:~/token" => own.push(lab.outside().join("token")),
            _ => own.push(lab.project().join("token")),
        }
        for file in &own {
            fs::write(file, CANARY).unwrap();
            private(file);
        }
        let ran = lab.exec_json(&["go"], 0).await;
        lab.expect_played();
        let people = lab.exec(&["resume", "--last", "again"]).await;
        let described = describe(&lab).await;
        let all: Vec<&Ran> = [&ran, &people].into_iter().chain(&described).collect();
        let own: Vec<&Path> = own.iter().map(AsRef::as_ref).collect();
        look(&lab, &all, &own, source);
    }
}

fn private(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn a_server_that_says_it_back_is_not_quoted() {
    for actions in [
        format!("{{ status = 401, body = {{ error = {{ message = \"bad key {CANARY}\" }} }} }}"),
        format!("{{ status = 400, body = 'you sent {CANARY}' }}"),
        format!("{{ status = 500, body = '<pre>x-acme-key: {CANARY}</pre>' }}"),
        format!(
            "{{ headers = {{ cf-ray = '{CANARY}', x-request-id = '{CANARY}' }} }}, {{ status = 403 }}"
        ),
        format!("{{ failed = {{ code = 'odd', message = 'key {CANARY}' }} }}"),
        format!(
            "{{ headers = {{ location = 'http://127.0.0.1:1/?key={CANARY}' }} }}, {{ status = 302 }}"
        ),
    ] {
        let failing = format!("[[response]]\nactions = [{actions}]\n").repeat(8);
        let mut lab = lab_with(&failing, "env:HIDDEN_VALUE").await;
        lab.set_env("HIDDEN_VALUE", CANARY);
        let json = lab.exec_json(&["go"], 1).await;
        let people = lab.exec(&["go"]).await;
        look(&lab, &[&json, &people], &[], &actions);
    }
}

#[tokio::test]
async fn a_guest_that_breaks_does_not_spill_it() {
    for (behave, amount, _) in FAULTS {
        let call = script::call("bad", "obey", "{}").replace(
            "tool_call = \"obey\"",
            "tool_call = \"obey\", namespace = \"mcp__misbehaver\"",
        );
        let mut lab = lab_with(&[call, served("done")].concat(), "env:HIDDEN_VALUE").await;
        lab.set_env("HIDDEN_VALUE", CANARY);
        // The slot is the guest's own as well: it may use it, and never sees it.
        lab.set_env("GRANTED_SLOT", CANARY);
        lab.configure(
            &MISBEHAVER,
            json!({ "behave": behave, "at": "call-tool", "amount": amount }),
        );
        let manifest = format!("{}\n[limits]\ndeadline_ms = 2000\n", MISBEHAVER.manifest);
        lab.install_with(&MISBEHAVER, &manifest).await;
        let ran = lab.exec_json(&["go"], 0).await;
        look(&lab, &[&ran], &[], behave);
    }
}

#[tokio::test]
async fn a_key_in_the_configuration_is_shown_by_no_command() {
    let mut lab = Lab::bare(DOVETAIL);
    lab.play(&[script::answer("ok"), script::answer("ok")].concat())
        .await;
    let table = lab.provider_config(&format!("experimental_bearer_token = \"{CANARY}\""));
    let table: String = table
        .lines()
        .filter(|line| !line.starts_with("env_key"))
        .fold(String::new(), |text, line| text + line + "\n");
    lab.write_config(&table);
    lab.set_env("DOVETAIL_LOG", "trace");
    let ran = lab.exec_json(&["go"], 0).await;
    let sent = lab.requests()[0].header("authorization").map(str::to_owned);
    assert_eq!(sent, Some(format!("Bearer {CANARY}")));
    let described = describe(&lab).await;
    let all: Vec<&Ran> = [&ran].into_iter().chain(&described).collect();
    let own = lab.home().join("config.toml");
    look(&lab, &all, &[&own], "config.toml");
}
