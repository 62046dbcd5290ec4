//! The Landlock rules of a policy.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};

use super::{set_up, strictly_inside};
use crate::error::Unavailable;
use crate::layout::Layout;

/// The newest version whose rights we know and have tried. Older kernels take what they understand of it.
const NEWEST: ABI = ABI::V7;

/// Devices that programs expect to write to.
const DEVICES: [&str; 7] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
];

/// Everything below a writable root, except that no device nodes can be made.
pub(super) fn below_root() -> BitFlags<AccessFs> {
    AccessFs::from_all(NEWEST) & !(AccessFs::MakeChar | AccessFs::MakeBlock)
}

/// What a device needs.
pub(super) fn device() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev
}

/// Rights as bits that the running kernel knows, for rules added after `fork`.
pub(super) fn kernel_bits(access: BitFlags<AccessFs>, abi: u32) -> u64 {
    (access & AccessFs::from_all(ABI::from(i32::try_from(abi).unwrap_or(i32::MAX)).min(NEWEST)))
        .bits()
}

/// Builds the ruleset. With `mounts_protect`, protected paths are somebody else's care and a root is one rule.
pub(super) fn build(
    layout: &Layout,
    deny_network: bool,
    mounts_protect: bool,
) -> Result<OwnedFd, Unavailable> {
    let failed = |error: RulesetError| set_up("Landlock")(Box::new(error));
    let mut rules = Rules(create(deny_network).map_err(failed)?);
    rules
        .allow(Path::new("/"), AccessFs::from_read(NEWEST))
        .map_err(failed)?;
    for path in DEVICES {
        rules.allow(Path::new(path), device()).map_err(failed)?;
    }
    for root in layout.roots() {
        if mounts_protect {
            rules.allow(root, below_root()).map_err(failed)?;
        } else {
            rules
                .allow_around(root, layout.protected())
                .map_err(failed)?;
        }
    }
    Option::<OwnedFd>::from(rules.0).ok_or(Unavailable::NoLandlock)
}

fn create(deny_network: bool) -> Result<RulesetCreated, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?;
    if deny_network {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST))?;
    }
    ruleset.create()
}

struct Rules(RulesetCreated);

impl Rules {
    /// Allows `access` on a path and below. A path that cannot be opened gets nothing.
    fn allow(&mut self, path: &Path, access: BitFlags<AccessFs>) -> Result<(), RulesetError> {
        let Ok(fd) = PathFd::new(path) else {
            return Ok(());
        };
        let is_directory = fs::metadata(path).is_ok_and(|found| found.is_dir());
        let access = if is_directory {
            access
        } else {
            access & AccessFs::from_file(NEWEST)
        };
        (&mut self.0).add_rule(PathBeneath::new(fd, access))?;
        Ok(())
    }

    /// Allows everything below a directory but the protected paths. Where there are some, the directory itself gets no
    /// right: rights on it would hold for all that is below.
    fn allow_around(
        &mut self,
        path: &Path,
        protected: &[std::path::PathBuf],
    ) -> Result<(), RulesetError> {
        if protected.iter().any(|kept| path.starts_with(kept)) {
            return Ok(());
        }
        if !protected
            .iter()
            .any(|kept| strictly_inside(kept, &path.to_owned()))
        {
            return self.allow(path, below_root());
        }
        // An unreadable directory gives no rights, which is the safe side.
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        for entry in entries {
            // A link's target has rights of its own, or none.
            if entry.file_type().is_ok_and(|kind| !kind.is_symlink()) {
                self.allow_around(&entry.path(), protected)?;
            }
        }
        Ok(())
    }
}
