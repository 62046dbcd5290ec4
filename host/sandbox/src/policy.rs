//! What a command may do.

use std::path::PathBuf;

use crate::layout::Layout;

/// Names directly under the working directory and under declared roots that commands may never write.
pub const PROTECTED_NAMES: [&str; 4] = [".git", ".codex", ".agents", ".aws"];

/// How far a command may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SandboxMode {
    /// Reads everything, writes nothing, no network.
    ReadOnly,
    /// Also writes in the working directory, the roots below and the places for temporary files.
    WorkspaceWrite {
        /// Directories that may be written besides the working directory.
        writable_roots: Vec<PathBuf>,
        /// Whether the network may be used.
        network_access: bool,
        /// Leaves `/tmp` read-only.
        exclude_slash_tmp: bool,
        /// Leaves the directory that `TMPDIR` names read-only.
        exclude_tmpdir: bool,
    },
    /// No sandbox.
    DangerFullAccess,
}

/// A mode, and the places it speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxPolicy {
    /// How far.
    pub mode: SandboxMode,
    /// The working directory, absolute: the first writable root under workspace-write.
    pub cwd: PathBuf,
    /// Paths that stay read-only wherever they lie, such as plugin directories. One that does not exist is kept from
    /// being made.
    pub protected: Vec<PathBuf>,
}

impl SandboxPolicy {
    /// Whether commands may use the network.
    pub fn network_allowed(&self) -> bool {
        match self.mode {
            SandboxMode::ReadOnly => false,
            SandboxMode::WorkspaceWrite { network_access, .. } => network_access,
            SandboxMode::DangerFullAccess => true,
        }
    }

    /// The mode's name as configuration spells it.
    pub fn mode_name(&self) -> &'static str {
        match self.mode {
            SandboxMode::ReadOnly => "read-only",
            SandboxMode::WorkspaceWrite { .. } => "workspace-write",
            SandboxMode::DangerFullAccess => "danger-full-access",
        }
    }

    /// The policy in terms of the file system as it is now.
    pub fn layout(&self) -> Layout {
        Layout::resolve(self)
    }
}
