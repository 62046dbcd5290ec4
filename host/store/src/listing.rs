//! Lists of threads.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dovetail_core::ids::ThreadId;
use jiff::Timestamp;

use crate::error::{StoreError, with_source};
use crate::files::{Files, Stamped};
use crate::index::{Index, Known, is_no_damage};
use crate::names::{self, Naming};
use crate::summary::Facts;

/// A thread as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadSummary {
    /// The thread.
    pub id: ThreadId,
    /// Its file; of several, the one that counts.
    pub path: PathBuf,
    /// Whether it was put away.
    pub archived: bool,
    /// Its file's size in bytes.
    pub size: u64,
    /// When it was last written to.
    pub modified: SystemTime,
    /// When it began.
    pub created: Option<Timestamp>,
    /// Where it was started.
    pub cwd: PathBuf,
    /// `exec`, `cli`, `subagent:review`, ….
    pub source: String,
    /// Whether another thread started it for a purpose of its own.
    pub subagent: bool,
    /// `user`, ….
    pub thread_source: Option<String>,
    /// Who started it: `codex_exec`, ….
    pub originator: String,
    /// The provider's id.
    pub provider_id: String,
    /// The model.
    pub model: String,
    /// The thread whose history it begins with.
    pub forked_from: Option<ThreadId>,
    /// The thread that started it.
    pub parent_thread_id: Option<ThreadId>,
    /// The first thing the user said in it, or else in the thread it is a fork of, on one line; empty if nothing was
    /// said yet.
    pub preview: String,
    /// How many turns its own files have.
    pub turns: u64,
    /// What people call it.
    pub name: Option<String>,
}

/// All threads of a home.
#[derive(Debug, Default)]
pub struct Listing {
    /// The threads, newest first.
    pub threads: Vec<ThreadSummary>,
    /// Files that are named like threads and are none.
    pub unreadable: Vec<PathBuf>,
    /// How many files had to be read because the index did not know them.
    pub read: usize,
    /// Why the index could not be used, if it could not; everything was read without it.
    pub without_index: Option<String>,
}

/// Lists all threads of a home.
///
/// # Errors
/// A directory is there but cannot be listed.
pub fn list_threads(home: &Path) -> Result<Listing, StoreError> {
    // With thousands of threads each of the two takes as long as the other. The index is read on this thread: it makes
    // many small strings, and only the first thread's heap grows in large steps.
    let mut files = Ok(Vec::new());
    let index = rayon::in_place_scope(|scope| {
        scope.spawn(|_| files = Files::scan_stamped(home));
        Index::exists(home).then(|| Index::open(home))
    });
    let files = files?;
    let named = names::read(home)?;
    let mut listing = Listing::default();
    let known = if files.is_empty() {
        Vec::new()
    } else {
        let index = index.unwrap_or_else(|| Index::open(home));
        know(home, index, &files, &mut listing)
    };
    listing.threads.reserve(files.len());
    for (file, facts) in files.into_iter().zip(known) {
        match facts {
            Some(facts) => {
                let naming = named.get(&file.file.name.thread);
                listing.threads.push(summary(file, *facts, naming));
            }
            None => listing.unreadable.push(file.file.path),
        }
    }
    listing
        .threads
        .sort_by_cached_key(|thread| Reverse((thread.modified, thread.id)));
    inherit_previews(&mut listing.threads);
    Ok(listing)
}

/// A fork in which nothing was said yet is known by what was said first in its thread.
fn inherit_previews(threads: &mut [ThreadSummary]) {
    let silent = |thread: &ThreadSummary| thread.preview.is_empty() && thread.forked_from.is_some();
    if !threads.iter().any(silent) {
        return;
    }
    let said: HashMap<ThreadId, (String, Option<ThreadId>)> = threads
        .iter()
        .map(|thread| (thread.id, (thread.preview.clone(), thread.forked_from)))
        .collect();
    for thread in threads.iter_mut().filter(|thread| silent(thread)) {
        let mut parent = thread.forked_from;
        // Damaged files may name each other; nobody forks this often.
        for _ in 0..MAX_FORKS {
            let Some((preview, next)) = parent.and_then(|parent| said.get(&parent)) else {
                break;
            };
            if !preview.is_empty() {
                thread.preview.clone_from(preview);
                break;
            }
            parent = *next;
        }
    }
}

/// How far back the words of a fork are looked for.
const MAX_FORKS: usize = 100;

/// Makes the index anew. Gives what was listed with it.
///
/// # Errors
/// The index cannot be removed or made.
pub fn rebuild_index(home: &Path) -> Result<Listing, StoreError> {
    Index::clear(home)?;
    drop(Index::open(home)?);
    list_threads(home)
}

/// Where the index of a home is.
pub fn index_path(home: &Path) -> PathBuf {
    Index::path(home)
}

fn know(
    home: &Path,
    index: Result<Index, StoreError>,
    files: &[Stamped],
    listing: &mut Listing,
) -> Vec<Known> {
    let mut count = 0;
    let mut read = |file: &Stamped, old: Known| {
        count += 1;
        read_facts(file, old)
    };
    let known = match index {
        Ok(index) => index.sync(files, &mut read).or_else(|error| {
            if is_no_damage(&error) {
                return Err(error.to_string());
            }
            // Damage may show only when rows are written. What is thrown away is only what can be read again.
            tracing::debug!(%error, "the index of threads is made anew");
            let anew = Index::remove(home).and_then(|()| Index::open(home));
            let anew = anew.map_err(|error| with_source(&error))?;
            anew.sync(files, &mut read)
                .map_err(|error| error.to_string())
        }),
        Err(error) => Err(with_source(&error)),
    };
    let known = known.unwrap_or_else(|why| {
        listing.without_index = Some(why);
        files.iter().map(|file| read(file, None)).collect()
    });
    listing.read = count;
    known
}

fn read_facts(file: &Stamped, old: Known) -> Known {
    let path = &file.file.path;
    let size = u64::try_from(file.size).unwrap_or(0);
    let grown = old.and_then(|facts| facts.read_on(path, size).ok().flatten());
    let facts = grown.map_or_else(|| Facts::read(path), Ok);
    facts
        .map(Box::new)
        .inspect_err(|error| tracing::debug!(%error, "a file is no thread"))
        .ok()
}

fn summary(file: Stamped, facts: Facts, named: Option<&Naming>) -> ThreadSummary {
    let newest = [facts.naming.as_ref(), named]
        .into_iter()
        .flatten()
        .max_by_key(|naming| naming.since);
    ThreadSummary {
        id: facts.thread,
        archived: file.file.archived,
        path: file.file.path,
        size: u64::try_from(file.size).unwrap_or(0),
        modified: time_of(file.modified),
        created: facts.created,
        cwd: facts.cwd.into(),
        source: facts.source,
        subagent: facts.subagent,
        thread_source: facts.thread_source,
        originator: facts.originator,
        provider_id: facts.provider,
        model: facts.model,
        forked_from: facts.forked_from,
        parent_thread_id: facts.parent,
        preview: facts.preview,
        turns: facts.turns,
        name: newest.and_then(|naming| naming.name.clone()),
    }
}

/// A time from the nanoseconds that it is kept as.
fn time_of(nanos: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanos.unsigned_abs());
    let time = if nanos < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(UNIX_EPOCH)
}
