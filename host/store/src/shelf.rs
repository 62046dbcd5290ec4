//! Putting threads away, taking them out again, and deleting them. All files of a thread go together.

use std::collections::HashSet;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use dovetail_core::ids::ThreadId;

use crate::error::StoreError;
use crate::files::{Files, RolloutFile};
use crate::lineage::Part;
use crate::lock::WriterLock;
use crate::{names, place};

/// Moves a thread to `archived_sessions`. Forks of it go on reading it there.
///
/// # Errors
/// There is no such thread, it is archived already, or it is in use.
pub fn archive_thread(home: &Path, id: ThreadId) -> Result<(), StoreError> {
    let _lock = WriterLock::take(home, id)?;
    let files = files_of(home, id)?;
    if let Some(archived) = files.iter().find(|file| file.archived) {
        return Err(StoreError::Archived {
            id,
            path: archived.path.clone(),
        });
    }
    let archive = place::archived(home);
    for file in &files {
        move_into(file, &archive)?;
    }
    Ok(())
}

/// Moves a thread back to where it was before it was archived.
///
/// # Errors
/// There is no such thread, it is not archived, or it is in use.
pub fn unarchive_thread(home: &Path, id: ThreadId) -> Result<(), StoreError> {
    let _lock = WriterLock::take(home, id)?;
    let mut files = files_of(home, id)?;
    files.retain(|file| file.archived);
    if files.is_empty() {
        return Err(StoreError::NotArchived { id });
    }
    for file in &files {
        move_into(file, &day_of(home, &file.path))?;
    }
    Ok(())
}

/// Deletes a thread for good.
///
/// # Errors
/// There is no such thread, it is in use, or other threads begin in it.
pub fn delete_thread(home: &Path, id: ThreadId) -> Result<(), StoreError> {
    let _lock = WriterLock::take(home, id)?;
    let files = Files::scan(home)?;
    let own: Vec<&RolloutFile> = files.of_thread(id).collect();
    if own.is_empty() {
        return Err(not_found(home, id));
    }
    let forks = forks_of(&files, id);
    if !forks.is_empty() {
        return Err(StoreError::HasForks { id, forks });
    }
    for file in own {
        std::fs::remove_file(&file.path)
            .map_err(|source| StoreError::io("remove", &file.path, source))?;
    }
    if names::read(home)?.contains_key(&id) {
        names::set_name(home, id, None)?;
    }
    Ok(())
}

/// Other threads whose history is in the files of this one.
fn forks_of(files: &Files, id: ThreadId) -> Vec<ThreadId> {
    let own: HashSet<ThreadId> = files.of_thread(id).map(|file| file.name.rollout).collect();
    let mut forks: Vec<ThreadId> = files
        .all()
        .iter()
        .filter(|file| file.name.thread != id)
        .filter(|file| {
            // A file that cannot be read begins nowhere that we could keep for it.
            let base = Part::open(&file.path).ok().and_then(|part| part.base_id());
            base.is_some_and(|base| own.contains(&base))
        })
        .map(|file| file.name.thread)
        .collect();
    forks.sort_unstable();
    forks.dedup();
    forks
}

fn files_of(home: &Path, id: ThreadId) -> Result<Vec<RolloutFile>, StoreError> {
    let files: Vec<RolloutFile> = Files::scan(home)?.of_thread(id).cloned().collect();
    if files.is_empty() {
        return Err(not_found(home, id));
    }
    Ok(files)
}

fn not_found(home: &Path, id: ThreadId) -> StoreError {
    StoreError::NotFound {
        id,
        sessions: place::sessions(home),
    }
}

/// Moves a file, never over another one.
fn move_into(file: &RolloutFile, directory: &Path) -> Result<(), StoreError> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made.map_err(|source| StoreError::io("create", directory, source))?;
    let to = directory.join(file.path.file_name().unwrap_or_default());
    // A link fails where a rename would replace what is there.
    std::fs::hard_link(&file.path, &to)
        .and_then(|()| std::fs::remove_file(&file.path))
        .map_err(|source| StoreError::io("move a thread to", &to, source))
}

/// The directory of the day in a file's name: `rollout-2026-11-20T…`.
fn day_of(home: &Path, path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut day = place::sessions(home);
    let date = name
        .strip_prefix("rollout-")
        .and_then(|rest| rest.get(..10));
    if let Some(date) = date.and_then(|date| date.parse::<jiff::civil::Date>().ok()) {
        day.push(date.strftime("%Y/%m/%d").to_string());
    }
    day
}
