//! Names that people give to threads.
//!
//! They are kept in `session_index.jsonl` of the home, one line for each time a thread was named; the newest counts. Old
//! clients wrote them into the thread's own file, which is read with the rest of it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use dovetail_core::ids::ThreadId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::lineage;

/// The longest name, in characters. Longer ones are no help in a list.
const MAX_NAME: usize = 200;

/// What a thread is called, and since when. No name means that it was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Naming {
    pub(crate) name: Option<String>,
    pub(crate) since: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Line {
    id: String,
    #[serde(default)]
    thread_name: Option<String>,
    #[serde(default)]
    updated_at: String,
}

/// Checks a name.
///
/// # Errors
/// It is empty, too long, has control characters, or could be taken for an id.
pub fn check_name(name: &str) -> Result<&str, StoreError> {
    let name = name.trim();
    let why = if name.is_empty() {
        "it is empty"
    } else if name.chars().count() > MAX_NAME {
        "it is too long"
    } else if name.chars().any(char::is_control) {
        "it has control characters"
    } else if ThreadId::parse(name).is_ok() {
        "it could be taken for an id"
    } else {
        return Ok(name);
    };
    Err(StoreError::BadName {
        name: name.escape_debug().to_string(),
        why,
    })
}

/// Gives a thread a name, or takes it away.
///
/// # Errors
/// The name cannot be one, or the file cannot be written.
pub fn set_name(home: &Path, thread: ThreadId, name: Option<&str>) -> Result<(), StoreError> {
    let name = name.map(check_name).transpose()?;
    let line = Line {
        id: thread.to_string(),
        // Other clients read a text here.
        thread_name: Some(name.unwrap_or_default().to_owned()),
        updated_at: Timestamp::now().to_string(),
    };
    let path = path(home);
    let failed = |source| StoreError::io("write", &path, source);
    let mut text = serde_json::to_vec(&line).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    // The lock of other clients: they write the file anew now and then.
    let lock = open(&home.join("session_index.jsonl.lock")).map_err(failed)?;
    match lock.lock() {
        Err(error) if error.kind() != std::io::ErrorKind::Unsupported => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let mut file = open(&path).map_err(failed)?;
    if !ends_with_line_end(&path).map_err(failed)? {
        text.insert(0, b'\n');
    }
    file.write_all(&text)
        .and_then(|()| file.sync_data())
        .map_err(failed)
}

/// All names, as far as the file can be read. Lines that cannot be are left out: a name is no part of a conversation.
pub(crate) fn read(home: &Path) -> Result<HashMap<ThreadId, Naming>, StoreError> {
    let path = path(home);
    let failed = |source| StoreError::io("read", &path, source);
    let mut names: HashMap<ThreadId, Naming> = HashMap::new();
    let file = match lineage::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(names),
        Err(error) => return Err(failed(error)),
    };
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(failed)?;
        let Ok(line) = serde_json::from_slice::<Line>(&line) else {
            continue;
        };
        let Ok(id) = ThreadId::parse(&line.id) else {
            continue;
        };
        // Later lines win whatever their clock said.
        names.insert(
            id,
            Naming {
                name: line.thread_name.filter(|name| !name.is_empty()),
                since: line.updated_at.parse().unwrap_or(Timestamp::UNIX_EPOCH),
            },
        );
    }
    Ok(names)
}

/// Lines of the file that cannot be read, from 1.
pub(crate) fn damaged_lines(home: &Path) -> Result<Vec<u64>, StoreError> {
    let path = path(home);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(StoreError::io("read", &path, source)),
    };
    let lines = text.split(|byte| *byte == b'\n').zip(1..);
    let damaged =
        lines.filter(|(line, _)| !line.is_empty() && serde_json::from_slice::<Line>(line).is_err());
    Ok(damaged.map(|(_, number)| number).collect())
}

pub(crate) fn path(home: &Path) -> PathBuf {
    home.join("session_index.jsonl")
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

fn ends_with_line_end(path: &Path) -> std::io::Result<bool> {
    let text = std::fs::read(path)?;
    Ok(text.last().is_none_or(|byte| *byte == b'\n'))
}
