#![expect(
    clippy::panic,
    reason = "a test that gets something else ends that way"
)]

use super::*;

const WHOLE: &str = r#"
id = "acme-gateway"
version = "1.2.0"
api = "^0.1"
kinds = ["provider", "hooks"]
description = "Acme's models"
on_error = "allow"

[request]
net = ["https://llm.acme.example", "https://*.acme.example:8443"]
fs = [{ path = "notes", mount = "/notes", access = "read" }]
process = [["acme", "token", "*"], ["acme", "**"]]
env = ["ACME_REGION"]
secrets = ["acme-token"]
owns = ["acme-refresh"]
kv = 4096
client = true
classes = ["content", "location"]

[limits]
memory_mb = 128
deadline_ms = 2500
output_kb = 8
"#;

fn parse(text: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(text, Path::new("acme/plugin.toml"))
}

fn minimal(rest: &str) -> String {
    format!("id = \"a\"\nversion = \"0.1.0\"\napi = \"^0.1\"\nkinds = [\"hooks\"]\n{rest}")
}

fn error(text: &str) -> String {
    parse(text).expect_err("the manifest is wrong").to_string()
}

#[test]
fn every_key_is_read() {
    let manifest = parse(WHOLE).expect("the manifest is right");
    assert_eq!(manifest.id.as_str(), "acme-gateway");
    assert_eq!(manifest.version, Version::new(1, 2, 0));
    assert_eq!(manifest.kinds, [Kind::Provider, Kind::Hooks].into());
    assert_eq!(manifest.description.as_deref(), Some("Acme's models"));
    assert_eq!(manifest.limits.memory_bytes, 128 << 20);
    assert_eq!(manifest.limits.output_bytes, 8 << 10);
    assert_eq!(
        manifest.limits.deadline(Kind::Hooks),
        Duration::from_millis(2500)
    );
    assert_eq!(
        manifest.request.to_string(),
        "net https://llm.acme.example, net https://*.acme.example:8443, fs notes (read), \
         process `acme **`, process `acme token *`, env ACME_REGION, secret acme-token, owns acme-refresh, \
         kv 4096 bytes, client, class content, class location, fail open"
    );
}

#[test]
fn what_is_not_said_has_defaults() {
    let manifest = parse(&minimal("")).expect("the manifest is right");
    assert!(manifest.request.is_empty());
    assert_eq!(manifest.limits.memory_bytes, 64 << 20);
    assert_eq!(manifest.limits.output_bytes, 1 << 20);
    let deadlines = Kind::ALL.map(|kind| manifest.limits.deadline(kind).as_millis());
    assert_eq!(deadlines, [30_000, 60_000, 1000, 5000]);
}

