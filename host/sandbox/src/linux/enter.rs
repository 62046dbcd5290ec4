//! The way in, walked by the child between `fork` and `exec`.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::capabilities::Capabilities;
use super::filter::Program;
use super::mounts::{MountPlan, PrivateDevices};
use super::progress::{Progress, Step};
use super::support::{self, Namespaces};
use super::{c_path, ruleset, set_up, sys};
use crate::error::{StartError, Unavailable};

/// Everything a child needs, made before `fork`.
pub(crate) struct Entry {
    plan: Option<MountPlan>,
    capabilities: Capabilities,
    ruleset: OwnedFd,
    below_root: u64,
    device: u64,
    filter: Program,
    working_directory: CString,
    progress: Arc<Progress>,
}

impl Entry {
    pub(super) fn new(
        plan: Option<MountPlan>,
        ruleset: OwnedFd,
        filter: Program,
        cwd: &Path,
    ) -> Result<Self, Unavailable> {
        let abi = support::support()?.landlock_abi;
        let capabilities = match plan.as_ref().map(MountPlan::namespaces) {
            Some(Namespaces::User(_)) => Capabilities::NONE,
            Some(Namespaces::Privileged) | None => {
                Capabilities::kept().map_err(|error| set_up("capabilities")(Box::new(error)))?
            }
        };
        let progress = Progress::new().map_err(|error| set_up("shared memory")(Box::new(error)))?;
        Ok(Self {
            plan,
            capabilities,
            ruleset,
            below_root: ruleset::kernel_bits(ruleset::below_root(), abi),
            device: ruleset::kernel_bits(ruleset::device(), abi),
            filter,
            working_directory: c_path(cwd)?,
            progress: Arc::new(progress),
        })
    }

    pub(crate) fn attach(mut self, command: &mut Command) -> Entered {
        if let Some(directory) = command.get_current_dir() {
            if directory.starts_with("/dev/shm")
                && let Some(plan) = &mut self.plan
            {
                plan.keep_shm();
            }
            // A path with a zero byte fails in the command's own `chdir`, before this one counts.
            if let Ok(directory) = c_path(directory) {
                self.working_directory = directory;
            }
        }
        let progress = Arc::clone(&self.progress);
        // SAFETY: `run` makes system calls only; it neither allocates nor takes locks.
        unsafe { command.pre_exec(move || self.run()) };
        Entered(progress)
    }

    fn run(&mut self) -> io::Result<()> {
        let progress = &*self.progress;
        progress.begin(Step::Descriptors);
        sys::close_others_on_exec()?;
        let devices = match &mut self.plan {
            Some(plan) => {
                let devices = plan.enter(progress)?;
                // The old working directory still leads to the mounts of before.
                progress.begin(Step::WorkingDirectory);
                sys::chdir(&self.working_directory)?;
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

/// Tells how far a child came.
pub(crate) struct Entered(Arc<Progress>);

impl Entered {
    pub(crate) fn explain(&self, error: io::Error) -> StartError {
        match self.0.step() {
            Step::Outside | Step::Inside => StartError::Program(error),
            step => StartError::Sandbox {
                step: step.words(),
                source: error,
            },
        }
    }
}
