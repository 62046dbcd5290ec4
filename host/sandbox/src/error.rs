//! Why a command was not run.

use std::io;
use std::path::PathBuf;

/// The sandbox cannot be enforced here, so nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// This operating system has no sandbox yet.
    #[error("there is no sandbox for {0} yet")]
    System(&'static str),
    /// The processor's system calls are not known.
    #[error("system calls cannot be filtered on {0}")]
    Architecture(&'static str),
    /// The kernel has no Landlock.
    #[error(
        "the kernel does not offer Landlock (Linux 5.13 or newer, with `landlock` among the active security modules)"
    )]
    NoLandlock,
    /// Landlock alone is too old to stop truncation, and there is no mount namespace to do it.
    #[error(
        "Landlock ABI {abi} cannot stop files from being truncated, and mount namespaces cannot be used: {namespaces}"
    )]
    LandlockTooOld {
        /// What the kernel has.
        abi: u32,
        /// Why there is no mount namespace.
        namespaces: String,
    },
    /// A part could not be set up.
    #[error("cannot set up {what}")]
    SetUp {
        /// Which part.
        what: String,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A path that must stay read-only cannot be kept so.
    #[error("cannot keep `{}` read-only", path.display())]
    Protect {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A prepared command did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The child could not enter the sandbox, and ended before running anything.
    #[error("the sandbox could not be entered ({step})")]
    Sandbox {
        /// What the child was doing.
        step: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program itself could not be started.
    #[error("the program could not be started")]
    Program(#[source] io::Error),
}
