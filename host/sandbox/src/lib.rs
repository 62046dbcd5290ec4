//! Runs a command inside a sandbox, or not at all.
//!
//! The caller describes what a command may do ([`SandboxPolicy`]); a [`Sandbox`] prepares a command so that it enters
//! those limits between `fork` and `exec`. Where the kernel cannot enforce them, preparing fails with the reason: a
//! command is never run with less than was asked for.
//!
//! # What holds a command on Linux
//!
//! 1. **A mount namespace of its own** (in a user namespace, or directly where the host is privileged): every mount is
//!    read-only except the writable roots, and protected paths (`.git`, `.codex`, `.agents`, `.aws`, plugin files) are
//!    mounted read-only on themselves. A mount point can be neither renamed nor removed, and so that no directory
//!    above one can be moved away either, every directory between a writable root and a protected path is made a
//!    mount point too. This layer also stops changes of modes, owners, times and extended attributes, which Landlock
//!    does not know.
//! 2. **Landlock**: reading everywhere, writing only beneath the writable roots, no tracing of processes outside, and
//!    where the kernel has them no TCP, and no signals or abstract sockets across the border.
//! 3. **seccomp**: no sockets but connected pairs while the network is off, no tracing, no namespaces, no mounts, no
//!    io_uring, no kernel keyrings, no BPF.
//! 4. `no_new_privs` and a reduced set of capabilities.
//!
//! # A protected path that does not exist yet
//!
//! Nothing can be mounted on a name that is not there, and Landlock cannot subtract a name from a directory. So while a
//! [`Sandbox`] that may write lives, such a name is held by an empty directory, which goes away with the sandbox. After
//! a crash it is recognised and removed by the next one. Such a directory has the mode `0711`; git ignores it.
//!
//! # Without a mount namespace
//!
//! Some containers, and hosts that restrict user namespaces, forbid it. Then Landlock stands alone. Read-only works the
//! same, with the calls that change metadata denied. Under workspace-write the right to write is given to each entry of
//! a root that holds no protected path, so entries directly in the root can be changed but not added, renamed or
//! removed, and modes and times of files outside can be changed by their owner. [`SandboxStatus`] says so in words.

#![cfg_attr(
    test,
    expect(
        clippy::unwrap_used,
        clippy::panic,
        reason = "a test fails by panicking"
    )
)]

mod error;
mod launch;
mod layout;
#[cfg(target_os = "linux")]
mod linux;
mod policy;
mod safe_dir;
mod sandbox;
mod status;
#[cfg(not(target_os = "linux"))]
mod unsupported;

pub use error::{StartError, Unavailable};
pub use launch::Launch;
pub use layout::{Layout, WriteDenied};
pub use policy::{PROTECTED_NAMES, SandboxMode, SandboxPolicy};
pub use safe_dir::open_directory;
pub use sandbox::{Family, Prepared, Process, Sandbox, kill_by_environment};
pub use status::{Isolation, SandboxStatus, status};
