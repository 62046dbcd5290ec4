//! A native plugin in C, compiled when a test needs it: what is wrong with it is a matter of definitions.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::guests::Guest;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Its `plugin.toml`.
pub const CRUDE_MANIFEST: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/native/plugin.toml"));

/// Compiles `tests/native/crude.c` with more arguments, such as `-DABI=2`. Needs `cc`, as Rust's own linker does.
pub fn crude(arguments: &[&str]) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let out = dir.path().join("crude.so");
    let root = Path::new(ROOT);
    let compiled = Command::new("cc")
        .args([
            "-shared",
            "-fPIC",
            "-D_GNU_SOURCE",
            "-Wall",
            "-Werror",
            "-I",
        ])
        .arg(root.join("plugin-api/native/include"))
        .args(arguments)
        .arg(root.join("tests/native/crude.c"))
        .arg("-o")
        .arg(&out)
        .output()
        .expect("cc can be run");
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    fs::read(out).expect("it was compiled")
}

/// The same as something to install. Leaked, as guests live as long as the test program.
pub fn crude_guest(arguments: &[&str]) -> Guest {
    Guest {
        id: "crude",
        manifest: CRUDE_MANIFEST,
        wasm: crude(arguments).leak(),
    }
}
