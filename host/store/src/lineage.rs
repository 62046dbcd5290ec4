//! Where a thread's history is: in its own file, and for forks and reverts in those it begins in.

use std::collections::HashSet;
use std::fs::File;
use std::io::Seek as _;
use std::path::{Path, PathBuf};

use dovetail_core::ids::ThreadId;

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
    /// Lines with this ordinal and above are not of the history.
    pub(crate) limit: u64,
}

impl Part {
    /// Opens a file and reads what it says of its thread.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|source| StoreError::io("read", path, source))?;
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
        let meta = first_meta(&file, path, compression, name)?;
        let no_meta = || StoreError::NoMeta {
            path: path.to_owned(),
        };
        let thread = ThreadId::parse(&meta.id).map_err(|_| no_meta())?;
        Ok(Self {
            path: path.to_owned(),
            compression,
            file,
            rollout: name.map_or(thread, |name| name.rollout),
            meta,
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

/// What a file says of its thread. Where its first line is lost, its name must do.
fn first_meta(
    file: &File,
    path: &Path,
    compression: Compression,
    name: Option<FileName>,
) -> Result<Meta, StoreError> {
    let failed = |source| StoreError::io("read", path, source);
    let mut lines = lines_of(file, compression).map_err(failed)?;
    let mut lost = false;
    while let Some((_, text)) = lines.next().map_err(failed)? {
        if parse::is_blank(text) {
            continue;
        }
        match parse::parse_first(text).map(|parsed| parsed.record) {
            Ok(Record::Meta(meta)) => return Ok(*meta),
            // Something of the thread comes first: its beginning is lost, and the rest is not.
            Ok(_) => {
                lost = true;
                break;
            }
            Err(_) => {}
        }
    }
    match name {
        Some(name) if lost => Ok(Meta {
            id: name.thread.to_string(),
            history_mode: Some("paginated".to_owned()),
            ..Meta::default()
        }),
        Some(_) | None => Err(StoreError::NoMeta {
            path: path.to_owned(),
        }),
    }
}

/// The lines of an open file from its beginning. They move the file's own position: one reader at a time.
fn lines_of(file: &File, compression: Compression) -> std::io::Result<Lines> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    Lines::of(file, compression)
}
