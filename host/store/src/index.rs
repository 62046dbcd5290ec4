//! The index: what lists show, kept in SQLite so that thousands of files need not be read for it.
//!
//! It is a projection of the files and never the truth: each row says of which state of its file it is, and what is not
//! so any more is read again. Deleted, it is made anew; damaged, it is thrown away; where it cannot be written at all,
//! the files are read without it.

use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dovetail_core::ids::ThreadId;
use jiff::Timestamp;
use rusqlite::{Connection, Row, Statement, params};

use crate::error::StoreError;
use crate::files::Stamped;
use crate::names::Naming;
use crate::summary::Facts;

/// Rows of another shape are thrown away.
const VERSION: i64 = 1;

const TABLE: &str = "CREATE TABLE threads (
    path TEXT PRIMARY KEY, modified INTEGER NOT NULL, size INTEGER NOT NULL, scanned INTEGER NOT NULL, thread TEXT,
    created INTEGER, cwd TEXT NOT NULL, source TEXT NOT NULL, subagent INTEGER NOT NULL, thread_source TEXT,
    originator TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, forked_from TEXT, parent TEXT,
    preview TEXT NOT NULL, turns INTEGER NOT NULL, name TEXT, named INTEGER
) WITHOUT ROWID, STRICT";

/// Somebody else may be writing; that takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the index knows of a file: none for one that is no thread.
pub(crate) type Known = Option<Facts>;

pub(crate) struct Index {
    connection: Connection,
    home: PathBuf,
}

impl Index {
    /// Where it is.
    pub(crate) fn path(home: &Path) -> PathBuf {
        home.join("dovetail").join("threads.sqlite3")
    }

    /// Opens the index, or makes a new one where there is none or none that can be used.
    pub(crate) fn open(home: &Path) -> Result<Self, StoreError> {
        let path = Self::path(home);
        Self::try_open(home, &path).or_else(|error| {
            tracing::debug!(%error, "the index of threads is made anew");
            Self::remove(home)?;
            Self::try_open(home, &path).map_err(|source| StoreError::Index { path, source })
        })
    }

    /// Takes it away. It is made anew when it is next needed.
    pub(crate) fn remove(home: &Path) -> Result<(), StoreError> {
        for suffix in ["", "-wal", "-shm"] {
            let mut path = Self::path(home).into_os_string();
            path.push(suffix);
            let path = PathBuf::from(path);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", &path, error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
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
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version != VERSION {
            connection.execute_batch(&format!(
                "BEGIN IMMEDIATE; DROP TABLE IF EXISTS threads; {TABLE}; PRAGMA user_version = {VERSION}; COMMIT"
            ))?;
        }
        Ok(Self {
            connection,
            home: home.to_owned(),
        })
    }

    /// Brings the index up to these files, and gives what it then knows of them.
    pub(crate) fn sync(
        &mut self,
        files: &[Stamped],
        read: &mut dyn FnMut(&Stamped, Known) -> Known,
    ) -> rusqlite::Result<Vec<Known>> {
        let mut rows = self.rows()?;
        let mut known = Vec::with_capacity(files.len());
        let mut changed = Vec::new();
        for file in files {
            let key = self.key(file);
            match rows.remove(&key) {
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
        if !changed.is_empty() || !rows.is_empty() {
            let write = self.connection.transaction()?;
            {
                let mut insert = write.prepare(INSERT)?;
                for (key, at) in &changed {
                    put(&mut insert, key, &files[*at], known[*at].as_ref())?;
                }
                let mut delete = write.prepare("DELETE FROM threads WHERE path = ?1")?;
                for key in rows.keys() {
                    delete.execute([key])?;
                }
            }
            write.commit()?;
        }
        Ok(known)
    }

    /// Paths are kept relative to the home, which may be moved.
    fn key(&self, file: &Stamped) -> String {
        let path = &file.file.path;
        path.strip_prefix(&self.home)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    }

    fn rows(&self) -> rusqlite::Result<HashMap<String, (i64, i64, Known)>> {
        let mut statement = self.connection.prepare(
            "SELECT path, modified, size, scanned, thread, created, cwd, source, subagent, thread_source, originator,
             provider, model, forked_from, parent, preview, turns, name, named FROM threads",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((row.get(0)?, (row.get(1)?, row.get(2)?, facts(row)?)))
        })?;
        rows.collect()
    }
}

fn facts(row: &Row<'_>) -> rusqlite::Result<Known> {
    let id = |at| {
        let text: Option<String> = row.get(at)?;
        Ok::<_, rusqlite::Error>(text.and_then(|text| ThreadId::parse(&text).ok()))
    };
    let time = |at| {
        let micros: Option<i64> = row.get(at)?;
        Ok::<_, rusqlite::Error>(micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()))
    };
    let Some(thread) = id(4)? else {
        return Ok(None);
    };
    let name: Option<String> = row.get(17)?;
    Ok(Some(Facts {
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
    }))
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
