//! What a sink did not take, kept on disk until the next run: `<dir>/<id>.jsonl`, for the user alone.
//!
//! Several processes may share an outbox. One that redelivers first renames the file and keeps it locked; the file
//! goes only when everything in it has been taken or put back. So a crash leaves a file that nobody has locked, and
//! the next run takes it: events may come twice, with the same ids, but are not lost.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{EventRecord, FieldClass};

use crate::event_line;
use crate::private_file;

/// What one sink may leave behind: a few ten thousand events, a few days of an unreachable collector.
const MOST_BYTES: u64 = 8 << 20;

/// How often an event may have been among those that broke the sink before it is given up: one that does so each
/// time must not do so for ever.
const MOST_BREAKS: u32 = 5;

/// How often another process's hold on the file is waited out, and how long each time. It holds it for one write.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// An event on its way to a sink.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pending {
    /// The event.
    pub(crate) record: Arc<EventRecord>,
    /// How often the sink broke over a batch with it.
    pub(crate) breaks: u32,
}

/// The outbox of one sink. All functions block.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    path: PathBuf,
}

/// What became of events that were to be kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// On disk now.
    pub(crate) spooled: u64,
    /// No room for them.
    pub(crate) overflowed: u64,
    /// The sink broke over them too often.
    pub(crate) given_up: u64,
}

/// Events of earlier runs, held until they are settled.
#[derive(Debug)]
pub(crate) struct Claim {
    files: Vec<(PathBuf, File)>,
    /// The events, oldest first.
    pub(crate) events: Vec<Pending>,
}

impl Outbox {
    /// Touches nothing yet.
    pub(crate) fn new(dir: &Path, sink: &PluginId) -> Self {
        Self {
            path: dir.join(format!("{sink}.jsonl")),
        }
    }

    /// Keeps events, with the fields of these classes.
    pub(crate) fn keep(&self, events: &[Pending], classes: &[FieldClass]) -> io::Result<Kept> {
        let mut kept = Kept::default();
        let mut file = self.open()?;
        let size = file.metadata()?.len();
        let mut room = MOST_BYTES.saturating_sub(size);
        let mut lines = String::new();
        if is_torn(&file, size)? {
            lines.push('\n');
        }
        for event in events {
            if event.breaks >= MOST_BREAKS {
                kept.given_up += 1;
                continue;
            }
            let line = event_line::write(&event.record, event.breaks, classes);
            match room.checked_sub(line.len() as u64) {
                Some(rest) => {
                    room = rest;
                    lines.push_str(&line);
                    kept.spooled += 1;
                }
                None => kept.overflowed += 1,
            }
        }
        file.write_all(lines.as_bytes())?;
        file.sync_data()?;
        Ok(kept)
    }

    /// Takes what earlier runs left behind; none where there is nothing.
    pub(crate) fn claim(&self) -> io::Result<Option<Claim>> {
        let mut claim = Claim {
            files: Vec::new(),
            events: Vec::new(),
        };
        for orphan in self.orphans()? {
            claim.take(orphan)?;
        }
        if self.path.exists() {
            let held = self.open()?;
            let claimed = self.claim_path();
            fs::rename(&self.path, &claimed)?;
            claim.read(claimed, held)?;
        }
        Ok(if claim.files.is_empty() {
            None
        } else {
            Some(claim)
        })
    }

    /// Opens the file locked, making it where there is none.
    fn open(&self) -> io::Result<File> {
        if let Some(dir) = self.path.parent() {
            private_file::make_dir(dir)?;
        }
        for _ in 0..LOCK_TRIES {
            let file = OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&self.path)?;
            match file.try_lock() {
                // Another process may have renamed it between opening and locking.
                Ok(()) if is_at(&file, &self.path) => return Ok(file),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::WouldBlock,
            "another process holds it",
        ))
    }

    fn claim_path(&self) -> PathBuf {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        self.path
            .with_extension(format!("claim-{}-{count}", std::process::id()))
    }

    /// Claims of all processes, also of this one; those in use are locked.
    fn orphans(&self) -> io::Result<Vec<PathBuf>> {
        let (Some(dir), Some(stem)) = (self.path.parent(), self.path.file_stem()) else {
            return Ok(Vec::new());
        };
        let prefix = format!("{}.claim-", stem.to_string_lossy());
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }
}

impl Claim {
    /// Takes a claim that no living process holds.
    fn take(&mut self, path: PathBuf) -> io::Result<()> {
        let file = match OpenOptions::new().read(true).append(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => self.read(path, file),
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn read(&mut self, path: PathBuf, mut file: File) -> io::Result<()> {
        let mut bytes = Vec::new();
        file.rewind()?;
        // Somebody else's file may be of any size; ours is not.
        (&mut file).take(2 * MOST_BYTES).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        for line in text.lines() {
            match event_line::read(line) {
                Some((record, breaks)) => {
                    self.events.push(Pending {
                        record: Arc::new(record),
                        breaks,
                    });
                }
                None if line.is_empty() => {}
                // The last line of a process that was killed while it wrote.
                None => tracing::debug!("an unreadable line in `{}` is left out", path.display()),
            }
        }
        self.files.push((path, file));
        Ok(())
    }

    /// Everything in it was taken or kept anew. The files stay locked until they are gone.
    pub(crate) fn settle(self) -> io::Result<()> {
        self.files
            .iter()
            .try_for_each(|(path, _)| fs::remove_file(path))
    }
}

/// Whether the last line has no end: whoever wrote it was killed.
fn is_torn(file: &File, size: u64) -> io::Result<bool> {
    let mut last = [b'\n'];
    if let Some(at) = size.checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    Ok(last != [b'\n'])
}

/// Whether a path still names an open file.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |file: fs::Metadata, path: fs::Metadata| {
        (file.dev(), file.ino()) == (path.dev(), path.ino())
    };
    file.metadata()
        .is_ok_and(|file| fs::metadata(path).is_ok_and(|path| same(file, path)))
}

#[cfg(test)]
#[path = "outbox/tests.rs"]
mod tests;
