//! Builds guest components from a build script, in one nested run of cargo.
//!
//! ```no_run
//! // build.rs
//! let guests = dovetail_guest_build::build(&["dovetail-plugin-openai"]);
//! println!("cargo::rustc-env=GUESTS={}", guests.display());
//! ```
//!
//! The nested run has a target directory of its own (two runs of cargo in one would wait for each other), which all
//! build scripts of the workspace share, so that what guests have in common is compiled once. It sees none of the
//! flags and wrappers that were meant for the host.

#![expect(
    clippy::print_stdout,
    reason = "build scripts talk to cargo on standard output"
)]

mod environment;
mod target;
mod workspace;

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

use workspace::Workspace;

/// What guests are built for.
pub const TARGET: &str = "wasm32-wasip2";

/// The profile in the workspace's manifest.
const PROFILE: &str = "plugin";

/// A directory of ready-made components, `<package>.wasm` each, to use instead of building. For packagers, and for
/// machines without the target.
pub const PREBUILT_VARIABLE: &str = "DOVETAIL_PREBUILT_PLUGINS";

/// Builds packages of the workspace and returns a directory that holds `<package>.wasm` for each. Cargo runs the
/// build script again when one of them, the SDK or the contract changes.
///
/// Whatever fails ends the build script with `cargo::error` lines that say what to do.
pub fn build(packages: &[&str]) -> PathBuf {
    or_exit(try_build(packages))
}

/// Builds packages of the workspace for this machine and returns a directory that holds `<package>.so` for each: native
/// plugins, as [`build`] does components.
pub fn build_native(packages: &[&str]) -> PathBuf {
    or_exit(try_build_native(packages))
}

fn or_exit(built: Result<PathBuf, Failure>) -> PathBuf {
    match built {
        Ok(directory) => directory,
        Err(failure) => {
            for line in failure.to_string().lines() {
                println!("cargo::error={line}");
            }
            exit(1)
        }
    }
}

/// Why there are no components, with what to do about it.
#[derive(Debug)]
struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn try_build(packages: &[&str]) -> Result<PathBuf, Failure> {
    println!("cargo::rerun-if-env-changed={PREBUILT_VARIABLE}");
    if let Some(directory) = std::env::var_os(PREBUILT_VARIABLE) {
        return prebuilt(PathBuf::from(directory), packages);
    }
    let out = environment::path("OUT_DIR")?;
    let workspace = Workspace::around(&environment::path("CARGO_MANIFEST_DIR")?)?;
    workspace.watch(packages)?;
    target::ensure()?;
    let target_dir = target_dir(&out)?;
    let arguments = ["--profile", PROFILE, "--target", TARGET];
    run_cargo(&workspace, &target_dir, packages, &arguments)?;
    let guests = out.join("guests");
    let file = |package: &str| format!("{}.wasm", package.replace('-', "_"));
    collect(
        &target_dir.join(TARGET).join(PROFILE),
        file,
        &guests,
        "wasm",
        packages,
    )?;
    Ok(guests)
}

fn try_build_native(packages: &[&str]) -> Result<PathBuf, Failure> {
    let out = environment::path("OUT_DIR")?;
    let workspace = Workspace::around(&environment::path("CARGO_MANIFEST_DIR")?)?;
    workspace.watch(packages)?;
    let target_dir = target_dir(&out)?;
    let arguments = ["--config", "profile.dev.debug=false"];
    run_cargo(&workspace, &target_dir, packages, &arguments)?;
    let guests = out.join("native-guests");
    let file = |package: &str| format!("{DLL_PREFIX}{}{DLL_SUFFIX}", package.replace('-', "_"));
    collect(&target_dir.join("debug"), file, &guests, "so", packages)?;
    Ok(guests)
}

fn prebuilt(directory: PathBuf, packages: &[&str]) -> Result<PathBuf, Failure> {
    for package in packages {
        let file = directory.join(format!("{package}.wasm"));
        if !file.is_file() {
            let text = format!(
                "{PREBUILT_VARIABLE} is set, but {} is no file",
                file.display()
            );
            return Err(Failure(text));
        }
        println!("cargo::rerun-if-changed={}", file.display());
    }
    Ok(directory)
}

/// `<target>/guests`, from `<target>/<profile>/build/<package>/out`.
fn target_dir(out: &Path) -> Result<PathBuf, Failure> {
    let build = out.ancestors().find(|path| path.ends_with("build"));
    let target = build.and_then(Path::parent).and_then(Path::parent);
    let target =
        target.ok_or_else(|| Failure(format!("no target directory around {}", out.display())))?;
    Ok(target.join("guests"))
}

fn run_cargo(
    workspace: &Workspace,
    target_dir: &Path,
    packages: &[&str],
    arguments: &[&str],
) -> Result<(), Failure> {
    let mut cargo = Command::new(environment::cargo());
    environment::scrub(&mut cargo);
    cargo.current_dir(workspace.root());
    cargo.args(["build", "--locked"]).args(arguments);
    cargo.arg("--target-dir").arg(target_dir);
    for package in packages {
        cargo.args(["--package", package]);
    }
    let output = cargo
        .output()
        .map_err(|error| Failure(format!("could not run cargo: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let by_hand: String = packages
        .iter()
        .map(|package| format!(" -p {package}"))
        .collect();
    Err(Failure(format!(
        "the guests do not build; by hand: cargo build --locked {}{by_hand}\n{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim_end()
    )))
}

/// Copies the components, leaving files alone that are the same already.
fn collect(
    built: &Path,
    file: impl Fn(&str) -> String,
    guests: &Path,
    suffix: &str,
    packages: &[&str],
) -> Result<(), Failure> {
    let fail = |what: &str, path: &Path, error: std::io::Error| {
        Failure(format!("could not {what} {}: {error}", path.display()))
    };
    fs::create_dir_all(guests).map_err(|error| fail("make", guests, error))?;
    for package in packages {
        let from = built.join(file(package));
        let to = guests.join(format!("{package}.{suffix}"));
        let component = fs::read(&from).map_err(|error| fail("read", &from, error))?;
        if fs::read(&to).is_ok_and(|old| old == component) {
            continue;
        }
        fs::write(&to, component).map_err(|error| fail("write", &to, error))?;
    }
    Ok(())
}
