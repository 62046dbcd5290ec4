//! One writer per thread.
//!
//! The lock is a file `thread-writer-locks/<thread>.lock` of the home, held for as long as the writer lives: the
//! convention of existing clients, so that they and we keep out of each other's way. A file that nobody holds means
//! nothing. Making and removing one happens under `.coordination.lock`, or a writer could hold a file that another one
//! has just removed.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use dovetail_core::ids::ThreadId;

use crate::error::StoreError;

const DIRECTORY: &str = "thread-writer-locks";
const COORDINATION: &str = ".coordination.lock";

/// The right to write to a thread; given back when dropped, and by the system when the process dies.
#[derive(Debug)]
pub(crate) struct WriterLock {
    path: PathBuf,
    /// None on file systems that have no locks.
    held: Option<File>,
}

impl WriterLock {
    /// Takes the right, or says who has it.
    pub(crate) fn take(home: &Path, thread: ThreadId) -> Result<Self, StoreError> {
        let directory = home.join(DIRECTORY);
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory);
        made.map_err(|source| StoreError::io("create", &directory, source))?;
        let _coordinated = coordinate(&directory)?;
        let path = directory.join(format!("{thread}.lock"));
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self {
                path,
                held: Some(file),
            }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
                id: thread,
                owner: owner(&file).unwrap_or_else(|| "another process".into()),
            }),
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
                tracing::warn!(path = %path.display(), "this file system has no locks; two writers would not be noticed");
                Ok(Self { path, held: None })
            }
            Err(TryLockError::Error(source)) => Err(StoreError::io("lock", &path, source)),
        }
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        let Some(file) = self.held.take() else {
            return;
        };
        // A file that stays behind is as good as none.
        if let Some(Ok(_coordinated)) = self.path.parent().map(coordinate) {
            drop(std::fs::remove_file(&self.path));
        }
        // Closing would do, but not while a process that is just being started still has a copy of the handle.
        drop(file.unlock());
    }
}

/// Waits for the right to make and remove lock files. It is never held for longer than that takes.
fn coordinate(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join(COORDINATION);
    let file = open(&path)?;
    match file.lock() {
        Err(error) if error.kind() != std::io::ErrorKind::Unsupported => {
            Err(StoreError::io("lock", &path, error))
        }
        Ok(()) | Err(_) => Ok(file),
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    opened.map_err(|source| StoreError::io("create", path, source))
}

/// Who holds the lock, where the system tells. Only used to make an error more helpful.
fn owner(file: &File) -> Option<String> {
    let metadata = file.metadata().ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let pid = locks
        .lines()
        .find_map(|line| holder(line, metadata.ino()))?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    match name.trim_end() {
        "" => Some(format!("process {pid}")),
        name => Some(format!("process {pid} (`{name}`)")),
    }
}

/// The process in a line such as `2: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF`, if it is about that inode.
fn holder(line: &str, inode: u64) -> Option<u32> {
    let mut words = line.split_ascii_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        return None;
    }
    let mut words = words.skip(2);
    let pid = words.next()?.parse().ok().filter(|pid| *pid > 0)?;
    let file = words.next()?.rsplit(':').next()?;
    (file.parse() == Ok(inode)).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_by_inode() {
        let line = "2: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF";
        assert_eq!(holder(line, 1234), Some(4711));
        assert_eq!(holder(line, 5), None);
        assert_eq!(
            holder("3: POSIX  ADVISORY  WRITE 4711 fe:00:1234 0 EOF", 1234),
            None
        );
        assert_eq!(
            holder("2: FLOCK  ADVISORY  WRITE -1 fe:00:1234 0 EOF", 1234),
            None
        );
        assert_eq!(holder("", 1234), None);
    }
}
