//! The command's own view of the mounts, planned before `fork` and made after it.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use super::progress::{Progress, Step};
use super::support::Namespaces;
use super::{c_path, strictly_inside, sys};
use crate::error::Unavailable;

/// Shared memory and terminals of a command's own.
const SHM: &CStr = c"/dev/shm";
const PTS: &CStr = c"/dev/pts";
const PTMX: &CStr = c"/dev/ptmx";

/// Mounts to make, outer before inner.
pub(super) struct MountPlan {
    namespaces: Namespaces,
    /// Whether `/` itself is writable, so that only protected paths are read-only.
    open: bool,
    /// Writable roots that lie in no other; they are copied before everything becomes read-only.
    outer: Vec<(CString, RawFd)>,
    /// What lies inside those: further roots and directories that must not be moved away (writable), and protected
    /// paths (read-only).
    inner: Vec<(CString, Access)>,
    private_shm: bool,
    mark: CString,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Access {
    Write,
    Read,
}

/// Which private devices a namespace got.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PrivateDevices {
    pub(super) shm: bool,
    pub(super) pts: bool,
}

impl MountPlan {
    pub(super) fn new(
        namespaces: Namespaces,
        roots: &[PathBuf],
        protected: &[PathBuf],
        cwd: &Path,
        mark: &CStr,
    ) -> Result<Self, Unavailable> {
        let is_inner = |path: &Path| roots.iter().any(|root| strictly_inside(path, root));
        let (inner_roots, outer_roots): (Vec<&PathBuf>, Vec<&PathBuf>) =
            roots.iter().partition(|root| is_inner(root));
        // Sorted by depth; of two entries for one path the read-only one wins.
        let mut inner: BTreeMap<(usize, &Path), Access> = BTreeMap::new();
        let depth = |path: &Path| path.components().count();
        for place in inner_roots
            .iter()
            .map(|root| root.as_path())
            .chain(protected.iter().map(PathBuf::as_path))
        {
            for above in place.ancestors().skip(1).filter(|above| is_inner(above)) {
                inner.entry((depth(above), above)).or_insert(Access::Write);
            }
        }
        inner.extend(
            inner_roots
                .iter()
                .map(|root| ((depth(root), root.as_path()), Access::Write)),
        );
        inner.extend(
            protected
                .iter()
                .map(|path| ((depth(path), path.as_path()), Access::Read)),
        );
        let in_shm = |path: &Path| path.starts_with("/dev/shm");
        Ok(Self {
            namespaces,
            open: roots.iter().any(|root| root.parent().is_none()),
            outer: outer_roots
                .iter()
                .filter(|root| root.parent().is_some())
                .map(|root| Ok((c_path(root)?, -1)))
                .collect::<Result<_, Unavailable>>()?,
            inner: inner
                .into_iter()
                .map(|((_, path), access)| Ok((c_path(path)?, access)))
                .collect::<Result<_, Unavailable>>()?,
            private_shm: !in_shm(cwd) && !roots.iter().any(|root| in_shm(root)),
            mark: mark.to_owned(),
        })
    }

    /// Leaves `/dev/shm` as it is, for a command that works in it.
    pub(super) fn keep_shm(&mut self) {
        self.private_shm = false;
    }

    pub(super) fn namespaces(&self) -> Namespaces {
        self.namespaces
    }

    /// Makes the namespaces and the mounts. Runs in the child: allocates nothing.
    pub(super) fn enter(&mut self, progress: &Progress) -> io::Result<PrivateDevices> {
        self.namespaces.enter(progress)?;
        progress.begin(Step::Propagation);
        sys::mount(None, c"/", None, libc::MS_REC | libc::MS_PRIVATE, None)?;
        if !self.open {
            progress.begin(Step::Roots);
            for (path, tree) in &mut self.outer {
                *tree = sys::clone_tree(path)?;
            }
            progress.begin(Step::ReadOnly);
            sys::set_read_only(libc::AT_FDCWD, c"/")?;
            progress.begin(Step::Roots);
            for (path, tree) in &self.outer {
                sys::move_tree(*tree, path)?;
            }
        }
        progress.begin(Step::Protect);
        for (path, access) in &self.inner {
            let tree = sys::clone_tree(path)?;
            if *access == Access::Read {
                sys::set_read_only(tree, c"")?;
            }
            sys::move_tree(tree, path)?;
        }
        progress.begin(Step::Devices);
        Ok(self.mount_devices())
    }

    /// Mounts private devices. A host that lacks one goes without: Landlock then leaves the shared one read-only.
    fn mount_devices(&self) -> PrivateDevices {
        let shm_options = c"size=1g,mode=1777";
        let pts_options = c"ptmxmode=0666,mode=0620";
        let quiet = libc::MS_NOSUID | libc::MS_NODEV;
        let shm = self.private_shm
            && sys::mount(
                Some(&self.mark),
                SHM,
                Some(c"tmpfs"),
                quiet,
                Some(shm_options),
            )
            .is_ok();
        let silent = libc::MS_NOSUID | libc::MS_NOEXEC;
        let pts = sys::mount(
            Some(&self.mark),
            PTS,
            Some(c"devpts"),
            silent,
            Some(pts_options),
        )
        .is_ok()
            && sys::mount(Some(c"/dev/pts/ptmx"), PTMX, None, libc::MS_BIND, None).is_ok();
        PrivateDevices { shm, pts }
    }
}

impl PrivateDevices {
    /// Allows writing on them. Runs in the child, since they did not exist before.
    pub(super) fn allow(self, ruleset: RawFd, below: u64, device: u64) -> io::Result<()> {
        if self.shm {
            sys::landlock_allow(ruleset, SHM, below)?;
        }
        if self.pts {
            sys::landlock_allow(ruleset, PTS, device)?;
            sys::landlock_allow(ruleset, PTMX, device)?;
        }
        Ok(())
    }
}
