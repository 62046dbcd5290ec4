//! Where a thread's history is: in its own file, and for forks and reverts in those it begins in.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use dovetail_core::ids::ThreadId;

use crate::damage::Problem;
use crate::error::StoreError;
use crate::files::Files;
use crate::lines::Lines;
use crate::parse::{self, Meta, Record};
use crate::place::{self, Compression, FileName};

/// One file of a history.
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    pub(crate) compression: Compression,
    pub(crate) file: File,
    /// The file's own id; the thread's for files that are named otherwise.
    pub(crate) rollout: ThreadId,
    pub(crate) meta: Meta,
    /// The line that says so; none where it is lost.
    pub(crate) meta_line: Option<u64>,
    /// What is wrong with how it says which thread it is, and on which line. A line that cannot be read at all is damage
    /// of its own.
    pub(crate) doubt: Option<(u64, Problem)>,
    /// Lines with this ordinal and above are not of the history.
    pub(crate) limit: u64,
}

impl Part {
    /// Opens a file and reads what it says of its thread.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = open(path).map_err(|source| StoreError::io("read", path, source))?;
        Self::of(file, path)
    }

    /// The same for a file that is open already.
    pub(crate) fn of(file: File, path: &Path) -> Result<Self, StoreError> {
        let name = path
            .file_name()
            .and_then(|name| FileName::parse(name.to_str()?));
        let compression = match name {
            Some(name) => name.compression,
            None if path.extension().is_some_and(|ending| ending == "zst") => Compression::Zstd,
            None => Compression::None,
        };
        let Beginning {
            mut meta,
            line,
            damaged,
        } = beginning(&file, path, compression, name)?;
        let said = ThreadId::parse(&meta.id).ok();
        let no_meta = || StoreError::NoMeta {
            path: path.to_owned(),
        };
        // Threads are found by the names of their files, so the name counts: what a list shows can be taken up.
        let named = name.map(|name| name.thread);
        let thread = named.or(said).ok_or_else(no_meta)?;
        let doubt = match line {
            Some(line) if said != Some(thread) => {
                Some((line, Problem::OtherThread { said: meta.id }))
            }
            Some(_) => None,
            None => (!damaged).then_some((1, Problem::NoMeta)),
        };
        meta.id = thread.to_string();
        Ok(Self {
            path: path.to_owned(),
            compression,
            file,
            rollout: name.map_or(thread, |name| name.rollout),
            meta,
            meta_line: line,
            doubt,
            limit: u64::MAX,
        })
    }

    /// Its lines from the beginning.
    pub(crate) fn lines(&self) -> Result<Lines, StoreError> {
        lines_of(&self.file, self.compression)
            .map_err(|source| StoreError::io("read", &self.path, source))
    }

    /// The id of the file, or thread, that it begins in.
    pub(crate) fn base_id(&self) -> Option<ThreadId> {
        ThreadId::parse(self.base()?.0).ok()
    }

    /// The file in which the history before this one's first line is, and where that one ends.
    fn base(&self) -> Option<(&str, u64)> {
        match (&self.meta.history_base, &self.meta.forked_from_id) {
            (Some(base), _) => Some((&base.thread_id, base.end_ordinal_exclusive)),
            (None, Some(parent)) => Some((parent, self.meta.forked_from_ordinal_exclusive?)),
            (None, None) => None,
        }
    }
}

/// The files of a history, oldest first. The last one is the thread's own.
///
/// # Errors
/// One of them is not there, cannot be read, or they go in a circle.
pub(crate) fn parts(own: Part) -> Result<Vec<Part>, StoreError> {
    let mut parts = vec![own];
    let mut seen = HashSet::from([parts[0].rollout]);
    let mut files = None;
    while let Some((id, limit)) = parts.last().and_then(Part::base) {
        let child = parts.last().expect("there is always the thread's own");
        let limit = limit.min(child.limit);
        let parent = ThreadId::parse(id).map_err(|_| StoreError::NoMeta {
            path: child.path.clone(),
        })?;
        let missing = |source| StoreError::NoParent {
            path: child.path.clone(),
            parent,
            source: Box::new(source),
        };
        if !seen.insert(parent) {
            return Err(StoreError::Circle {
                path: child.path.clone(),
            });
        }
        let home = place::home_of(&parts[0].path);
        let known = match files.take() {
            Some(known) => known,
            None => Files::scan(home).map_err(missing)?,
        };
        // What says only which thread it left means the file that counts.
        let found = known.rollout(parent).or_else(|| known.current(parent));
        let not_found = || StoreError::NotFound {
            id: parent,
            sessions: place::sessions(home),
        };
        let path = &found.ok_or_else(|| missing(not_found()))?.path;
        let mut part = Part::open(path).map_err(missing)?;
        part.limit = limit;
        parts.push(part);
        files = Some(known);
    }
    parts.reverse();
    Ok(parts)
}

/// What a file says of its thread.
struct Beginning {
    meta: Meta,
    /// On which line; none where that is lost and the file's name has to do.
    line: Option<u64>,
    /// Whether lines before it, or in its place, cannot be read.
    damaged: bool,
}

/// Reads a file up to where it says which thread it is.
fn beginning(
    file: &File,
    path: &Path,
    compression: Compression,
    name: Option<FileName>,
) -> Result<Beginning, StoreError> {
    let failed = |source| StoreError::io("read", path, source);
    let mut lines = lines_of(file, compression).map_err(failed)?;
    let mut damaged = false;
    while let Some((line, text)) = lines.next().map_err(failed)? {
        if parse::is_blank(text) {
            continue;
        }
        let Ok(parsed) = parse::parse_first(text) else {
            damaged = true;
            continue;
        };
        let (meta, line) = match (parsed.record, name) {
            (Record::Meta(meta), _) => (*meta, Some(line.number)),
            // Something of the thread comes first: its beginning is lost, and the rest is not.
            (_, Some(name)) => (known_by_name(name, parsed.ordinal), None),
            (_, None) => break,
        };
        return Ok(Beginning {
            meta,
            line,
            damaged,
        });
    }
    Err(StoreError::NoMeta {
        path: path.to_owned(),
    })
}

/// What is known of a thread by its file's name, and by whether its lines are numbered.
fn known_by_name(name: FileName, ordinal: Option<u64>) -> Meta {
    Meta {
        id: name.thread.to_string(),
        history_mode: ordinal.map(|_| "paginated".to_owned()),
        ..Meta::default()
    }
}

/// Opens a file to read it. What only has a file's name, such as a pipe, could keep us waiting for ever.
pub(crate) fn open(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(Error::new(ErrorKind::InvalidInput, "it is no regular file"))
    }
}

/// The lines of an open file from its beginning. They move the file's own position: one reader at a time.
fn lines_of(file: &File, compression: Compression) -> std::io::Result<Lines> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    Lines::of(file, compression)
}
