//! Writing changed files: all of them or none.
//!
//! Every file is reached through an open directory that was opened without following links, so a path that was
//! checked a moment ago cannot be turned elsewhere by a command that runs beside us.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use dovetail_sandbox::open_directory;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

/// A file that changes. Paths are resolved: free of links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// The file.
    pub(crate) path: PathBuf,
    /// What is there now; none if nothing is.
    pub(crate) before: Option<Entry>,
    /// What it will hold; none if it goes away.
    pub(crate) after: Option<Vec<u8>>,
}

/// What a name in a directory stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A file with this content.
    File(Vec<u8>),
    /// A symbolic link to this place. It is only ever taken away or replaced.
    Link(PathBuf),
}

/// A file that could not be written, and what has changed all the same.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`: {source}; {}", path.display(), left(lost))]
pub(crate) struct WriteError {
    path: PathBuf,
    source: io::Error,
    /// Files that were written before and could not be put back.
    lost: Vec<String>,
}

fn left(lost: &[String]) -> String {
    match lost {
        [] => "nothing has changed".to_owned(),
        _ => format!("these could not be put back: {}", lost.join(", ")),
    }
}

/// A change that is ready: its new content lies beside the file under another name.
struct Staged<'a> {
    change: &'a Change,
    dir: OwnedFd,
    name: PathBuf,
    temporary: Option<PathBuf>,
}

/// Makes all changes, or none.
pub(crate) fn write_all(changes: &[Change]) -> Result<(), WriteError> {
    let mut staged = Vec::with_capacity(changes.len());
    let mut made = Vec::new();
    for change in changes {
        let ready = stage(change, &mut made).and_then(|ready| {
            let unchanged = check_unchanged(&ready);
            staged.push(ready);
            unchanged
        });
        match ready {
            Ok(()) => {}
            Err(source) => {
                undo(&staged, &made);
                return Err(WriteError {
                    path: change.path.clone(),
                    source,
                    lost: Vec::new(),
                });
            }
        }
    }
    for at in 0..staged.len() {
        if let Err(source) = commit(&staged[at]) {
            let lost: Vec<String> = staged[..at]
                .iter()
                .filter_map(|done| restore(done).err().map(|_| shown(done.change)))
                .collect();
            undo(&staged[at..], &made);
            return Err(WriteError {
                path: staged[at].change.path.clone(),
                source,
                lost,
            });
        }
    }
    Ok(())
}

fn shown(change: &Change) -> String {
    format!("`{}`", change.path.display())
}

fn stage<'a>(change: &'a Change, made: &mut Vec<PathBuf>) -> io::Result<Staged<'a>> {
    let missing = || io::Error::new(io::ErrorKind::InvalidInput, "the path names no file");
    let parent = change.path.parent().ok_or_else(missing)?;
    let name = PathBuf::from(change.path.file_name().ok_or_else(missing)?);
    let dir = directory(parent, change.after.is_some(), made)?;
    let temporary = match &change.after {
        Some(content) => Some(stage_content(&dir, &name, content)?),
        None => None,
    };
    Ok(Staged {
        change,
        dir,
        name,
        temporary,
    })
}

/// Opens a directory, making what is missing of it where something is to be written there.
fn directory(path: &Path, make: bool, made: &mut Vec<PathBuf>) -> io::Result<OwnedFd> {
    match open_directory(path) {
        Ok(dir) => Ok(dir.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && make => {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(error);
            };
            let above = directory(parent, make, made)?;
            match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(0o777)) {
                Ok(()) => made.push(path.to_owned()),
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(&above, name, flags, Mode::empty())?)
        }
        Err(error) => Err(error),
    }
}

/// Writes new content beside a file, with the file's own mode.
fn stage_content(dir: &OwnedFd, name: &Path, content: &[u8]) -> io::Result<PathBuf> {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    let temporary = PathBuf::from(format!(
        ".{}.{}-{nanos}.tmp",
        name.display(),
        std::process::id()
    ));
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir.as_fd(), &temporary, flags, Mode::from_raw_mode(0o666))?;
    let written = fill(fd, dir, name, content);
    if written.is_err() {
        // It is our own file; if even this fails, a stray temporary file is all that is left.
        let _ = rustix::fs::unlinkat(dir, &temporary, AtFlags::empty());
    }
    written.map(|()| temporary)
}

