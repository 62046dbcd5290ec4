//! The standard library for the guests' target, added where it is missing.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{Failure, TARGET, environment};

/// Makes sure that the compiler can build for the target.
pub(crate) fn ensure() -> Result<(), Failure> {
    if is_installed()? {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup
        .args(add_arguments())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // Without rustup, or offline, what to do by hand is all that can be said.
    let why = match rustup.output() {
        Ok(output) if output.status.success() && is_installed()? => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("rustup could not be run: {error}"),
    };
    let by_hand = add_arguments().join(" ");
    Err(Failure(format!(
        "plugins are built for {TARGET}, which this Rust toolchain lacks, and adding it failed\n\
         {why}\n\
         run: rustup {by_hand}\n\
         or set {}=<directory of ready-made components>",
        crate::PREBUILT_VARIABLE
    )))
}

fn is_installed() -> Result<bool, Failure> {
    let mut rustc = Command::new(environment::rustc());
    environment::scrub(&mut rustc);
    let output = rustc
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| Failure(format!("could not run rustc: {error}")))?;
    // The path is printed whether or not there is something there.
    let directory = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(output.status.success() && directory.is_dir())
}

/// The target goes to the toolchain that is running, which need not be the default one.
fn add_arguments() -> Vec<String> {
    let mut arguments = vec!["target".to_owned(), "add".to_owned(), TARGET.to_owned()];
    if let Ok(toolchain) = env::var("RUSTUP_TOOLCHAIN") {
        arguments.extend(["--toolchain".to_owned(), toolchain]);
    }
    arguments
}
