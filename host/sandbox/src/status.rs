//! What this machine can enforce, for people.

use std::fmt;

#[cfg(target_os = "linux")]
use crate::linux as system;
#[cfg(not(target_os = "linux"))]
use crate::unsupported as system;

/// How protected paths and file metadata are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// A mount namespace inside a user namespace.
    UserNamespace,
    /// A mount namespace, which a privileged host makes directly.
    MountNamespace,
    /// None can be made; why.
    LandlockOnly(String),
}

/// What can be enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SandboxStatus {
    /// Commands can be run in the sandbox.
    Available {
        /// The Landlock version.
        landlock_abi: u32,
        /// How the rest is kept.
        isolation: Isolation,
    },
    /// Commands are refused except under `danger-full-access`.
    Unavailable {
        /// Why.
        reason: String,
    },
}

impl SandboxStatus {
    /// Whether commands can be run in the sandbox.
    pub fn is_available(&self) -> bool {
        matches!(self, Self::Available { .. })
    }

    /// What is weaker or stricter here than elsewhere, in a sentence.
    pub fn limit(&self) -> Option<String> {
        match self {
            Self::Available {
                isolation: Isolation::LandlockOnly(why),
                ..
            } => Some(format!(
                "no mount namespace ({why}): under workspace-write, entries directly in a writable root cannot be \
                 added, renamed or removed, and modes and times of your files outside are not protected"
            )),
            Self::Available { .. } | Self::Unavailable { .. } => None,
        }
    }
}

impl fmt::Display for SandboxStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Available {
                landlock_abi,
                isolation,
            } => {
                write!(f, "landlock ABI {landlock_abi}, seccomp, ")?;
                match isolation {
                    Isolation::UserNamespace | Isolation::MountNamespace => {
                        f.write_str("mount namespace, ")?
                    }
                    Isolation::LandlockOnly(_) => {}
                }
                f.write_str("network off in read-only and workspace-write")
            }
            Self::Unavailable { reason } => write!(f, "unavailable: {reason}"),
        }
    }
}

/// Finds out what this machine can enforce. The first call tries it in a child process (under a millisecond); later
/// ones remember.
pub fn status() -> SandboxStatus {
    system::status()
}
