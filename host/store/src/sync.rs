//! Getting a file onto the disk without making anybody wait for it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use dovetail_core::event::RecordError;

/// Waits for what a recorder has sent to the disk. Clones share the same work.
#[derive(Debug, Clone)]
pub struct Syncer {
    path: Arc<Path>,
    running: Arc<Mutex<Option<JoinHandle<std::io::Result<()>>>>>,
}

impl Syncer {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path: path.into(),
            running: Arc::new(Mutex::new(None)),
        }
    }

    /// Waits until everything up to the last end of a turn is on the disk. Call it before the process ends.
    ///
    /// # Errors
    /// The disk refused: what was written may be lost when the machine goes down.
    pub fn wait(&self) -> Result<(), RecordError> {
        // A panic while the slot was locked cannot have left it half-written: it is one Option.
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(thread) = running else { return Ok(()) };
        match thread.join() {
            Ok(result) => result.map_err(|error| self.failed(&error.to_string())),
            Err(_) => Err(self.failed("the thread that does it died")),
        }
    }

    /// Starts a flush on a thread of its own; an earlier one is waited for first, so that its failure is not lost.
    pub(crate) fn start(&self, file: &File, new_entry: NewEntry) -> Result<(), RecordError> {
        self.wait()?;
        let file = file
            .try_clone()
            .map_err(|error| self.failed(&error.to_string()))?;
        let directory = match new_entry {
            NewEntry::Yes => self.path.parent().map(Path::to_owned),
            NewEntry::No => None,
        };
        let flush = move || {
            let clock = std::time::Instant::now();
            file.sync_data()?;
            if let Some(directory) = directory {
                File::open(directory)?.sync_all()?;
            }
            tracing::debug!(
                elapsed_us = clock.elapsed().as_micros(),
                "thread file flushed"
            );
            Ok(())
        };
        let thread = std::thread::Builder::new()
            .name("thread-flush".into())
            .spawn(flush);
        let thread = thread.map_err(|error| self.failed(&error.to_string()))?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    fn failed(&self, why: &str) -> RecordError {
        RecordError {
            message: format!("flushing `{}`: {why}", self.path.display()),
        }
    }
}

/// Whether the file's name must reach the disk too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewEntry {
    Yes,
    No,
}
