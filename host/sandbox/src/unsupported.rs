//! Systems without a sandbox: only `danger-full-access` can run commands there.

use std::io;
use std::process::Command;

use crate::error::{StartError, Unavailable};
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

impl Entry {
    pub(crate) fn attach(self, _command: &mut Command) -> Entered {
        match self {}
    }
}

pub(crate) enum Entered {}

impl Entered {
    pub(crate) fn explain(&self, _error: io::Error) -> StartError {
        match *self {}
    }
}

pub(crate) fn status() -> SandboxStatus {
    SandboxStatus::Unavailable {
        reason: Unavailable::System(std::env::consts::OS).to_string(),
    }
}
