//! Opening a directory without being led elsewhere.

use std::fs::File;
use std::io;
use std::path::Path;

/// Opens a directory whose path was resolved before. Fails if any part of it has become a symbolic link since, so that
/// a check made on the path still holds for what is opened.
///
/// # Errors
/// What the system says; `ELOOP` where a link has appeared.
#[cfg(target_os = "linux")]
pub fn open_directory(path: &Path) -> io::Result<File> {
    crate::linux::open_directory(path)
}

/// Opens a directory.
///
/// # Errors
/// What the system says.
#[cfg(not(target_os = "linux"))]
pub fn open_directory(path: &Path) -> io::Result<File> {
    File::open(path)
}
