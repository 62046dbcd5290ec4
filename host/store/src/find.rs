//! Finding a thread: by its id, by its name, or as the newest.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use dovetail_core::ids::ThreadId;

use crate::error::StoreError;
use crate::files::{Files, Stamped};
use crate::lineage::Part;
use crate::listing::{self, ThreadSummary};
use crate::place;

/// How many files are opened to find the newest of a directory before the index is asked.
const TRIES: usize = 64;

/// Finds a thread's file by its id: of several, the one that counts.
///
/// # Errors
/// There is none; or it is archived, and the error says what to do.
pub fn find_by_id(home: &Path, id: ThreadId) -> Result<PathBuf, StoreError> {
    let files = Files::scan(home)?;
    match files.current(id) {
        Some(found) if found.archived => Err(StoreError::Archived {
            id,
            path: found.path.clone(),
        }),
        Some(found) => Ok(found.path.clone()),
        None => Err(StoreError::NotFound {
            id,
            sessions: place::sessions(home),
        }),
    }
}

/// Finds the threads of a name, newest first, archived ones too. Several threads may have the same.
///
/// # Errors
/// As for [`crate::list_threads`].
pub fn find_named(home: &Path, name: &str) -> Result<Vec<ThreadSummary>, StoreError> {
    let mut threads = listing::list_threads(home)?.threads;
    threads.retain(|thread| thread.name.as_deref() == Some(name));
    Ok(threads)
}

/// Finds a thread by what people call it: its id where the text is one, or else the newest of that name.
///
/// # Errors
/// There is none, or it is archived.
pub fn find_called(home: &Path, text: &str) -> Result<PathBuf, StoreError> {
    if let Ok(id) = ThreadId::parse(text) {
        return find_by_id(home, id);
    }
    let named = find_named(home, text)?;
    if let Some(found) = named.iter().find(|thread| !thread.archived) {
        return Ok(found.path.clone());
    }
    Err(match named.into_iter().next() {
        Some(archived) => StoreError::Archived {
            id: archived.id,
            path: archived.path,
        },
        None => StoreError::NoSuchName {
            name: text.to_owned(),
        },
    })
}

/// Finds the file of the thread that was written to last, of those started in `cwd` where one is given. Threads that
/// another thread started are left out.
///
/// # Errors
/// There is none.
pub fn find_last(home: &Path, cwd: Option<&Path>) -> Result<PathBuf, StoreError> {
    let mut files = Files::scan_stamped(home)?;
    files.retain(|file| !file.file.archived);
    files.sort_by_key(|file| Reverse((file.modified, file.file.name.thread)));
    let wanted = |file: &&Stamped| is_wanted(&file.file.path, cwd);
    if let Some(found) = files.iter().take(TRIES).find(wanted) {
        return Ok(found.file.path.clone());
    }
    if files.len() > TRIES {
        // The newest are of other places. What the index says is checked against the files as they are now.
        let threads = listing::list_threads(home)?.threads;
        let mut own = threads
            .into_iter()
            .filter(|thread| !thread.archived && !thread.subagent);
        if let Some(found) = own.find(|thread| cwd.is_none_or(|cwd| same_place(&thread.cwd, cwd))) {
            return Ok(found.path);
        }
    }
    Err(StoreError::Nothing {
        cwd: cwd.map(Path::to_owned),
    })
}

/// Counts threads that were not put away.
///
/// # Errors
/// A directory is there but cannot be listed.
pub fn count_threads(home: &Path) -> Result<usize, StoreError> {
    Ok(Files::scan(home)?.count())
}

/// Whether two paths are one directory.
pub fn same_place(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Files that do not say whose they are, and where it works, are nobody's.
fn is_wanted(path: &Path, cwd: Option<&Path>) -> bool {
    let Ok(part) = Part::open(path) else {
        return false;
    };
    let own = part.meta.source.get("subagent").is_none();
    let here = |cwd: &Path| {
        let started = part.meta.cwd.as_deref().unwrap_or_default();
        same_place(Path::new(started), cwd)
    };
    own && cwd.is_none_or(here)
}
