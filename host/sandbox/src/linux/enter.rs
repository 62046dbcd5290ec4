//! The way in, walked by the child between `fork` and `exec`.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use super::capabilities::Capabilities;
use super::filter::Program;
use super::mounts::{MountPlan, PrivateDevices};
use super::progress::{Progress, Step};
use super::support::{self, Namespaces};
use super::{ruleset, set_up, sys};
use crate::error::Unavailable;

/// Everything a child needs, made before `fork`.
pub(crate) struct Entry {
    plan: Option<MountPlan>,
    capabilities: Capabilities,
    ruleset: OwnedFd,
    below_root: u64,
    device: u64,
    filter: Program,
}

impl Entry {
    pub(super) fn new(
        plan: Option<MountPlan>,
        ruleset: OwnedFd,
        filter: Program,
    ) -> Result<Self, Unavailable> {
        let abi = support::support()?.landlock_abi;
        let capabilities = match plan.as_ref().map(MountPlan::namespaces) {
            Some(Namespaces::User(_)) => Capabilities::NONE,
            Some(Namespaces::Privileged) | None => {
                Capabilities::kept().map_err(|error| set_up("capabilities")(Box::new(error)))?
            }
        };
        Ok(Self {
            plan,
            capabilities,
            ruleset,
            below_root: ruleset::kernel_bits(ruleset::below_root(), abi),
            device: ruleset::kernel_bits(ruleset::device(), abi),
            filter,
        })
    }

    /// Makes ready for a command that works in a directory.
    pub(super) fn working_in(mut self, directory: &Path) -> Self {
        if directory.starts_with("/dev/shm")
            && let Some(plan) = &mut self.plan
        {
            plan.keep_shm();
        }
        self
    }

    /// Walks in, and then to the working directory.
    pub(super) fn run(&mut self, directory: &CStr, progress: &Progress) -> io::Result<()> {
        progress.begin(Step::Descriptors);
        sys::close_others_on_exec()?;
        let devices = match &mut self.plan {
            Some(plan) => {
                let devices = plan.enter(progress)?;
                // The old working directory still leads to the mounts of before.
                progress.begin(Step::WorkingDirectory);
                sys::chdir(directory)?;
                devices
            }
            None => PrivateDevices::default(),
        };
        progress.begin(Step::Privileges);
        sys::no_new_privileges()?;
        self.capabilities.enter()?;
        progress.begin(Step::Landlock);
        let ruleset = self.ruleset.as_raw_fd();
        devices.allow(ruleset, self.below_root, self.device)?;
        sys::landlock_restrict(ruleset)?;
        progress.begin(Step::Filter);
        sys::install_filter(&self.filter)?;
        progress.begin(Step::Inside);
        Ok(())
    }
}
