//! Lays an archive out in a directory. Every entry is judged before anything of it is written.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, EntryType};
use zstd::stream::read::Decoder;

/// The most that a package may hold, however well it was packed.
pub const MOST_UNPACKED: u64 = 1 << 30;
/// A plugin has two files, and perhaps a licence; a bundle has a few hundred plugins.
pub const MOST_ENTRIES: usize = 4096;
/// Components shrink to a quarter, text to a tenth. What shrinks to less was made to fill a disk.
pub const MOST_RATIO: u64 = 100;
/// Small archives may shrink as they like: there is little to fill a disk with.
const RATIO_FROM: u64 = 8 << 20;
/// Directories within directories.
const MOST_DEPTH: usize = 8;
/// The names of one entry together; more than any file system of ours takes in one name.
const LONGEST_PATH: usize = 255;
/// What a decoder may keep in memory, as a power of two: 128 MiB, which is as much as the format's own tools use.
const WINDOW_LOG: u32 = 27;

/// Why an archive is not unpacked. Reads after its name.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The bytes are no archive, or not all of one.
    #[error("is not a whole .tar.zst archive")]
    Damaged(#[source] io::Error),
    /// An entry is neither a file nor a directory.
    #[error("holds `{path}`, which is {what}: a package holds only files and directories")]
    Kind {
        /// The entry.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// An entry would be written elsewhere, or nowhere.
    #[error("holds `{path}`, which is no path inside a package: {why}")]
    Path {
        /// The entry.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two entries would be the same file, here or on a machine that does not tell capitals apart.
    #[error("holds `{0}` twice")]
    Twice(String),
    /// It is larger than it may be.
    #[error("unpacks to more than {} MB", .0 >> 20)]
    TooLarge(u64),
    /// It was packed to fill a disk.
    #[error("unpacks to more than {MOST_RATIO} times its size")]
    Bomb,
    /// It has more entries than it may have.
    #[error("holds more than {MOST_ENTRIES} entries")]
    TooMany,
    /// The directory cannot be written.
    #[error("cannot be unpacked to `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Unpacks an archive of `packed` bytes into a directory, which must be empty and the caller's own. What is there after
/// a failure is for the caller to remove.
///
/// # Errors
/// Says what is wrong with which entry.
pub fn unpack(archive: impl Read, packed: u64, into: &Path) -> Result<(), UnpackError> {
    let mut decoder = Decoder::new(archive).map_err(UnpackError::Damaged)?;
    decoder
        .window_log_max(WINDOW_LOG)
        .map_err(UnpackError::Damaged)?;
    let bounded = Bounded {
        inner: decoder,
        read: 0,
        packed,
    };
    let mut archive = Archive::new(bounded);
    let mut seen = BTreeSet::new();
    // Raw: extensions of the format, which could give an entry another name or size, are entries to refuse.
    let entries = archive.entries().map_err(damaged)?.raw(true);
    for (index, entry) in entries.enumerate() {
        if index >= MOST_ENTRIES {
            return Err(UnpackError::TooMany);
        }
        let mut entry = entry.map_err(damaged)?;
        let written = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        // What `git archive` says about the whole archive: a comment.
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let directory = is_directory(kind, &written)?;
        let path = inside(&written)?;
        if path.as_os_str().is_empty() {
            continue;
        }
        if directory {
            make_directories(into, &path)?;
            continue;
        }
        if !seen.insert(path.to_string_lossy().to_lowercase()) {
            return Err(UnpackError::Twice(shown(&written)));
        }
        make_directories(into, path.parent().unwrap_or(Path::new("")))?;
        write(&mut entry, &into.join(&path))?;
    }
    Ok(())
}

fn is_directory(kind: EntryType, path: &str) -> Result<bool, UnpackError> {
    let what = match kind {
        EntryType::Regular => return Ok(false),
        EntryType::Directory => return Ok(true),
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader => {
            "an entry with an extended header (a name longer than 100 characters, say)"
        }
        _ => "of an unknown kind",
    };
    Err(UnpackError::Kind {
        path: shown(path),
        what,
    })
}

/// The path that an entry stands for, relative and without detours; empty for the archive itself (`./`).
fn inside(written: &str) -> Result<PathBuf, UnpackError> {
    let refuse = |why| {
        Err(UnpackError::Path {
            path: shown(written),
            why,
        })
    };
    if written.len() > LONGEST_PATH {
        return refuse("it is too long");
    }
    if written.contains(['\\', '\u{fffd}']) || written.chars().any(char::is_control) {
        return refuse("it has characters that names do not have");
    }
    let mut path = PathBuf::new();
    for part in Path::new(written).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => return refuse("it goes up"),
            Component::RootDir | Component::Prefix(_) => return refuse("it is absolute"),
        }
    }
    match path.components().count() > MOST_DEPTH {
        true => refuse("it is too deep"),
        false => Ok(path),
    }
}

fn make_directories(into: &Path, path: &Path) -> Result<(), UnpackError> {
    let path = into.join(path);
    // A file of that name is an error; a link cannot be there, since none is ever unpacked.
    let made = DirBuilder::new().recursive(true).mode(0o755).create(&path);
    made.map_err(|source| UnpackError::Write { path, source })
}

fn write(entry: &mut impl Read, path: &Path) -> Result<(), UnpackError> {
    let failed = |source| UnpackError::Write {
        path: path.to_owned(),
        source,
    };
    // The archive's modes and owners do not count.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
        .map_err(failed)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = entry.read(&mut buffer).map_err(damaged)?;
        if read == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..read]).map_err(failed)?;
    }
}

/// A path for one line of a terminal.
fn shown(path: &str) -> String {
    let mut shown: String = path.escape_debug().take(100).collect();
    if shown.len() < path.len() && path.len() > 100 {
        shown.push('…');
    }
    shown
}

/// Reading past a bound is one of our own errors, wrapped; everything else is damage.
fn damaged(error: io::Error) -> UnpackError {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Passed>())
    {
        Some(Passed::Size) => UnpackError::TooLarge(MOST_UNPACKED),
        Some(Passed::Ratio) => UnpackError::Bomb,
        None => UnpackError::Damaged(error),
    }
}

/// Counts what comes out of the decoder.
struct Bounded<R> {
    inner: R,
    read: u64,
    packed: u64,
}

#[derive(Debug, thiserror::Error)]
enum Passed {
    #[error("too large")]
    Size,
    #[error("too well packed")]
    Ratio,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read += read as u64;
        if self.read > MOST_UNPACKED {
            return Err(io::Error::other(Passed::Size));
        }
        if self.read > RATIO_FROM && self.read / MOST_RATIO > self.packed {
            return Err(io::Error::other(Passed::Ratio));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
