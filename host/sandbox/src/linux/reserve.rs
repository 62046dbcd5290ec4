//! Holds names that must not come into being, by empty directories that go away again.
//!
//! Several processes may hold the same name: each has a shared lock on the directory, and who can lock it alone is the
//! last and removes it. Locks of a process that crashed are gone with it.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::Unavailable;

/// Tells our directories from a person's: nobody else makes one with this mode.
const MODE: u32 = 0o711;
const MODE_BITS: u32 = 0o7777;

/// How often to try again when another process removes the directory under our hands.
const ATTEMPTS: usize = 5;

/// Held names; let go when dropped.
#[derive(Default)]
pub(super) struct Reservations {
    held: Vec<(PathBuf, File)>,
}

impl Reservations {
    /// Holds those of the paths that do not exist, and gives the paths to protect: the existing ones, and for each
    /// missing one the first missing part of it.
    pub(super) fn hold_missing(
        &mut self,
        paths: &[PathBuf],
        roots: &[PathBuf],
    ) -> Result<Vec<PathBuf>, Unavailable> {
        let mut present = Vec::with_capacity(paths.len());
        for path in paths {
            let name = name_to_hold(path, roots);
            let exists = self.hold(name).map_err(|source| Unavailable::Protect {
                path: name.to_owned(),
                source,
            })?;
            if exists && !present.iter().any(|other| name == other) {
                present.push(name.to_owned());
            }
        }
        Ok(present)
    }

    /// Makes sure that a name exists, as a directory of ours if nobody has it. False if nobody here can make it, a
    /// command included.
    fn hold(&mut self, path: &Path) -> io::Result<bool> {
        if self
            .held
            .iter()
            .any(|(held, directory)| held == path && is_same(path, directory))
        {
            return Ok(true);
        }
        for _ in 0..ATTEMPTS {
            match DirBuilder::new().mode(MODE).create(path) {
                // The mask may have taken bits away.
                Ok(()) => fs::set_permissions(path, Permissions::from_mode(MODE))?,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    if !looks_like_ours(path) {
                        return Ok(true);
                    }
                }
                Err(error) if nobody_can_make(path, &error) => return Ok(false),
                Err(error) => return Err(error),
            }
            let directory = match File::open(path) {
                Ok(directory) => directory,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            directory.lock_shared()?;
            if is_same(path, &directory) {
                self.held.push((path.to_owned(), directory));
                return Ok(true);
            }
        }
        Err(io::Error::new(
            ErrorKind::ResourceBusy,
            "another process keeps removing it",
        ))
    }
}

impl Drop for Reservations {
    fn drop(&mut self) {
        for (path, directory) in self.held.drain(..) {
            let is_last = directory.try_lock().is_ok();
            if is_last && is_same(&path, &directory) && fs::remove_dir(&path).is_err() {
                // Somebody outside filled it meanwhile, so it is theirs now and gets an ordinary mode. Should even
                // that fail, it only looks odd.
                fs::set_permissions(&path, Permissions::from_mode(0o755)).ok();
            }
        }
    }
}

/// The path if it exists, else the first missing part of it, or the directory that already holds that part's name.
fn name_to_hold<'a>(path: &'a Path, roots: &[PathBuf]) -> &'a Path {
    let first_missing = path
        .ancestors()
        .take_while(|part| fs::symlink_metadata(part).is_err())
        .last();
    let Some(missing) = first_missing else {
        return path;
    };
    match missing.parent() {
        // An empty root is a person's, whatever its mode.
        Some(above) if !roots.iter().any(|root| above == root) && looks_like_ours(above) => above,
        _ => missing,
    }
}

fn is_same(path: &Path, directory: &File) -> bool {
    match (fs::symlink_metadata(path), directory.metadata()) {
        (Ok(named), Ok(opened)) => named.dev() == opened.dev() && named.ino() == opened.ino(),
        _ => false,
    }
}

fn looks_like_ours(path: &Path) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else {
        return false;
    };
    found.is_dir()
        && found.mode() & MODE_BITS == MODE
        && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// Whether a name's absence is safe: the directory cannot be written, and is not ours to make writable.
fn nobody_can_make(path: &Path, error: &io::Error) -> bool {
    match error.kind() {
        ErrorKind::ReadOnlyFilesystem => true,
        ErrorKind::PermissionDenied => {
            // SAFETY: cannot fail and touches no memory.
            let user = unsafe { libc::geteuid() };
            path.parent()
                .and_then(|parent| fs::metadata(parent).ok())
                .is_some_and(|parent| user != 0 && parent.uid() != user)
        }
        _ => false,
    }
}
