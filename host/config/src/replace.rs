//! Replacing a file in one step.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Puts `bytes` in the place of a file, which keeps its mode; a new one is for the user alone. A reader sees the old file
/// or the new one. Its directory is made where it is missing.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let mode =
        std::fs::metadata(path).map_or(0o600, |metadata| metadata.permissions().mode() & 0o777);
    let temporary = directory.join(format!(".config.toml.{}", std::process::id()));
    let write = || {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        // Only now, and whatever the mask of this process is.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        // The first error is the one to report; a leftover is harmless and is overwritten next time.
        drop(std::fs::remove_file(&temporary));
    })
}
