//! Which thread files there are.
//!
//! A thread has one file, and one more for each time it was reverted: the newest is the one that counts, the older ones
//! hold what it begins with.

use std::collections::{HashMap, HashSet};
use std::fs::{DirEntry, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use dovetail_core::ids::ThreadId;
use rayon::prelude::*;

use crate::error::StoreError;
use crate::place::{self, Compression, FileName};

/// A thread's file, as far as its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RolloutFile {
    pub(crate) path: PathBuf,
    pub(crate) name: FileName,
    pub(crate) archived: bool,
}

impl RolloutFile {
    /// Which of two files of one thread counts: the later revert, and of two forms of one file the one that is in use.
    /// Copies of one file should not be there; of those it is the one with the later time in its name.
    fn rank(&self) -> impl Ord + '_ {
        (
            self.name.rollout != self.name.thread,
            // These ids sort by age.
            self.name.rollout,
            !self.archived,
            self.name.compression == Compression::None,
            self.path.file_name(),
            &self.path,
        )
    }
}

/// A thread's file with the state that it is in.
#[derive(Debug, Clone)]
pub(crate) struct Stamped {
    pub(crate) file: RolloutFile,
    /// When it was last written to, in nanoseconds since 1970.
    pub(crate) modified: i64,
    /// In bytes.
    pub(crate) size: i64,
}

/// All thread files of a home.
#[derive(Debug, Default)]
pub(crate) struct Files {
    all: Vec<RolloutFile>,
}

impl Files {
    /// Looks at the names below `sessions` and `archived_sessions`. No file is opened.
    ///
    /// # Errors
    /// One of the directories is there but cannot be listed.
    pub(crate) fn scan(home: &Path) -> Result<Self, StoreError> {
        let all = walk_home(home, &|file, _| Some(file))?;
        Ok(Self { all })
    }

    /// The file of each thread that counts, with its state, in no order.
    ///
    /// # Errors
    /// As for [`Files::scan`].
    pub(crate) fn scan_stamped(home: &Path) -> Result<Vec<Stamped>, StoreError> {
        let mut stamped = walk_home(home, &|file, entry| {
            // A file that goes away while we look is no longer there to be listed.
            let metadata = state_of(entry, &file.path)?;
            let modified = metadata.mtime().saturating_mul(1_000_000_000) + metadata.mtime_nsec();
            let size = i64::try_from(metadata.len()).unwrap_or(i64::MAX);
            Some(Stamped {
                file,
                modified,
                size,
            })
        })?;
        let current = current_indices(stamped.iter().map(|stamped| &stamped.file));
        let mut index = 0;
        stamped.retain(|_| {
            index += 1;
            current.contains(&(index - 1))
        });
        Ok(stamped)
    }

    /// The file with that id of its own.
    pub(crate) fn rollout(&self, id: ThreadId) -> Option<&RolloutFile> {
        let of_id = self.all.iter().filter(|file| file.name.rollout == id);
        of_id.max_by_key(|file| file.rank())
    }

    /// The file of a thread that counts.
    pub(crate) fn current(&self, thread: ThreadId) -> Option<&RolloutFile> {
        self.of_thread(thread).max_by_key(|file| file.rank())
    }

    /// All files of a thread.
    pub(crate) fn of_thread(&self, thread: ThreadId) -> impl Iterator<Item = &RolloutFile> {
        self.all
            .iter()
            .filter(move |file| file.name.thread == thread)
    }

    /// Every file.
    pub(crate) fn all(&self) -> &[RolloutFile] {
        &self.all
    }

    /// How many threads there are that were not put away.
    pub(crate) fn count(&self) -> usize {
        let current = current_indices(self.all.iter());
        current.iter().filter(|at| !self.all[**at].archived).count()
    }
}

/// Which files are those of a thread that count.
fn current_indices<'f>(files: impl ExactSizeIterator<Item = &'f RolloutFile>) -> HashSet<usize> {
    let mut newest: HashMap<ThreadId, (usize, &RolloutFile)> = HashMap::with_capacity(files.len());
    for (index, file) in files.enumerate() {
        let best = newest.entry(file.name.thread).or_insert((index, file));
        if file.rank() > best.1.rank() {
            *best = (index, file);
        }
    }
    newest.into_values().map(|(index, _)| index).collect()
}

/// The state of a file; through a link that of what it leads to, because that is what grows.
fn state_of(entry: &DirEntry, path: &Path) -> Option<Metadata> {
    let metadata = entry.metadata().ok()?;
    if metadata.is_symlink() {
        // A link that leads nowhere is listed as what it is: a file that cannot be read.
        return Some(std::fs::metadata(path).unwrap_or(metadata));
    }
    Some(metadata)
}

/// What becomes of a file that was found: nothing, where it is of no interest.
type Take<'t, T> = dyn Fn(RolloutFile, &DirEntry) -> Option<T> + Sync + 't;

fn walk_home<T: Send>(home: &Path, take: &Take<'_, T>) -> Result<Vec<T>, StoreError> {
    let mut found = walk(&place::sessions(home), false, take)?;
    found.append(&mut walk(&place::archived(home), true, take)?);
    Ok(found)
}

/// From so many directories on, and so many files in one, they are looked at on several cores. Most commands meet fewer,
/// and starting threads would take longer.
const MANY_DIRECTORIES: usize = 8;
const MANY_FILES: usize = 1024;

/// Looks through all thread files below a directory that may not exist. Links to directories are not followed.
fn walk<T: Send>(
    directory: &Path,
    archived: bool,
    take: &Take<'_, T>,
) -> Result<Vec<T>, StoreError> {
    let failed = |source| StoreError::io("list", directory, source);
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let (mut files, mut below) = (Vec::new(), Vec::new());
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            below.push(entry.path());
        } else if let Some(name) = entry.file_name().to_str().and_then(FileName::parse) {
            let path = entry.path();
            let file = RolloutFile {
                path,
                name,
                archived,
            };
            files.push((file, entry));
        }
    }
    let take_one = |(file, entry): (RolloutFile, DirEntry)| take(file, &entry);
    let mut found: Vec<T> = if files.len() < MANY_FILES {
        files.into_iter().filter_map(take_one).collect()
    } else {
        files.into_par_iter().filter_map(take_one).collect()
    };
    let inside = |directory: &PathBuf| walk(directory, archived, take);
    let inside: Vec<Vec<T>> = if below.len() < MANY_DIRECTORIES {
        below.iter().map(inside).collect::<Result<_, _>>()?
    } else {
        below.par_iter().map(inside).collect::<Result<_, _>>()?
    };
    found.extend(inside.into_iter().flatten());
    Ok(found)
}
