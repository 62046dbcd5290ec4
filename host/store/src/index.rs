//! The index: what lists show, kept in SQLite so that thousands of files need not be read for it.
//!
//! It is a projection of the files and never the truth: each row says of which state of its file it is, and what is not
//! so any more is read again. Deleted, it is made anew; damaged, it is thrown away; where it cannot be written at all,
//! the files are read without it.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dovetail_core::ids::ThreadId;
use jiff::Timestamp;
use rusqlite::Error::FromSqlConversionFailure;
use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, Row, Statement, TransactionBehavior, params};

use crate::error::StoreError;
use crate::files::Stamped;
use crate::names::Naming;
use crate::summary::Facts;

/// Rows of another shape are thrown away.
const VERSION: i64 = 2;

/// Bytes of a page: all pages are read for a list, and fewer reads take less time.
const PAGE: i64 = 32_768;

const TABLE: &str = "CREATE TABLE threads (
    path TEXT PRIMARY KEY, modified INTEGER NOT NULL, size INTEGER NOT NULL, scanned INTEGER NOT NULL, thread TEXT,
    created INTEGER, cwd TEXT NOT NULL, source TEXT NOT NULL, subagent INTEGER NOT NULL, thread_source TEXT,
    originator TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, forked_from TEXT, parent TEXT,
    preview TEXT NOT NULL, turns INTEGER NOT NULL, name TEXT, named INTEGER
) WITHOUT ROWID, STRICT";

/// Somebody else may be writing; that takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the index knows of a file: none for one that is no thread. Boxed, because thousands of them change hands.
pub(crate) type Known = Option<Box<Facts>>;

/// What the index has of a file: when it was last written to, its size then, and what it says.
type Entry = (i64, i64, Known);

pub(crate) struct Index {
    connection: Connection,
    home: PathBuf,
    entries: HashMap<String, Entry>,
}

impl Index {
    /// Where it is.
    pub(crate) fn path(home: &Path) -> PathBuf {
        home.join("dovetail").join("threads.sqlite3")
    }

    /// Whether there is one, of whatever kind.
    pub(crate) fn exists(home: &Path) -> bool {
        Self::path(home).symlink_metadata().is_ok()
    }

    /// Opens the index and reads it, or makes a new one where there is none or none that can be used.
    pub(crate) fn open(home: &Path) -> Result<Self, StoreError> {
        let path = Self::path(home);
        let failed = |source| StoreError::Index {
            path: path.clone(),
            source,
        };
        Self::try_open(home, &path).or_else(|error| {
            if is_no_damage(&error) {
                return Err(failed(error));
            }
            tracing::debug!(%error, "the index of threads is made anew");
            Self::remove(home)?;
            Self::try_open(home, &path).map_err(failed)
        })
    }

    /// Takes it away. It is made anew when it is next needed.
    pub(crate) fn remove(home: &Path) -> Result<(), StoreError> {
        for suffix in ["", "-wal", "-shm"] {
            let mut path = Self::path(home).into_os_string();
            path.push(suffix);
            let path = PathBuf::from(path);
            match std::fs::remove_file(&path) {
                Ok(()) => {}
                // Where there is no directory for it either, making it anew will say so.
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(error) => return Err(StoreError::io("remove", &path, error)),
            }
        }
        Ok(())
    }

    /// Takes whatever is in its place away: a directory is put aside, because what is in it is not ours.
    pub(crate) fn clear(home: &Path) -> Result<(), StoreError> {
        let path = Self::path(home);
        if path.is_dir() {
            let aside = path.with_extension("aside");
            std::fs::rename(&path, &aside)
                .map_err(|source| StoreError::io("move", &path, source))?;
        }
        Self::remove(home)
    }

    fn try_open(home: &Path, path: &Path) -> rusqlite::Result<Self> {
        if let Some(directory) = path.parent() {
            // What is wrong with the directory shows when the file in it is opened.
            drop(
                std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(directory),
            );
        }
        let connection = Connection::open(path)?;
        connection.busy_timeout(PATIENCE)?;
        // Counts only for a file that has nothing in it yet.
        connection.pragma_update(None, "page_size", PAGE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version != VERSION {
            connection.execute_batch(&format!(
                "BEGIN IMMEDIATE; DROP TABLE IF EXISTS threads; {TABLE}; PRAGMA user_version = {VERSION}; COMMIT"
            ))?;
        }
        let entries = read(&connection)?;
        Ok(Self {
            connection,
            home: home.to_owned(),
            entries,
        })
    }

    /// Brings the index up to these files, and gives what is then known of them.
    ///
    /// # Errors
    /// It cannot be written. While somebody else does that, it is left as it is: the next list will bring it up.
    pub(crate) fn sync(
        mut self,
        files: &[Stamped],
        read: &mut dyn FnMut(&Stamped, Known) -> Known,
    ) -> rusqlite::Result<Vec<Known>> {
        let mut known = Vec::with_capacity(files.len());
        let mut changed = Vec::new();
        for file in files {
            let key = self.key(file);
            match self.entries.remove(&key) {
                Some((modified, size, facts)) if (modified, size) == (file.modified, file.size) => {
                    known.push(facts);
                }
                old => {
                    let facts = read(file, old.and_then(|(_, _, facts)| facts));
                    changed.push((key, known.len()));
                    known.push(facts);
                }
            }
        }
        match self.write(files, &known, &changed) {
            Err(error) if is_busy(&error) => {
                tracing::debug!(%error, "the index of threads is left as it is");
                Ok(known)
            }
            written => written.map(|()| known),
        }
    }

    /// Writes what changed, and takes away what is left of files that are gone.
    fn write(
        &mut self,
        files: &[Stamped],
        known: &[Known],
        changed: &[(String, usize)],
    ) -> rusqlite::Result<()> {
        if changed.is_empty() && self.entries.is_empty() {
            return Ok(());
        }
        let write = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = write.prepare(INSERT)?;
            for (key, at) in changed {
                put(&mut insert, key, &files[*at], known[*at].as_deref())?;
            }
            let mut delete = write.prepare("DELETE FROM threads WHERE path = ?1")?;
            for key in self.entries.keys() {
                delete.execute([key])?;
            }
        }
        write.commit()
    }

