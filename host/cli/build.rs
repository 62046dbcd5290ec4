//! Builds the plugins that are part of the binary and writes the tables that embed them.

use std::fmt::Write;
use std::path::Path;

/// Plugins that are there without being installed: id, package, folder.
const BUILTINS: &[Guest] = &[
    Guest {
        id: "openai",
        package: "dovetail-plugin-openai",
        folder: "plugins/openai",
    },
    Guest {
        id: "command-auth",
        package: "dovetail-plugin-command-auth",
        folder: "plugins/command-auth",
    },
    Guest {
        id: "bedrock",
        package: "dovetail-plugin-bedrock",
        folder: "plugins/bedrock",
    },
    Guest {
        id: "chat-completions",
        package: "dovetail-plugin-chat-completions",
        folder: "plugins/chat-completions",
    },
    Guest {
        id: "messages",
        package: "dovetail-plugin-messages",
        folder: "plugins/messages",
    },
    Guest {
        id: "jsonl-sink",
        package: "dovetail-plugin-jsonl-sink",
        folder: "plugins/jsonl-sink",
    },
];

/// Examples that the demo installs into its temporary home.
const DEMO: &[Guest] = &[
    Guest {
        id: "no-rm",
        package: "dovetail-example-hook-deny",
        folder: "examples/hook-deny",
    },
    Guest {
        id: "notes",
        package: "dovetail-example-notes-tools",
        folder: "examples/notes-tools",
    },
];

struct Guest {
    id: &'static str,
    package: &'static str,
    folder: &'static str,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let packages: Vec<&str> = BUILTINS
        .iter()
        .chain(DEMO)
        .map(|guest| guest.package)
        .collect();
    let components = dovetail_guest_build::build(&packages);
    // Asked when it runs: a target directory that several checkouts share keeps one build script for all of them.
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?)
        .join("../..")
        .canonicalize()?;
    let mut code = String::new();
    table(
        &mut code,
        "BUILTINS",
        "Plugins that are part of the host.",
        BUILTINS,
        &root,
        &components,
    )?;
    table(
        &mut code,
        "DEMO",
        "Plugins that the demo installs.",
        DEMO,
        &root,
        &components,
    )?;
    std::fs::write(
        Path::new(&std::env::var("OUT_DIR")?).join("builtins.rs"),
        code,
    )?;
    Ok(())
}

fn table(
    code: &mut String,
    name: &str,
    summary: &str,
    guests: &[Guest],
    root: &Path,
    components: &Path,
) -> std::fmt::Result {
    writeln!(code, "/// {summary}\npub static {name}: &[Builtin] = &[")?;
    for Guest {
        id,
        package,
        folder,
    } in guests
    {
        let manifest = root.join(folder).join("plugin.toml");
        let wasm = components.join(format!("{package}.wasm"));
        writeln!(code, "    Builtin {{")?;
        writeln!(code, "        id: {id:?},")?;
        writeln!(code, "        manifest: include_str!({manifest:?}),")?;
        writeln!(code, "        wasm: include_bytes!({wasm:?}),")?;
        writeln!(code, "    }},")?;
    }
    writeln!(code, "];")
}
