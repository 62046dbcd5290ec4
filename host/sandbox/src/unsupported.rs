//! Systems without a sandbox: no command can be run there yet.

use std::convert::Infallible;
use std::io;
use std::process::ExitStatus;

use crate::error::{StartError, Unavailable};
use crate::launch::Launch;
use crate::policy::SandboxPolicy;
use crate::status::SandboxStatus;

pub(crate) struct Keeper;

impl Keeper {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn prepare(&self, _policy: &SandboxPolicy) -> Result<Entry, Unavailable> {
        Err(Unavailable::System(std::env::consts::OS))
    }

    pub(crate) fn close(&self) {}
}

pub(crate) enum Entry {}

/// A started command; there is none.
#[derive(Debug)]
pub struct Process(Infallible);

impl Process {
    /// The process id.
    pub fn id(&self) -> u32 {
        match self.0 {}
    }

    /// How it ended, if it has ended.
    ///
    /// # Errors
    /// None.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        match self.0 {}
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// None.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        match self.0 {}
    }
}

/// The descendants of a command; there are none.
#[derive(Debug)]
pub struct Family;

impl Family {
    /// Finds the descendants.
    pub fn of(_leader: u32) -> Self {
        Self
    }

    /// Kills them.
    pub fn kill(&self) {}
}

/// Kills every process whose environment has all of these variables.
pub fn kill_by_environment(_variables: &[(&str, &str)]) {}

pub(crate) fn spawn(_launch: &Launch<'_>, _entry: Option<Entry>) -> Result<Process, StartError> {
    Err(StartError::Program(io::ErrorKind::Unsupported.into()))
}

pub(crate) fn status() -> SandboxStatus {
    SandboxStatus::Unavailable {
        reason: Unavailable::System(std::env::consts::OS).to_string(),
    }
}
