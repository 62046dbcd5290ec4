//! Builds the guests that the tests run: examples, and some that misbehave.

use std::fmt::Write as _;
use std::path::Path;

/// Constant, id, package, folder.
const GUESTS: &[(&str, &str, &str, &str)] = &[
    (
        "ACME",
        "acme",
        "dovetail-example-provider-header",
        "examples/provider-header",
    ),
    (
        "NO_RM",
        "no-rm",
        "dovetail-example-hook-deny",
        "examples/hook-deny",
    ),
    (
        "REWRITE",
        "push-dry-run",
        "dovetail-example-hook-rewrite",
        "examples/hook-rewrite",
    ),
    (
        "NOTES",
        "notes",
        "dovetail-example-notes-tools",
        "examples/notes-tools",
    ),
    (
        "COUNTER",
        "event-counter",
        "dovetail-example-event-counter",
        "examples/event-counter",
    ),
    (
        "BEDROCK",
        "bedrock",
        "dovetail-plugin-bedrock",
        "plugins/bedrock",
    ),
    (
        "MISBEHAVER",
        "misbehaver",
        "dovetail-guest-misbehaver",
        "tests/guests/misbehaver",
    ),
    (
        "OLD_CONTRACT",
        "old-contract",
        "dovetail-guest-old-contract",
        "tests/guests/old-contract",
    ),
    (
        "WIRE_BREAKER",
        "wire-breaker",
        "dovetail-guest-wire-breaker",
        "tests/guests/wire-breaker",
    ),
    (
        "TOO_GREEDY",
        "too-greedy",
        "dovetail-guest-too-greedy",
        "tests/guests/too-greedy",
    ),
    (
        "WEB_CALLER",
        "web-caller",
        "dovetail-guest-web-caller",
        "tests/guests/web-caller",
    ),
    ("ECHO", "echo", "dovetail-guest-echo", "tests/guests/echo"),
];

/// The same for native ones.
const NATIVE_GUESTS: &[(&str, &str, &str, &str)] = &[
    (
        "AGENT_SIGNER",
        "agent-signer",
        "dovetail-example-agent-signer",
        "examples/agent-signer",
    ),
    (
        "MOODY",
        "moody",
        "dovetail-guest-native-moody",
        "tests/guests/native-moody",
    ),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let packages = |guests: &[(_, _, &'static str, _)]| -> Vec<&str> {
        guests.iter().map(|(_, _, package, _)| *package).collect()
    };
    let components = dovetail_guest_build::build(&packages(GUESTS));
    let libraries = dovetail_guest_build::build_native(&packages(NATIVE_GUESTS));
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?)
        .join("..")
        .canonicalize()?;
    let mut code = String::new();
    let components = GUESTS.iter().map(|guest| (guest, &components, "wasm"));
    let libraries = NATIVE_GUESTS.iter().map(|guest| (guest, &libraries, "so"));
    for ((name, id, package, folder), built, suffix) in components.chain(libraries) {
        let manifest = root.join(folder).join("plugin.toml");
        let wasm = built.join(format!("{package}.{suffix}"));
        writeln!(
            code,
            "/// `{folder}`.\npub const {name}: Guest = Guest {{ id: {id:?}, manifest: include_str!({manifest:?}), wasm: include_bytes!({wasm:?}) }};"
        )?;
    }
    std::fs::write(
        Path::new(&std::env::var("OUT_DIR")?).join("guests.rs"),
        code,
    )?;
    Ok(())
}
