//! Which project a directory belongs to, found without running git.

use std::path::{Path, PathBuf};

/// The project around a working directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its topmost directory: where a marker such as `.git` is, or else the working directory itself.
    pub root: PathBuf,
    /// Whether there is a marker.
    pub marked: bool,
    /// Whether the user's own configuration trusts it.
    pub trusted: bool,
}

impl Project {
    /// Walks up from a directory to the nearest one with a marker in it.
    pub(crate) fn find(cwd: &Path, markers: &[String]) -> Self {
        let marked = |dir: &&Path| {
            markers
                .iter()
                .any(|marker| dir.join(marker).symlink_metadata().is_ok())
        };
        match cwd.ancestors().find(marked) {
            Some(root) => Self {
                root: root.to_owned(),
                marked: true,
                trusted: false,
            },
            None => Self {
                root: cwd.to_owned(),
                marked: false,
                trusted: false,
            },
        }
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
