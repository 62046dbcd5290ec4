//! A file that grows by whole lines.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dovetail_core::event::RecordError;
use jiff::Timestamp;
use serde::Serialize;

use crate::error::{self, StoreError};
use crate::load::{HistoryMode, Tail};
use crate::place;
use crate::sync::{NewEntry, Syncer};

/// Appends lines to a thread's file. A line is written with one call as soon as it is known, so that a killed process
/// loses at most the line that it was writing.
pub(crate) struct LineFile {
    path: PathBuf,
    state: State,
    mode: HistoryMode,
    next_ordinal: u64,
    /// Of the newest line: time does not go back within a file, whatever the clock does.
    last_time: Timestamp,
    /// Reused: a line is serialized straight into it.
    buffer: Vec<u8>,
    syncer: Syncer,
}

enum State {
    /// Not made yet: a thread without a turn leaves no file.
    Missing,
    /// Open, with this many bytes.
    Open {
        file: File,
        length: u64,
        new_entry: NewEntry,
    },
    /// A write failed, for this reason; nothing may follow, or the file would have a hole.
    Broken(String),
}

#[derive(Serialize)]
struct Line<'a, P> {
    timestamp: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ordinal: Option<u64>,
    #[serde(rename = "type")]
    kind: &'static str,
    payload: &'a P,
}

impl LineFile {
    /// A file that is made with its first line, which gets this ordinal.
    pub(crate) fn new(path: PathBuf, mode: HistoryMode, first_ordinal: u64) -> Self {
        let syncer = Syncer::new(path.clone());
        Self {
            path,
            state: State::Missing,
            mode,
            next_ordinal: first_ordinal,
            last_time: Timestamp::MIN,
            buffer: Vec::new(),
            syncer,
        }
    }

    /// A file that is open already and ends with a whole line.
    pub(crate) fn reopened(path: PathBuf, file: File, tail: &Tail, next_ordinal: u64) -> Self {
        let state = State::Open {
            file,
            length: tail.whole_bytes,
            new_entry: NewEntry::No,
        };
        Self {
            state,
            last_time: tail.last_time.unwrap_or(Timestamp::MIN),
            ..Self::new(path, tail.mode, next_ordinal)
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn syncer(&self) -> Syncer {
        self.syncer.clone()
    }

    /// Which dialect the file is written in.
    pub(crate) fn mode(&self) -> HistoryMode {
        self.mode
    }

    /// Whether the first line is still to come.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.state, State::Missing)
    }

    /// Appends a line.
    pub(crate) fn append<P: Serialize>(
        &mut self,
        kind: &'static str,
        payload: &P,
    ) -> Result<(), RecordError> {
        self.last_time = self.last_time.max(place::timestamp(SystemTime::now()));
        let timestamp = format!("{:.3}", self.last_time);
        let line = Line {
            timestamp: &timestamp,
            ordinal: (self.mode == HistoryMode::Paginated).then_some(self.next_ordinal),
            kind,
            payload,
        };
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, &line).map_err(|error| {
            self.error(&format!("a `{kind}` line cannot be serialized: {error}"))
        })?;
        self.buffer.push(b'\n');
        self.write()?;
        self.next_ordinal += 1;
        Ok(())
    }

    /// Appends a line of another file as it is, without its end.
    pub(crate) fn copy(&mut self, line: &[u8]) -> Result<(), RecordError> {
        self.buffer.clear();
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        self.write()?;
        self.next_ordinal += 1;
        Ok(())
    }

    /// Sends what is written to the disk, in the background.
    pub(crate) fn flush(&mut self) -> Result<(), RecordError> {
        let State::Open {
            file, new_entry, ..
        } = &mut self.state
        else {
            return Ok(());
        };
        let entry = std::mem::replace(new_entry, NewEntry::No);
        self.syncer.start(file, entry)
    }

    fn write(&mut self) -> Result<(), RecordError> {
        if let State::Missing = self.state {
            let file =
                create(&self.path).map_err(|error| self.error(&error::with_source(&error)))?;
            self.state = State::Open {
                file,
                length: 0,
                new_entry: NewEntry::Yes,
            };
        }
        let why = match &mut self.state {
            State::Open { file, length, .. } => match file.write_all(&self.buffer) {
                Ok(()) => {
                    *length += self.buffer.len() as u64;
                    return Ok(());
                }
                Err(error) => {
                    // Takes half a line away again, so that the file stays whole. Should that fail too, the next
                    // reader meets a torn last line, which it knows how to handle.
                    drop(match *length {
                        // A file without a line is no thread.
                        0 => std::fs::remove_file(&self.path),
                        length => file.set_len(length),
                    });
                    error.to_string()
                }
            },
            State::Broken(why) => why.clone(),
            State::Missing => "it is missing".to_owned(),
        };
        let error = self.error(&why);
        self.state = State::Broken(why);
        Err(error)
    }

    fn error(&self, why: &str) -> RecordError {
        RecordError {
            message: format!("`{}`: {why}", self.path.display()),
        }
    }
}

/// Makes the file and the directories above it, readable by their owner alone.
fn create(path: &Path) -> Result<File, StoreError> {
    if let Some(directory) = path.parent() {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.map_err(|source| StoreError::io("create", directory, source))?;
    }
    let opened = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    opened.map_err(|source| StoreError::io("create", path, source))
}
