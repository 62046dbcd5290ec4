//! A vendor that nobody has heard of: its provider is built outside of the workspace, as `docs/new-provider.md` says, and
//! serves a turn with tools. The host is the one that was there before.

use std::path::Path;

use serde_json::json;

use super::server::{Reply, Server};
use crate::readme::{ROOT, compile};

/// The blocks of code of the guide, in its order: language and text.
fn blocks() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(Path::new(ROOT).join("docs/new-provider.md")).unwrap();
    assert!(text.lines().count() < 150, "the guide is short");
    let blocks = text.split("\n```").skip(1).step_by(2);
    let block = |block: &str| {
        let (language, text) = block.split_once('\n').expect("a language");
        (language.to_owned(), text.to_owned())
    };
    blocks.map(block).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_made_up_vendor_serves_a_turn_with_tools_without_a_new_host() {
    let call =
        r#"{"op":"do","ref":"1","tool":"exec_command","with":{"cmd":"echo from the vendor"}}"#;
    let end = r#"{"op":"end"}"#;
    let check = r#"{"op":"do","ref":"1","tool":"dovetail_check","with":{"word":"oak"}}"#;
    let server = Server::start(vec![
        // What `provider test` asks.
        Reply::lines(&[r#"{"op":"say","text":"ready"}"#, end]),
        Reply::lines(&[check, end]),
        Reply::lines(&[r#"{"op":"say","text":"acorn"}"#, end]),
        // The turn.
        Reply::lines(&[
            r#"{"op":"muse","text":"hm"}"#,
            r#"{"op":"say","text":"I look."}"#,
            call,
            r#"{"op":"end","read":10,"wrote":2}"#,
        ]),
        Reply::lines(&[
            r#"{"op":"say","text":"Seen."}"#,
            r#"{"op":"end","read":20,"wrote":1}"#,
        ])
        .in_pieces(3),
    ])
    .await;
    let mut lab = server.lab("");
    lab.set_env("ORBIT_KEY", "orbit-secret");

    // As the guide says: the example is copied, and told where the SDK and the vendor are.
    let folder = lab.project().join("orbit");
    copy(&Path::new(ROOT).join("examples/vendor-provider"), &folder);
    let api = Path::new(ROOT).join("plugin-api").canonicalize().unwrap();
    let (there, here) = ("https://api.orbit.example", server.url(""));
    for (file, from, to) in [
        ("Cargo.toml", "../../plugin-api", api.to_str().unwrap()),
        ("plugin.toml", there, &here),
        ("cases.toml", there, &here),
        ("src/lib.rs", there, &here),
    ] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.contains(from), "{file}");
        std::fs::write(folder.join(file), text.replace(from, to)).unwrap();
    }
    compile(&folder, "orbit-provider", "orbit");
    let blocks = blocks();
    for (language, block) in &blocks {
        if language == "toml" && block.contains("[model_providers.orbit]") {
            let table = block.replace("https://api.orbit.example/v2", &server.url("/v2"));
            lab.write_config(&table);
        }
        let lines = block.lines().filter(|line| line.starts_with("dovetail "));
        for line in lines.filter(|_| language == "sh") {
            let args = shell_words(line);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            match args[1] {
                "plugin" => {
                    lab.run_in(&folder, &args[1..]).await.expect_code(0);
                }
                // Looks at it like a user would who is not sure.
                "provider" => {
                    let ran = lab.run(&args[1..]).await.expect_code(0);
                    assert!(
                        ran.stdout
                            .ends_with("`orbit` can be used, with `orbit-large`\n")
                    );
                }
                "exec" => {
                    let ran = lab.exec(&args[2..]).await.expect_code(0);
                    assert_eq!(ran.stdout, "Seen.\n");
                }
                other => panic!("the guide has a command that is not tried: {other}"),
            }
        }
    }

    let requests = server.requests();
    assert_eq!(requests.len(), 5, "the guide has one test and one turn");
    let requests = &requests[3..];
    assert_eq!(requests[0].path, "/v2/talk");
    assert_eq!(
        requests[0].header("authorization"),
        Some("Orbit orbit-secret")
    );
    assert!(
        requests[0]
            .header("orbit-digest")
            .unwrap()
            .starts_with("sha-256=")
    );
    let script = requests[1].body["script"].as_array().unwrap();
    let said: Vec<_> = script.iter().rev().take(3).rev().collect();
    assert_eq!(said[0], &json!({ "who": "model", "text": "I look." }));
    assert_eq!(said[1]["tool"], "exec_command");
    assert!(
        said[2]["text"]
            .as_str()
            .unwrap()
            .contains("from the vendor"),
        "{said:?}"
    );
}

/// Words of a command, where quotes hold some together.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
