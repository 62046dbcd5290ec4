//! The sandbox of a session: prepares its commands, and cleans up after the last one.

#[cfg(target_os = "linux")]
use crate::linux as system;
#[cfg(not(target_os = "linux"))]
use crate::unsupported as system;

use crate::error::{StartError, Unavailable};
use crate::launch::Launch;
use crate::layout::Layout;
use crate::policy::{SandboxMode, SandboxPolicy};
pub use system::{Family, Process, kill_by_environment};

/// Runs commands under one policy. Keep it as long as any of them may run: missing protected names are held only while
/// it lives.
pub struct Sandbox {
    policy: SandboxPolicy,
    keeper: system::Keeper,
}

impl Sandbox {
    /// Makes a sandbox. Nothing is checked or changed before the first command.
    pub fn new(policy: SandboxPolicy) -> Self {
        Self {
            policy,
            keeper: system::Keeper::new(),
        }
    }

    /// The policy.
    pub fn policy(&self) -> &SandboxPolicy {
        &self.policy
    }

    /// The policy in terms of the file system as it is now.
    pub fn layout(&self) -> Layout {
        self.policy.layout()
    }

    /// Does everything that can be done before `fork`, for one command.
    ///
    /// # Errors
    /// Says what the kernel or the file system lacks; the command must then not be run.
    pub fn prepare(&self) -> Result<Prepared, Unavailable> {
        match self.policy.mode {
            SandboxMode::DangerFullAccess => Ok(Prepared(None)),
            SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite { .. } => self
                .keeper
                .prepare(&self.policy)
                .map(|entry| Prepared(Some(entry))),
        }
    }

    /// Kills what commands of this sandbox left running, even in sessions of their own, and lets the held names go.
    /// For the end of a session; commands prepared later hold them again.
    pub fn close(&self) {
        self.keeper.close();
    }
}

/// A way into the sandbox for one command.
pub struct Prepared(Option<system::Entry>);

impl Prepared {
    /// Starts a command, which enters the sandbox right before its program runs.
    ///
    /// # Errors
    /// Tells whether it was the sandbox or the program that failed. Either way nothing was run.
    pub fn spawn(self, launch: &Launch<'_>) -> Result<Process, StartError> {
        system::spawn(launch, self.0)
    }
}
