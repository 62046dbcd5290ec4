//! The sandbox on Linux. `Keeper` decides and prepares in the parent; `Entry` acts in the child.

mod capabilities;
mod enter;
mod family;
mod filter;
mod leftovers;
mod look_up;
mod mounts;
mod process;
mod progress;
mod reserve;
mod ruleset;
mod spawn;
mod support;
mod sys;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::Unavailable;
use crate::policy::{SandboxMode, SandboxPolicy};

pub(crate) use enter::Entry;
pub use family::{Family, kill_by_environment};
use filter::Denials;
use mounts::MountPlan;
pub use process::Process;
use reserve::Reservations;
pub(crate) use spawn::spawn;
pub(crate) use support::status;
pub(crate) use sys::open_directory;

/// What outlives single commands: the held names, and the mark that commands' namespaces carry.
pub(crate) struct Keeper {
    mark: CString,
    reservations: Mutex<Reservations>,
    used: AtomicBool,
}

impl Keeper {
    pub(crate) fn new() -> Self {
        Self {
            mark: leftovers::new_mark(),
            reservations: Mutex::new(Reservations::default()),
            used: AtomicBool::new(false),
        }
    }

    pub(crate) fn prepare(&self, policy: &SandboxPolicy) -> Result<Entry, Unavailable> {
        let support = support::support()?;
        let layout = policy.layout();
        let plan = match &support.isolation {
            Ok(isolation) => {
                let mut reservations = self
                    .reservations
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                let protected = reservations.hold_missing(layout.protected(), layout.roots())?;
                self.used.store(true, Ordering::Relaxed);
                Some(MountPlan::new(
                    *isolation,
                    layout.roots(),
                    &protected,
                    &policy.cwd,
                    &self.mark,
                )?)
            }
            Err(_) => None,
        };
        let denials = Denials {
            network: !policy.network_allowed(),
            metadata: plan.is_none() && policy.mode == SandboxMode::ReadOnly,
        };
        let ruleset = ruleset::build(&layout, denials.network, plan.is_some())?;
        let filter = filter::program(denials)?;
        Entry::new(plan, ruleset, filter)
    }

    pub(crate) fn close(&self) {
        if self.used.load(Ordering::Relaxed) {
            leftovers::end(&self.mark);
            let mut reservations = self
                .reservations
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            drop(std::mem::take(&mut *reservations));
        }
    }
}

/// A path for a system call made after `fork`, when nothing may be allocated.
fn c_path(path: &Path) -> Result<CString, Unavailable> {
    CString::new(path.as_os_str().as_bytes()).map_err(|error| Unavailable::SetUp {
        what: format!("`{}`", path.display()),
        source: Box::new(error),
    })
}

fn set_up(
    what: impl Into<String>,
) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> Unavailable {
    let what = what.into();
    move |source| Unavailable::SetUp { what, source }
}

/// Whether `path` is `other` or lies below it, but is not `other`.
fn strictly_inside(path: &Path, other: &PathBuf) -> bool {
    path != other && path.starts_with(other)
}

#[cfg(test)]
mod tests;
