//! `auth.json` is read, and never quoted.

use std::os::unix::fs::PermissionsExt;

use dovetail_config::{AuthFile, KeySource, find_api_key};

use crate::stage::Stage;

const KEY: &str = "sk-very-secret";

fn stage(text: &str, mode: u32) -> Stage {
    let stage = Stage::new().file("home/auth.json", text);
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(stage.path("home/auth.json"), permissions).expect("the mode is set");
    stage
}

#[test]
fn kinds_of_logins() {
    for (text, mode, key) in [
        (
            r#"{"OPENAI_API_KEY":"sk-very-secret"}"#,
            "apikey",
            Some(KEY),
        ),
        (
            r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-very-secret","novel":{"a":1}}"#,
            "apikey",
            Some(KEY),
        ),
        (
            r#"{"OPENAI_API_KEY":null,"tokens":{"access_token":"t"}}"#,
            "chatgpt",
            None,
        ),
        (
            r#"{"personal_access_token":"at-1"}"#,
            "personalAccessToken",
            None,
        ),
        (r#"{"OPENAI_API_KEY":"  "}"#, "apikey", None),
        ("{}", "chatgpt", None),
    ] {
        let file = AuthFile::read(&stage(text, 0o600).home())
            .expect("it is read")
            .expect("it is there");
        assert_eq!(file.mode, mode, "{text}");
        assert_eq!(file.api_key.as_ref().map(|key| key.expose()), key, "{text}");
        assert!(!format!("{file:?}").contains("sk-"), "{text}");
    }
}

#[test]
fn others_may_not_read_it() {
    for (mode, exposed) in [(0o600, false), (0o400, false), (0o640, true), (0o644, true)] {
        let file = AuthFile::read(&stage("{}", mode).home())
            .expect("it is read")
            .expect("it is there");
        assert_eq!(file.exposed, exposed, "{mode:o}");
    }
}

#[test]
fn a_damaged_file_is_not_quoted() {
    for text in [
        r#"{"OPENAI_API_KEY": sk-very-secret}"#,
        r#"{"auth_mode":["sk-very-secret"]}"#,
        r#""sk-very-secret""#,
    ] {
        let stage = stage(text, 0o600);
        let error = AuthFile::read(&stage.home()).expect_err("it is no credential file");
        let words = format!("{error} {error:?}");
        assert!(
            words.contains("auth.json") && !words.contains("sk-"),
            "{words}"
        );
    }
}

#[test]
fn keys_have_an_order() {
    let file =
        AuthFile::read(&stage(r#"{"OPENAI_API_KEY":"from-file"}"#, 0o600).home()).expect("read");
    let cases: &[(&[&str], bool, Option<KeySource>)] = &[
        (
            &["CODEX_API_KEY", "OPENAI_API_KEY"],
            true,
            Some(KeySource::CodexApiKey),
        ),
        (&["OPENAI_API_KEY"], true, Some(KeySource::AuthFile)),
        (&["OPENAI_API_KEY"], false, Some(KeySource::OpenAiApiKey)),
        (&[], false, None),
    ];
    for (set, with_file, expected) in cases {
        let variable = |name: &str| set.contains(&name).then(|| "value".to_owned());
        let found = find_api_key(variable, file.as_ref().filter(|_| *with_file));
        assert_eq!(found.map(|key| key.source), *expected, "{set:?}");
    }
    assert!(
        AuthFile::read(&Stage::new().home())
            .expect("no error")
            .is_none()
    );
}
