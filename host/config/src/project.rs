//! Which project a directory belongs to, found without running git.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::enums::TrustLevel;

/// The mode of the empty directories with which the sandbox holds names that must not come into being.
const HELD_NAME_MODE: u32 = 0o711;

/// The project around a working directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its topmost directory: where a marker such as `.git` is, or else the working directory itself.
    pub root: PathBuf,
    /// Whether there is a marker.
    pub marked: bool,
    /// What the user's own configuration says of it; nothing is no trust.
    pub trust: Option<TrustLevel>,
}

impl Project {
    /// Walks up from a directory to the nearest one with a marker in it.
    pub(crate) fn find(cwd: &Path, markers: &[String]) -> Self {
        let marked = |dir: &&Path| markers.iter().any(|marker| is_marker(&dir.join(marker)));
        match cwd.ancestors().find(marked) {
            Some(root) => Self {
                root: root.to_owned(),
                marked: true,
                trust: None,
            },
            None => Self {
                root: cwd.to_owned(),
                marked: false,
                trust: None,
            },
        }
    }

    /// Whether its own configuration and plugins are read.
    pub fn trusted(&self) -> bool {
        self.trust == Some(TrustLevel::Trusted)
    }

    /// The directories from the root down to `cwd`, both included.
    pub fn directories_to(&self, cwd: &Path) -> Vec<PathBuf> {
        let mut directories: Vec<PathBuf> = cwd
            .ancestors()
            .take_while(|dir| dir.starts_with(&self.root))
            .map(Path::to_owned)
            .collect();
        directories.reverse();
        directories
    }
}

/// Whether a path such as `…/.git` is there and says that a project begins here. While commands run in `/tmp`, say, the
/// sandbox holds `/tmp/.git` with an empty directory: that must not make one project of all there is.
pub fn is_marker(path: &Path) -> bool {
    let Ok(metadata) = path.symlink_metadata() else {
        return false;
    };
    let holds_name = metadata.is_dir()
        && metadata.permissions().mode() & 0o7777 == HELD_NAME_MODE
        && path
            .read_dir()
            .is_ok_and(|mut entries| entries.next().is_none());
    !holds_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_sandbox_holds_is_no_marker() {
        let dir = tempfile::tempdir().expect("a directory");
        let marker = dir.path().join(".git");
        assert!(!is_marker(&marker));
        std::fs::create_dir(&marker).expect("a directory");
        let set_mode = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&marker, mode).expect("it is ours");
        };
        set_mode(HELD_NAME_MODE);
        assert!(!is_marker(&marker));
        set_mode(0o755);
        assert!(is_marker(&marker), "as `mkdir .git` makes it");
        set_mode(HELD_NAME_MODE);
        std::fs::write(marker.join("HEAD"), "ref: refs/heads/main\n").expect("a file");
        assert!(is_marker(&marker));
    }
}