fn fill(fd: OwnedFd, dir: &OwnedFd, name: &Path, content: &[u8]) -> io::Result<()> {
    if let Ok(stat) = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        && FileType::from_raw_mode(stat.st_mode).is_file()
    {
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    }
    let mut file = File::from(fd);
    // Not flushed: file systems in use write the content of a file that replaces another before its name.
    file.write_all(content)
}

/// Fails if a file is not as it was when the patch was worked out.
fn check_unchanged(staged: &Staged<'_>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let now = match rustix::fs::openat(&staged.dir, &staged.name, flags, Mode::empty()) {
        Ok(fd) => {
            let mut content = Vec::new();
            File::from(fd).read_to_end(&mut content)?;
            Some(Entry::File(content))
        }
        Err(rustix::io::Errno::NOENT) => None,
        Err(rustix::io::Errno::LOOP) => {
            let target = rustix::fs::readlinkat(&staged.dir, &staged.name, Vec::new())?;
            Some(Entry::Link(OsStr::from_bytes(target.as_bytes()).into()))
        }
        Err(error) => return Err(error.into()),
    };
    if now == staged.change.before {
        Ok(())
    } else {
        Err(io::Error::other("something else changed it just now"))
    }
}

fn commit(staged: &Staged<'_>) -> io::Result<()> {
    match &staged.temporary {
        Some(temporary) => rustix::fs::renameat(&staged.dir, temporary, &staged.dir, &staged.name)?,
        None => rustix::fs::unlinkat(&staged.dir, &staged.name, AtFlags::empty())?,
    }
    Ok(())
}

/// Puts a file back as it was.
fn restore(staged: &Staged<'_>) -> io::Result<()> {
    match &staged.change.before {
        Some(Entry::File(before)) => {
            let temporary = stage_content(&staged.dir, &staged.name, before)?;
            rustix::fs::renameat(&staged.dir, &temporary, &staged.dir, &staged.name)?;
        }
        Some(Entry::Link(target)) => {
            if staged.change.after.is_some() {
                rustix::fs::unlinkat(&staged.dir, &staged.name, AtFlags::empty())?;
            }
            rustix::fs::symlinkat(target, &staged.dir, &staged.name)?;
        }
        None => rustix::fs::unlinkat(&staged.dir, &staged.name, AtFlags::empty())?,
    }
    Ok(())
}

