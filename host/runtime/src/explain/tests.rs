use super::*;
use crate::manifest::Manifest;

fn requested() -> Capabilities {
    let text = "id = \"x\"\nversion = \"1.0.0\"\napi = \"^0.1\"\nkinds = [\"tools\"]\n[request]\n\
        net = [\"https://*.acme.example\", \"http://localhost:8000\"]\n\
        process = [[\"git\", \"status\", \"**\"]]\nenv = [\"REGION\"]\nsecrets = [\"token\"]\nkv = 100\n\
        fs = [{ path = \"notes\", mount = \"/n\", access = \"append\" }]\n";
    Manifest::parse(text, Path::new("plugin.toml"))
        .expect("a manifest")
        .request
}

fn ask(granted: &Capabilities, words: &str) -> Explanation {
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let base = FsBase {
        cwd: Path::new("/project"),
        home: Some(Path::new("/home")),
        codex_home: Path::new("/home/.codex"),
    };
    let requested = requested();
    let grant = Grant::intersect(&requested, granted);
    explain(
        &requested,
        &grant,
        &base,
        &Action::parse(&words).expect("an action"),
    )
}

#[test]
fn every_kind_of_action_is_answered_by_its_rules() {
    for (words, allowed, by) in [
        ("net https://llm.acme.example/v1?x=1", true, Some(1)),
        ("net https://acme.example/", false, None),
        ("net http://llm.acme.example/", false, None),
        ("net http://localhost:8000/", true, Some(0)),
        ("fs append notes/a.txt", true, Some(0)),
        ("fs append /project/notes/deep/a.txt", true, Some(0)),
        ("fs append /n/a.txt", true, Some(0)),
        ("fs append /n/../etc/passwd", false, None),
        ("fs read notes/a.txt", false, None),
        ("fs append notes/../other", false, None),
        ("process git status -s", true, Some(0)),
        ("process git push", false, None),
        ("env REGION", true, Some(0)),
        ("env HOME", false, None),
        ("secret token", true, Some(0)),
        ("owns token", false, None),
        ("kv 100", true, Some(0)),
        ("kv 101", false, None),
        ("client", false, None),
        ("class basic", true, None),
        ("class content", false, None),
    ] {
        let answer = ask(&requested(), words);
        assert_eq!((answer.allowed, answer.by()), (allowed, by), "{words}");
    }
}

#[test]
fn what_is_asked_for_and_not_granted_is_shown_as_the_line_to_grant() {
    let answer = ask(&Capabilities::default(), "net https://llm.acme.example/");
    assert!(!answer.allowed);
    let rule = &answer.rules[answer.by().expect("a rule that would")];
    assert_eq!(
        (rule.text.as_str(), rule.requested, rule.granted),
        ("https://*.acme.example", true, false)
    );
}

#[test]
fn a_narrower_grant_is_a_rule_of_its_own() {
    let granted = Capabilities {
        net: [crate::origin::OriginPattern::parse("https://eu.acme.example").expect("valid")]
            .into(),
        ..Capabilities::default()
    };
    let answer = ask(&granted, "net https://eu.acme.example/");
    let rule = &answer.rules[answer.by().expect("a rule")];
    assert_eq!(
        (rule.requested, rule.granted, answer.allowed),
        (false, true, true)
    );
    assert!(!ask(&granted, "net https://us.acme.example/").allowed);
}

#[test]
fn words_that_are_no_action_are_answered_with_what_there_is() {
    let error = |words: &str| {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        Action::parse(&words).expect_err("no action").to_string()
    };
    assert_eq!(
        error("nett x"),
        "`nett` is nothing that a plugin does; did you mean `net`?"
    );
    assert_eq!(
        error("net llm.example"),
        "`net` takes a URL such as `https://llm.example/v1`"
    );
    assert_eq!(
        error("fs notes"),
        "`fs` takes `read`, `append` or `write`, and a path"
    );
    assert_eq!(error("kv much"), "`kv` takes a number of bytes");
}
