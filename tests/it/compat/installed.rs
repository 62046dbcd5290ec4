//! Where the npm packages are: where a variable says, or in the cache folder of `.ci/run`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// What a test needs and does not find.
pub(crate) type Missing = String;

/// The `node_modules` directory that holds the SDK.
pub(crate) fn sdk() -> Result<PathBuf, Missing> {
    works(Command::new("node").arg("--version"), "node")?;
    let modules = directory("DOVETAIL_CODEX_SDK", "npm/sdk/node_modules")?;
    let entry = modules.join("@openai/codex-sdk/dist/index.js");
    match entry.is_file() {
        true => Ok(modules),
        false => Err(format!("`{}` is missing", entry.display())),
    }
}

/// The program whose rollouts we read and that reads ours.
pub(crate) fn codex() -> Result<PathBuf, Missing> {
    let program = directory("DOVETAIL_CODEX_BIN", "npm/codex/node_modules/.bin/codex")?;
    works(
        Command::new(&program).arg("--version"),
        &program.display().to_string(),
    )?;
    Ok(program)
}

pub(crate) fn directory(variable: &str, in_cache: &str) -> Result<PathBuf, Missing> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = set("DOVETAIL_CI_CACHE").or_else(|| {
        let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
        Some(caches.join("dovetail-ci"))
    });
    let path = set(variable).or_else(|| Some(cache?.join(in_cache)));
    let path = path.ok_or_else(|| format!("neither {variable} nor HOME is set"))?;
    match path.exists() {
        true => Ok(path),
        false => Err(format!(
            "`{}` is missing ({variable} may name another place)",
            path.display()
        )),
    }
}

pub(crate) fn works(command: &mut Command, name: &str) -> Result<(), Missing> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("`{name}` does not work: {}", output.status)),
        Err(error) => Err(format!("`{name}` cannot be run: {error}")),
    }
}

/// Says that a test was not run. Past the capture of test output, so that nobody takes silence for a pass.
pub(crate) fn not_run(test: &str, why: &Missing) {
    let line = format!("not run: {test}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
