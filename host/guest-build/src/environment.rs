//! The environment of build scripts: what to read from it, and what guests must not inherit.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::Failure;

/// Flags, wrappers and settings that cargo or the user meant for the host's build. Variables that describe the
/// package being built (`CARGO_PKG_…`, `CARGO_CFG_…`) do no harm: the nested cargo sets its own.
const HOST_ONLY: &[&str] = &[
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CARGO_INCREMENTAL",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "RUSTC_LINKER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
    "__CARGO_DEFAULT_LIB_METADATA",
];

/// Prefixes of variables that set cargo's configuration, which was the host's.
const HOST_ONLY_PREFIXES: &[&str] = &["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_UNSTABLE_"];

/// Removes from a command's environment what was meant for the host.
pub(crate) fn scrub(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let known = name.to_str().unwrap_or_default();
        if HOST_ONLY.contains(&known) || HOST_ONLY_PREFIXES.iter().any(|p| known.starts_with(p)) {
            command.env_remove(&name);
        }
    }
}

/// A variable that cargo sets for build scripts.
pub(crate) fn path(name: &str) -> Result<PathBuf, Failure> {
    let value = env::var_os(name).map(PathBuf::from);
    value.ok_or_else(|| {
        Failure(format!(
            "{name} is not set: this runs only in a build script"
        ))
    })
}

/// The cargo that runs the build script.
pub(crate) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The compiler that cargo uses.
pub(crate) fn rustc() -> OsString {
    env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}