/// Takes away what was prepared.
fn undo(staged: &[Staged<'_>], made: &[PathBuf]) {
    for ready in staged {
        if let Some(temporary) = &ready.temporary {
            // Our own file; see `stage_content`.
            let _ = rustix::fs::unlinkat(&ready.dir, temporary, AtFlags::empty());
        }
    }
    for dir in made.iter().rev() {
        // A directory that somebody has put something into in the meantime stays.
        drop(std::fs::remove_dir(dir));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn change(path: PathBuf, before: Option<&str>, after: Option<&str>) -> Change {
        let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        Change {
            path,
            before: bytes(before).map(Entry::File),
            after: bytes(after),
        }
    }

    #[test]
    fn files_are_made_changed_and_removed_and_keep_their_mode() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().canonicalize().expect("a path");
        fs::write(root.join("script"), "old").expect("a file");
        fs::set_permissions(root.join("script"), fs::Permissions::from_mode(0o755))
            .expect("a mode");
        fs::write(root.join("gone"), "x").expect("a file");
        write_all(&[
            change(root.join("script"), Some("old"), Some("new")),
            change(root.join("a/b/new"), None, Some("made")),
            change(root.join("gone"), Some("x"), None),
        ])
        .expect("all is written");
        assert_eq!(
            fs::read_to_string(root.join("script")).expect("a file"),
            "new"
        );
        assert_eq!(
            fs::metadata(root.join("script"))
                .expect("a file")
                .permissions()
                .mode()
                & 0o777,
            0o755
        );
        assert_eq!(
            fs::read_to_string(root.join("a/b/new")).expect("a file"),
            "made"
        );
        assert!(!root.join("gone").exists());
        assert_eq!(
            fs::read_dir(&root).expect("a listing").count(),
            2,
            "no temporary file stays"
        );
    }

    #[test]
    fn one_failure_changes_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().canonicalize().expect("a path");
        fs::write(root.join("one"), "old").expect("a file");
        fs::create_dir(root.join("busy")).expect("a directory");
        fs::write(root.join("busy/inside"), "x").expect("a file");
        // The second target is a directory, which only shows when it is put in place.
        let error = write_all(&[
            change(root.join("one"), Some("old"), Some("new")),
            change(root.join("fresh/file"), None, Some("made")),
            change(root.join("busy"), None, Some("not a file")),
        ])
        .expect_err("a directory is in the way");
        assert!(error.to_string().starts_with("cannot write"), "{error}");
        assert_eq!(fs::read_to_string(root.join("one")).expect("a file"), "old");
        assert!(!root.join("fresh/file").exists());
    }

    #[test]
    fn a_file_that_somebody_else_has_changed_stays_theirs() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().canonicalize().expect("a path");
        fs::write(root.join("one"), "old").expect("a file");
        fs::write(root.join("two"), "theirs").expect("a file");
        for theirs in [
            change(root.join("two"), Some("seen"), Some("new")),
            change(root.join("two"), None, Some("new")),
            change(root.join("gone"), Some("seen"), None),
        ] {
            let changes = [change(root.join("one"), Some("old"), Some("new")), theirs];
            let error = write_all(&changes).expect_err("it is not as it was");
            assert!(
                error
                    .to_string()
                    .contains("something else changed it just now; nothing has changed"),
                "{error}"
            );
            let names = fs::read_dir(&root).expect("a listing").count();
            assert_eq!(names, 2, "nothing is left lying about");
            assert_eq!(fs::read_to_string(root.join("one")).expect("a file"), "old");
            assert_eq!(
                fs::read_to_string(root.join("two")).expect("a file"),
                "theirs"
            );
        }
    }

    #[test]
    fn a_link_goes_itself_and_comes_back_where_the_patch_fails() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().canonicalize().expect("a path");
        fs::write(root.join("real"), "old").expect("a file");
        fs::create_dir(root.join("busy")).expect("a directory");
        let link = |name: &str, after: Option<&str>| {
            std::os::unix::fs::symlink("real", root.join(name)).expect("a link");
            Change {
                before: Some(Entry::Link("real".into())),
                ..change(root.join(name), None, after)
            }
        };
        let both = [link("gone", None), link("file", Some("new"))];
        write_all(&both).expect("all is written");
        assert!(fs::symlink_metadata(root.join("gone")).is_err());
        assert!(
            fs::symlink_metadata(root.join("file"))
                .expect("a file")
                .is_file()
        );
        assert_eq!(
            fs::read_to_string(root.join("file")).expect("a file"),
            "new"
        );
        assert_eq!(
            fs::read_to_string(root.join("real")).expect("a file"),
            "old"
        );
        // The directory only shows when it is put in place, after the links.
        let busy = change(root.join("busy"), None, Some("not a file"));
        let failing = [link("one", None), link("two", Some("new")), busy];
        write_all(&failing).expect_err("a directory is in the way");
        for name in ["one", "two"] {
            let target = fs::read_link(root.join(name)).expect("it is a link again");
            assert_eq!(target, Path::new("real"));
        }
    }

    #[test]
    fn a_link_in_the_path_is_not_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().canonicalize().expect("a path");
        fs::create_dir(root.join("elsewhere")).expect("a directory");
        std::os::unix::fs::symlink(root.join("elsewhere"), root.join("link")).expect("a link");
        assert!(write_all(&[change(root.join("link/file"), None, Some("x"))]).is_err());
        assert!(!root.join("elsewhere/file").exists());
    }
}
