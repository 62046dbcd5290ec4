//! Which thread files there are.
//!
//! A thread has one file, and one more for each time it was reverted: the newest is the one that counts, the older ones
//! hold what it begins with.

use std::collections::{HashMap, HashSet};
use std::fs::DirEntry;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use dovetail_core::ids::ThreadId;

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
    fn rank(&self) -> (bool, ThreadId, bool, bool) {
        (
            self.name.rollout != self.name.thread,
            // These ids sort by age.
            self.name.rollout,
            !self.archived,
            self.name.compression == Compression::None,
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
        let mut all = Vec::new();
        walk_home(home, &mut |file, _| all.push(file))?;
        Ok(Self { all })
    }

    /// The file of each thread that counts, with its state, in no order.
    ///
    /// # Errors
    /// As for [`Files::scan`].
    pub(crate) fn scan_stamped(home: &Path) -> Result<Vec<Stamped>, StoreError> {
        let (mut all, mut stamps) = (Vec::new(), HashMap::new());
        walk_home(home, &mut |file, entry| {
            // A file that goes away while we look is no longer there to be listed.
            if let Ok(metadata) = entry.metadata() {
                let modified =
                    metadata.mtime().saturating_mul(1_000_000_000) + metadata.mtime_nsec();
                let size = i64::try_from(metadata.len()).unwrap_or(i64::MAX);
                stamps.insert(all.len(), (modified, size));
                all.push(file);
            }
        })?;
        let files = Self { all };
        let current = files.current_indices();
        let stamped = files
            .all
            .into_iter()
            .enumerate()
            .filter_map(|(index, file)| {
                let (modified, size) =
                    stamps.remove(&index).filter(|_| current.contains(&index))?;
                Some(Stamped {
                    file,
                    modified,
                    size,
                })
            });
        Ok(stamped.collect())
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
        let current = self.current_indices();
        current.iter().filter(|at| !self.all[**at].archived).count()
    }

    /// Which files are those of a thread that count.
    fn current_indices(&self) -> HashSet<usize> {
        let mut newest: HashMap<ThreadId, usize> = HashMap::with_capacity(self.all.len());
        for (index, file) in self.all.iter().enumerate() {
            let best = newest.entry(file.name.thread).or_insert(index);
            if file.rank() > self.all[*best].rank() {
                *best = index;
            }
        }
        newest.into_values().collect()
    }
}

type Visit<'v> = dyn FnMut(RolloutFile, &DirEntry) + 'v;

fn walk_home(home: &Path, visit: &mut Visit<'_>) -> Result<(), StoreError> {
    walk(&place::sessions(home), false, visit)?;
    walk(&place::archived(home), true, visit)
}

/// Visits all thread files below a directory that may not exist. Links to directories are not followed.
fn walk(directory: &Path, archived: bool, visit: &mut Visit<'_>) -> Result<(), StoreError> {
    let failed = |source| StoreError::io("list", directory, source);
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), archived, visit)?;
        } else if let Some(name) = entry.file_name().to_str().and_then(FileName::parse) {
            let file = RolloutFile {
                path: entry.path(),
                name,
                archived,
            };
            visit(file, &entry);
        }
    }
    Ok(())
}
