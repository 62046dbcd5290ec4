//! What this kernel lets us do, tried once per process.

use std::io;
use std::sync::OnceLock;

use super::progress::{Progress, Step};
use super::{capabilities, sys};
use crate::error::Unavailable;
use crate::status::{Isolation, SandboxStatus};

/// Landlock versions below this cannot stop `truncate`.
const ABI_WITH_TRUNCATE: u32 = 3;

/// How a mount namespace is made.
#[derive(Debug, Clone, Copy)]
pub(super) enum Namespaces {
    /// Directly: the host is privileged.
    Privileged,
    /// Inside a user namespace that maps this user and group to themselves.
    User(IdMaps),
}

/// The two lines for `/proc/self/uid_map` and `gid_map`.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdMaps {
    user: MapLine,
    group: MapLine,
}

/// `<id> <id> 1`, without allocation.
#[derive(Debug, Clone, Copy)]
struct MapLine {
    text: [u8; 32],
    len: usize,
}

impl MapLine {
    fn new(id: u32) -> Self {
        let line = format!("{id} {id} 1");
        let mut text = [0; 32];
        // Two ids of at most ten digits and four more characters fit.
        text[..line.len()].copy_from_slice(line.as_bytes());
        Self {
            text,
            len: line.len(),
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }
}

impl Namespaces {
    pub(super) fn user() -> Self {
        // SAFETY: neither call can fail or touches memory.
        let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        Self::User(IdMaps {
            user: MapLine::new(user),
            group: MapLine::new(group),
        })
    }

    /// Moves the calling process into new namespaces. Runs in the child: allocates nothing.
    pub(super) fn enter(self, progress: &Progress) -> io::Result<()> {
        progress.begin(Step::Namespaces);
        match self {
            Self::Privileged => sys::unshare(libc::CLONE_NEWNS),
            Self::User(maps) => {
                sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
                progress.begin(Step::Identity);
                // Without this, an unprivileged process may not map its group.
                sys::write_file(c"/proc/self/setgroups", b"deny")?;
                sys::write_file(c"/proc/self/uid_map", maps.user.bytes())?;
                sys::write_file(c"/proc/self/gid_map", maps.group.bytes())
            }
        }
    }

    fn isolation(self) -> Isolation {
        match self {
            Self::Privileged => Isolation::MountNamespace,
            Self::User(_) => Isolation::UserNamespace,
        }
    }
}

/// What was found.
pub(super) struct Support {
    pub(super) landlock_abi: u32,
    /// How to make a mount namespace, or why none can be made.
    pub(super) isolation: Result<Namespaces, String>,
}

/// What this kernel offers.
pub(super) fn support() -> Result<&'static Support, Unavailable> {
    static SUPPORT: OnceLock<Support> = OnceLock::new();
    if let Some(support) = SUPPORT.get() {
        return Ok(support);
    }
    let found = find_support()?;
    Ok(SUPPORT.get_or_init(|| found))
}

fn find_support() -> Result<Support, Unavailable> {
    let landlock_abi = sys::landlock_abi().map_err(|_| Unavailable::NoLandlock)?;
    match find_namespaces() {
        Err(namespaces) if landlock_abi < ABI_WITH_TRUNCATE => Err(Unavailable::LandlockTooOld {
            abi: landlock_abi,
            namespaces,
        }),
        isolation => Ok(Support {
            landlock_abi,
            isolation,
        }),
    }
}

fn find_namespaces() -> Result<Namespaces, String> {
    // A host that cannot read its capabilities is treated as having none.
    if capabilities::may_mount().unwrap_or(false) && try_in_child(Namespaces::Privileged).is_ok() {
        return Ok(Namespaces::Privileged);
    }
    let user = Namespaces::user();
    try_in_child(user).map(|()| user)
}

/// Makes the namespaces in a child process that ends right after; says what failed.
fn try_in_child(namespaces: Namespaces) -> Result<(), String> {
    let progress = Progress::new().map_err(|error| error.to_string())?;
    // SAFETY: the child makes system calls only, allocates nothing, and leaves by `_exit`.
    let child = match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error().to_string()),
        0 => {
            if let Err(error) = rehearse(namespaces, &progress) {
                progress.fail(&error);
            }
            // SAFETY: ends this process without running anything of the parent's.
            unsafe { libc::_exit(0) }
        }
        child => child,
    };
    loop {
        // SAFETY: no status is asked for.
        match sys::check(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }.into()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Where children are reaped elsewhere this fails once it has ended; what it found is in shared memory.
            Ok(_) | Err(_) => break,
        }
    }
    match (progress.failure(), progress.step()) {
        (None, Step::Inside) => Ok(()),
        (None, step) => Err(format!("{}: the trial did not finish", step.words())),
        (Some(error), step) => Err(format!("{}: {error}", step.words())),
    }
}

fn rehearse(namespaces: Namespaces, progress: &Progress) -> io::Result<()> {
    namespaces.enter(progress)?;
    progress.begin(Step::Propagation);
    sys::mount(None, c"/", None, libc::MS_REC | libc::MS_PRIVATE, None)?;
    progress.begin(Step::Roots);
    let tree = sys::clone_tree(c"/dev")?;
    progress.begin(Step::ReadOnly);
    sys::set_read_only(libc::AT_FDCWD, c"/")?;
    progress.begin(Step::Protect);
    sys::move_tree(tree, c"/dev")?;
    progress.begin(Step::Inside);
    Ok(())
}

pub(crate) fn status() -> SandboxStatus {
    match support() {
        Ok(support) => SandboxStatus::Available {
            landlock_abi: support.landlock_abi,
            isolation: match &support.isolation {
                Ok(namespaces) => namespaces.isolation(),
                Err(why) => Isolation::LandlockOnly(why.clone()),
            },
        },
        Err(error) => SandboxStatus::Unavailable {
            reason: error.to_string(),
        },
    }
}
