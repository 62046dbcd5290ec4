//! Whether the files of a native plugin are the user's alone: what can be changed by others cannot be vouched for.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Why they are not.
#[derive(Debug, thiserror::Error)]
pub enum Exposed {
    /// More people than its owner can write it.
    #[error("`{}` can be written by {who}: native code must be its owner's alone to change", path.display())]
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// Who.
        who: &'static str,
    },
    /// It is somebody else's.
    #[error("`{}` belongs to another user (uid {uid}): native code must be yours or the administrator's", path.display())]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// Whose.
        uid: u32,
    },
    /// It is somewhere else.
    #[error("`{}` is a symbolic link, which a native plugin may not contain", .0.display())]
    Link(PathBuf),
    /// It is no file.
    #[error("`{}` is not a plain file", .0.display())]
    NoFile(PathBuf),
    /// It cannot be looked at.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl Exposed {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Writable { path, .. } => Some(format!("chmod go-w {}", path.display())),
            Self::Foreign { .. } => Some("install it again as yourself".to_owned()),
            Self::Link(_) => Some("put the file itself into the plugin's folder".to_owned()),
            Self::NoFile(_) | Self::Io { .. } => None,
        }
    }
}

/// Checks a plugin's folder and the directory that it is in.
///
/// # Errors
/// Says which of them others can change.
pub fn check_folder(dir: &Path) -> Result<(), Exposed> {
    for path in [Some(dir), dir.parent()].into_iter().flatten() {
        let metadata = fs::symlink_metadata(path).map_err(|source| Exposed::Io {
            path: path.to_owned(),
            source,
        })?;
        // The directory of all plugins may be linked to; a plugin's own folder may not.
        let metadata = match metadata.is_symlink() {
            true if path == dir => return Err(Exposed::Link(path.to_owned())),
            true => fs::metadata(path).map_err(|source| Exposed::Io {
                path: path.to_owned(),
                source,
            })?,
            false => metadata,
        };
        check_owner(path, &metadata)?;
    }
    Ok(())
}

/// Checks a file that is open.
///
/// # Errors
/// Says how others can change it.
pub fn check_file(path: &Path, metadata: &Metadata) -> Result<(), Exposed> {
    if !metadata.is_file() {
        return Err(Exposed::NoFile(path.to_owned()));
    }
    check_owner(path, metadata)
}

fn check_owner(path: &Path, metadata: &Metadata) -> Result<(), Exposed> {
    let (mode, uid) = (metadata.permissions().mode(), metadata.uid());
    let who = match mode & 0o022 {
        0 => None,
        bits if bits & 0o002 != 0 => Some("every user of this machine"),
        _ => Some("its group"),
    };
    if let Some(who) = who {
        return Err(Exposed::Writable {
            path: path.to_owned(),
            who,
        });
    }
    // SAFETY: `geteuid` has no preconditions and cannot fail.
    let me = unsafe { libc::geteuid() };
    if uid != me && uid != 0 {
        return Err(Exposed::Foreign {
            path: path.to_owned(),
            uid,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{File, Permissions};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("changed");
    }

    fn folder(dir: &Path) -> String {
        check_folder(dir).map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn folders_that_others_can_write_are_named_with_who_can() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let dir = root.path().join("plugins/signer");
        fs::create_dir_all(&dir).expect("made");
        let plugins = root.path().join("plugins");
        mode(&plugins, 0o755);
        mode(&dir, 0o755);
        assert_eq!(folder(&dir), "fine");
        for (path, bits, who) in [
            (&dir, 0o757, "every user of this machine"),
            (&dir, 0o775, "its group"),
            (&plugins, 0o777, "every user of this machine"),
            (&plugins, 0o770, "its group"),
        ] {
            mode(path, bits);
            assert_eq!(
                folder(&dir),
                format!(
                    "`{}` can be written by {who}: native code must be its owner's alone to change",
                    path.display()
                )
            );
            mode(path, 0o755);
        }
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_is_refused() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let dir = root.path().join("signer");
        std::os::unix::fs::symlink("/usr", &dir).expect("made");
        assert!(
            folder(&dir).ends_with("is a symbolic link, which a native plugin may not contain")
        );
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let open = File::open(dir.path()).expect("opened");
        let checked = check_file(dir.path(), &open.metadata().expect("there"));
        assert!(matches!(checked, Err(Exposed::NoFile(_))));
    }

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        // Root may give files away; others cannot make such a file, and /proc has some of root only.
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("library");
        fs::write(&path, "").expect("written");
        mode(&path, 0o644);
        if std::os::unix::fs::chown(&path, Some(54_321), None).is_err() {
            return;
        }
        let open = File::open(&path).expect("opened");
        let checked = check_file(&path, &open.metadata().expect("there"));
        assert!(matches!(checked, Err(Exposed::Foreign { uid: 54_321, .. })));
    }
}