    /// Paths are kept relative to the home, which may be moved.
    fn key(&self, file: &Stamped) -> String {
        let path = file.file.path.as_os_str().as_encoded_bytes();
        // Files are found below the home, so this is where the rest begins. Looking at each part takes longer.
        let below = path.strip_prefix(self.home.as_os_str().as_encoded_bytes());
        let relative = below.map(|rest| rest.strip_prefix(b"/").unwrap_or(rest));
        String::from_utf8_lossy(relative.unwrap_or(path)).into_owned()
    }
}

/// Whether the index may be as good as ever: taking it away would not help, and whoever has it would lose it.
pub(crate) fn is_no_damage(error: &rusqlite::Error) -> bool {
    let elsewhere = matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::DiskFull
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory
        )
    );
    elsewhere || is_busy(error)
}

/// Whether somebody else has the index.
fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn read(connection: &Connection) -> rusqlite::Result<HashMap<String, Entry>> {
    let mut statement = connection.prepare(
        "SELECT path, modified, size, scanned, thread, created, cwd, source, subagent, thread_source, originator,
         provider, model, forked_from, parent, preview, turns, name, named FROM threads",
    )?;
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, (row.get(1)?, row.get(2)?, facts(row)?)))
    })?;
    rows.collect()
}

fn facts(row: &Row<'_>) -> rusqlite::Result<Known> {
    let id = |at| {
        // A text that is no id is damage: the index cannot be believed.
        let text = row
            .get_ref(at)?
            .as_str_or_null()
            .map_err(|error| FromSqlConversionFailure(at, Type::Text, Box::new(error)))?;
        let parsed = text.map(ThreadId::parse).transpose();
        parsed.map_err(|error| FromSqlConversionFailure(at, Type::Text, Box::new(error)))
    };
    let time = |at| {
        let micros: Option<i64> = row.get(at)?;
        Ok::<_, rusqlite::Error>(micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()))
    };
    let Some(thread) = id(4)? else {
        return Ok(None);
    };
    let name: Option<String> = row.get(17)?;
    Ok(Some(Box::new(Facts {
        thread,
        scanned: row.get::<_, i64>(3)?.try_into().unwrap_or(0),
        created: time(5)?,
        cwd: row.get(6)?,
        source: row.get(7)?,
        subagent: row.get(8)?,
        thread_source: row.get(9)?,
        originator: row.get(10)?,
        provider: row.get(11)?,
        model: row.get(12)?,
        forked_from: id(13)?,
        parent: id(14)?,
        preview: row.get(15)?,
        turns: row.get::<_, i64>(16)?.try_into().unwrap_or(0),
        naming: time(18)?.map(|since| Naming { name, since }),
    })))
}

const INSERT: &str =
    "INSERT OR REPLACE INTO threads VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
    ?14, ?15, ?16, ?17, ?18, ?19)";

fn put(
    insert: &mut Statement<'_>,
    key: &str,
    file: &Stamped,
    facts: Option<&Facts>,
) -> rusqlite::Result<()> {
    // Counts of bytes and turns are far below what the column holds.
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let Some(facts) = facts else {
        let nothing = params![
            key,
            file.modified,
            file.size,
            0,
            None::<String>,
            None::<i64>,
            "",
            "",
            false,
            None::<String>,
            "",
            "",
            "",
            None::<String>,
            None::<String>,
            "",
            0,
            None::<String>,
            None::<i64>
        ];
        insert.execute(nothing)?;
        return Ok(());
    };
    let text = |id: Option<ThreadId>| id.map(|id| id.to_string());
    let naming = facts.naming.as_ref();
    insert.execute(params![
        key,
        file.modified,
        file.size,
        number(facts.scanned),
        facts.thread.to_string(),
        facts.created.map(Timestamp::as_microsecond),
        facts.cwd,
        facts.source,
        facts.subagent,
        facts.thread_source,
        facts.originator,
        facts.provider,
        facts.model,
        text(facts.forked_from),
        text(facts.parent),
        facts.preview,
        number(facts.turns),
        naming.and_then(|naming| naming.name.as_deref()),
        naming.map(|naming| naming.since.as_microsecond()),
    ])?;
    Ok(())
}
