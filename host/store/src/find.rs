//! Finding threads on disk.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dovetail_core::ids::ThreadId;

use crate::error::StoreError;
use crate::parse::{self, Meta, Record};
use crate::place::{self, Compression};

/// A thread as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadSummary {
    /// The thread.
    pub id: ThreadId,
    /// Its file.
    pub path: PathBuf,
    /// When it was last written to.
    pub modified: SystemTime,
    /// Where it was started.
    pub cwd: PathBuf,
    /// Who started it.
    pub source: String,
    /// The provider's id.
    pub provider_id: String,
}

/// Finds a thread's file by its id.
///
/// # Errors
/// There is none; or it is compressed or archived, and the error says what to do.
pub fn find_by_id(home: &Path, id: ThreadId) -> Result<PathBuf, StoreError> {
    let sessions = place::sessions(home);
    match find_file(&sessions, id) {
        Err(StoreError::NotFound { .. }) => match find_file(&home.join("archived_sessions"), id) {
            Ok(path) => Err(StoreError::Archived { id, path }),
            Err(_) => Err(StoreError::NotFound { id, sessions }),
        },
        found => found,
    }
}

/// Finds the thread that was written to last, of those started in `cwd` where one is given.
///
/// # Errors
/// There is none.
pub fn find_last(home: &Path, cwd: Option<&Path>) -> Result<ThreadSummary, StoreError> {
    let newest = list_threads(home, cwd, 1)?.pop();
    newest.ok_or_else(|| StoreError::Nothing {
        cwd: cwd.map(Path::to_owned),
    })
}

/// Lists threads, newest first, at most so many. Files that do not begin as a thread does are left out.
///
/// # Errors
/// The directory of threads is there but cannot be read.
pub fn list_threads(
    home: &Path,
    cwd: Option<&Path>,
    limit: usize,
) -> Result<Vec<ThreadSummary>, StoreError> {
    let mut files = Vec::new();
    walk(&place::sessions(home), &mut |path, id, compression| {
        if compression == Compression::None
            && let Ok(modified) = path.metadata().and_then(|metadata| metadata.modified())
        {
            files.push((modified, id, path));
        }
    })?;
    files.sort_unstable_by(|a, b| b.cmp(a));
    let summaries = files
        .into_iter()
        .filter_map(|(modified, id, path)| summary(id, path, modified));
    let wanted = |found: &ThreadSummary| cwd.is_none_or(|cwd| same_place(&found.cwd, cwd));
    Ok(summaries.filter(wanted).take(limit).collect())
}

/// Counts threads, compressed ones too.
///
/// # Errors
/// The directory of threads is there but cannot be read.
pub fn count_threads(home: &Path) -> Result<usize, StoreError> {
    let mut count = 0;
    walk(&place::sessions(home), &mut |_, _, _| count += 1)?;
    Ok(count)
}

/// Finds a thread's file below a directory.
pub(crate) fn find_file(sessions: &Path, id: ThreadId) -> Result<PathBuf, StoreError> {
    let mut found: Option<(PathBuf, Compression)> = None;
    walk(sessions, &mut |path, candidate, compression| {
        let better = found
            .as_ref()
            .is_none_or(|(_, found)| *found == Compression::Zstd);
        if candidate == id && better {
            found = Some((path, compression));
        }
    })?;
    match found {
        Some((path, Compression::None)) => Ok(path),
        Some((path, Compression::Zstd)) => Err(StoreError::Compressed { path }),
        None => Err(StoreError::NotFound {
            id,
            sessions: sessions.to_owned(),
        }),
    }
}

type Visit<'v> = dyn FnMut(PathBuf, ThreadId, Compression) + 'v;

/// Visits all thread files below a directory that may not exist. Links to directories are not followed.
fn walk(directory: &Path, visit: &mut Visit<'_>) -> Result<(), StoreError> {
    let failed = |source| StoreError::Io {
        action: "list",
        path: directory.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit)?;
        } else if let Some((id, compression)) =
            entry.file_name().to_str().and_then(place::thread_of)
        {
            visit(entry.path(), id, compression);
        }
    }
    Ok(())
}

fn summary(id: ThreadId, path: PathBuf, modified: SystemTime) -> Option<ThreadSummary> {
    let meta = first_line(&path)?;
    Some(ThreadSummary {
        id,
        path,
        modified,
        cwd: meta.cwd.unwrap_or_default().into(),
        source: meta.source.as_str().unwrap_or("subagent").to_owned(),
        provider_id: meta.model_provider.unwrap_or_default(),
    })
}

/// What a file says of its thread; none where it does not.
fn first_line(path: &Path) -> Option<Meta> {
    let mut reader = BufReader::with_capacity(32 << 10, File::open(path).ok()?);
    let mut buffer = Vec::new();
    parse::read_line(&mut reader, &mut buffer).ok()??;
    match parse::parse(&buffer).ok()?.1 {
        Record::Meta(meta) => Some(*meta),
        _ => None,
    }
}

fn same_place(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
