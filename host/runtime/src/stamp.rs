//! Cheap marks of files: whether a file may have changed, without reading it.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What a file looked like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Content and, unlike the time of its modification, nothing that a program can set back.
    changed: (i64, i64),
}

impl Stamp {
    /// The mark of a file that is open.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A file with the mark it had when it was read; none where it was not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    path: PathBuf,
    stamp: Option<Stamp>,
}

impl Stamped {
    /// A file that was read through a handle with this metadata.
    pub(crate) fn opened(path: &Path, metadata: &Metadata) -> Self {
        Self {
            path: path.to_owned(),
            stamp: Some(Stamp::of(metadata)),
        }
    }

    /// A file that is about to be read. What changes from now on is noticed.
    pub(crate) fn now(path: &Path) -> Self {
        let metadata = fs::metadata(path).ok();
        Self {
            path: path.to_owned(),
            stamp: metadata.as_ref().map(Stamp::of),
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it may not be what it was.
    pub(crate) fn may_have_changed(&self) -> bool {
        let metadata = fs::metadata(&self.path).ok();
        metadata.as_ref().map(Stamp::of) != self.stamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_way_to_change_a_file_leaves_a_mark() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("file");
        let changes: [&dyn Fn(); 3] = [
            &|| fs::write(&path, "others").expect("written"),
            &|| {
                fs::write(dir.path().join("new"), "before").expect("written");
                fs::rename(dir.path().join("new"), &path).expect("moved");
            },
            &|| fs::remove_file(&path).expect("removed"),
        ];
        for change in changes {
            fs::write(&path, "before").expect("written");
            let stamped = Stamped::now(&path);
            assert!(!stamped.may_have_changed());
            change();
            assert!(stamped.may_have_changed());
        }
        let gone = Stamped::now(&path);
        assert!(!gone.may_have_changed(), "it was not there before either");
        fs::write(&path, "again").expect("written");
        assert!(gone.may_have_changed());
    }
}
