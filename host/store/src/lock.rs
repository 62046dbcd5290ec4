//! One writer per thread: an advisory lock on its file, which the system gives back when the process ends.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::StoreError;

/// Locks a file for as long as it stays open.
pub(crate) fn lock(file: &File, path: &Path) -> Result<(), StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: path.to_owned(),
            owner: owner(file).unwrap_or_else(|| "another process".into()),
        }),
        Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
            tracing::warn!(path = %path.display(), "this file system has no locks; two writers would not be noticed");
            Ok(())
        }
        Err(TryLockError::Error(source)) => Err(StoreError::Io {
            action: "lock",
            path: path.to_owned(),
            source,
        }),
    }
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