#[test]
fn mistakes_are_named_with_file_line_and_nearest_key() {
    let cases = [
        (
            minimal("descripton = \"x\""),
            "5: unknown key `descripton` in the manifest; did you mean `description`?",
        ),
        (
            minimal("colour = 1"),
            "5: unknown key `colour` in the manifest",
        ),
        (
            minimal("[request]\nnets = []"),
            "6: unknown key `nets` in [request]; did you mean `net`?",
        ),
        (
            minimal("[request]\nfail_open = true"),
            "6: unknown key `fail_open` in [request]",
        ),
        (
            minimal("[limits]\nmemory_md = 1"),
            "6: unknown key `memory_md` in [limits]; did you mean `memory_mb`?",
        ),
        (
            minimal("[limits]\nmemory_mb = 2048"),
            "6: `memory_mb` in [limits] must be a whole number from 1 to 1024",
        ),
        (
            minimal("[limits]\ndeadline_ms = -1"),
            "6: `deadline_ms` in [limits] must be a whole number from 1 to 600000",
        ),
        (
            minimal("[request]\nnet = [\n  \"https://a.example\",\n  \"a.example\",\n]"),
            "8: `a.example` is not an origin: start it with `https://` or `http://`",
        ),
        (
            minimal("[request]\nnet = \"https://a.example\""),
            "6: `net` in [request] must be a list of strings",
        ),
        (
            minimal("[request]\nprocess = [\"aws\"]"),
            "6: `process` in [request] must be a list of command lines, each a list of strings",
        ),
        (
            minimal("[request]\nprocess = [[\"*\"]]"),
            "6: the program of a command pattern cannot be a wildcard",
        ),
        (
            minimal("[request]\nsecrets = [\"Acme\"]"),
            "6: `Acme` is not a secret slot: use lower-case letters, digits, `-` and `_`, at most 64, or `env:NAME`",
        ),
        (
            minimal("[[request.fs]]\npath = \"a\"\nmount = \"/a\"\naccess = \"all\""),
            "8: `access` must be \"read\", \"append\" or \"write\"",
        ),
        (
            minimal("[[request.fs]]\npath = \"a\"\naccess = \"read\""),
            "5: `mount` is missing in `fs`",
        ),
        (
            minimal("[request]\nfs = [{ path = \"../x\", mount = \"/a\", access = \"read\" }]"),
            "6: `../x` cannot be granted: `..` is not allowed; write the path from `~` or `/`",
        ),
        (
            minimal("[request]\nclasses = [\"basic\"]"),
            "6: `basic` is no field class to ask for; use content, identity, location",
        ),
        (
            minimal("on_error = \"ignore\""),
            "5: `on_error` must be \"deny\" or \"allow\"",
        ),
        (
            minimal("").replace("hooks", "hook"),
            "4: `hook` is no kind of plugin; use provider, tools, hooks, sink",
        ),
        (
            minimal("").replace("[\"hooks\"]", "[]"),
            "4: `kinds` must name at least one of provider, tools, hooks, sink",
        ),
        (
            minimal("on_error = \"allow\"").replace("hooks", "sink"),
            "5: `on_error` is for plugins of kind hooks",
        ),
        (
            minimal("").replace("0.1.0", "one"),
            "2: `version = \"one\"` is not a version: unexpected character 'o' while parsing major version number",
        ),
        (
            minimal("").replace("\"a\"", "\"A b\""),
            "1: `A b` is not a valid plugin id: use lower-case letters, digits, `-`, `_` and `.`, at most 64",
        ),
        (
            minimal("").replace("\"a\"", "\"..\""),
            "1: `..` is not a valid plugin id: use lower-case letters, digits, `-`, `_` and `.`, at most 64",
        ),
        (
            minimal("").replace("id = \"a\"\n", "\n"),
            "1: `id` is missing in the manifest",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(
            error(&text),
            format!("acme/plugin.toml:{expected}"),
            "{text}"
        );
    }
}

#[test]
fn broken_toml_is_an_error_with_its_line() {
    assert!(error("id = \"a\"\nversion = \n").starts_with("acme/plugin.toml:2: "));
    assert!(error("\u{0}").starts_with("acme/plugin.toml:1: "));
    assert_eq!(
        error(""),
        "acme/plugin.toml:1: `id` is missing in the manifest"
    );
}

#[test]
fn another_api_says_which_side_is_older() {
    let cases = [
        (
            "^0.2",
            "the host is older than the plugin",
            "update dovetail, or install an older `a`",
        ),
        (
            "^1",
            "the host is older than the plugin",
            "update dovetail, or install an older `a`",
        ),
        (
            ">0.1.0",
            "the host is older than the plugin",
            "update dovetail, or install an older `a`",
        ),
        (
            "^0.0.9",
            "the plugin is older than the host",
            "update `a`, or rebuild it with the plugin API 0.1.0",
        ),
        (
            "<0.1",
            "the plugin is older than the host",
            "update `a`, or rebuild it with the plugin API 0.1.0",
        ),
    ];
    for (wants, verdict, hint) in cases {
        // A key that only the other version knows must not be what is complained about.
        let text = minimal("from_the_future = 1").replace("^0.1", wants);
        let Err(ManifestError::Api(mismatch)) = parse(&text) else {
            panic!("`{wants}` is accepted")
        };
        assert_eq!(
            mismatch.to_string(),
            format!("plugin `a` needs plugin API `{wants}`, this host speaks 0.1.0: {verdict}")
        );
        assert_eq!(mismatch.hint(), hint);
    }
    for wants in ["^0.1", "0.1.0", "~0.1", ">=0.1, <0.3", "=0.1.0", "*"] {
        assert!(
            parse(&minimal("").replace("^0.1", wants)).is_ok(),
            "{wants}"
        );
    }
}

#[test]
fn the_request_digest_follows_the_request_alone() {
    let digest = |text: &str| parse(text).expect("right").request_digest();
    let base = digest(&minimal("[request]\nenv = [\"A\", \"B\"]"));
    assert_eq!(
        base,
        digest(&minimal(
            "description = \"x\"\n[request]\nenv = [\"B\", \"A\"]\n[limits]\nmemory_mb = 1"
        ))
    );
    assert_ne!(base, digest(&minimal("[request]\nenv = [\"A\"]")));
    assert_ne!(
        base,
        digest(&minimal(
            "on_error = \"allow\"\n[request]\nenv = [\"A\", \"B\"]"
        ))
    );
}

#[test]
fn a_description_cannot_write_over_the_screen() {
    let manifest = parse(&minimal("description = \"a\\u001b[2Jb\\nc\"")).expect("right");
    assert_eq!(manifest.description.as_deref(), Some("a [2Jb c"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        // Whatever it is, it is read or refused.
        drop(parse(&text));
        drop(parse(&minimal(&text)));
        drop(parse(&minimal(&format!("[request]\n{text}"))));
    }

    #[test]
    fn no_value_makes_the_reader_panic(key in proptest::sample::select(KEYS_TO_TRY), value in VALUES) {
        drop(parse(&minimal(&format!("[request]\n{key} = {value}"))));
        drop(parse(&minimal(&format!("{key} = {value}"))));
    }
}

const KEYS_TO_TRY: &[&str] = &[
    "net",
    "fs",
    "process",
    "env",
    "secrets",
    "owns",
    "kv",
    "client",
    "classes",
    "limits",
    "request",
    "on_error",
    "description",
];
/// Values of every type, nested a little.
const VALUES: &str = r#"(\[{0,2}("[a-z*:/.\[\]@-]{0,12}"|-?[0-9]{1,20}|true|\{ (path|mount|x) = "[.~/a-z]{0,6}" \})(, "\*\*")?\]{0,2})"#;

/// The reference names every key, so that a new one cannot be forgotten there.
#[test]
fn the_reference_has_every_key() {
    let reference = include_str!("../../../../docs/plugin-manifest.md");
    let keys = crate::manifest_file::KEYS
        .iter()
        .chain(crate::manifest_file::LIMIT_KEYS);
    for key in keys.chain(crate::capability_toml::KEYS) {
        assert!(
            reference.contains(&format!("`{key}`")),
            "`{key}` is missing in docs/plugin-manifest.md"
        );
    }
    let example = reference
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    parse(example.expect("there is an example")).expect("the example is right");
}
