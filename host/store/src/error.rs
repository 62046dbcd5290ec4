//! What can go wrong with threads on disk.

use std::path::{Path, PathBuf};

use dovetail_core::ids::ThreadId;

/// What was tried with a packed file that is to be gone on with.
pub(crate) const UNPACK: &str = "unpack";

/// Why a thread cannot be read, taken up or moved.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system said no.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, such as `read`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no thread with that id.
    #[error("no thread `{id}` under `{}`", sessions.display())]
    NotFound {
        /// The id.
        id: ThreadId,
        /// Where was looked.
        sessions: PathBuf,
    },
    /// There is no thread with that name.
    #[error("no thread is named `{name}`")]
    NoSuchName {
        /// The name.
        name: String,
    },
    /// There is no thread at all, or none for that directory.
    #[error("no thread to resume{}", cwd.as_ref().map(|cwd| format!(" for `{}`", cwd.display())).unwrap_or_default())]
    Nothing {
        /// The directory that was asked for.
        cwd: Option<PathBuf>,
    },
    /// The thread is there, but was put away.
    #[error("thread `{id}` is archived in `{}`", path.display())]
    Archived {
        /// The id.
        id: ThreadId,
        /// The file.
        path: PathBuf,
    },
    /// The thread is in use and cannot be taken back out of the archive.
    #[error("thread `{id}` is not archived")]
    NotArchived {
        /// The id.
        id: ThreadId,
    },
    /// Other threads begin in this one.
    #[error("thread `{id}` is where {} other thread{} begin{}", forks.len(), if forks.len() == 1 { "" } else { "s" }, if forks.len() == 1 { "s" } else { "" })]
    HasForks {
        /// The thread.
        id: ThreadId,
        /// Those that begin in it.
        forks: Vec<ThreadId>,
    },
    /// The file does not say which thread it is.
    #[error("`{}` has no line that says which thread it is", path.display())]
    NoMeta {
        /// The file.
        path: PathBuf,
    },
    /// The thread goes on from another one that is not there.
    #[error("`{}` continues thread `{parent}`, which cannot be read", path.display())]
    NoParent {
        /// The file.
        path: PathBuf,
        /// The thread it continues.
        parent: ThreadId,
        /// Why that one cannot be read.
        source: Box<StoreError>,
    },
    /// Threads go on from each other in a circle.
    #[error("`{}` continues itself, through other threads", path.display())]
    Circle {
        /// The file.
        path: PathBuf,
    },
    /// Another process is writing to the thread.
    #[error("thread `{id}` is in use by {owner}")]
    InUse {
        /// The thread.
        id: ThreadId,
        /// The other process as far as it is known, such as ``process 4711 (`dovetail`)``.
        owner: String,
    },
    /// The thread has no such turn.
    #[error("thread `{id}` has no turn `{turn}`")]
    NoTurn {
        /// The thread.
        id: ThreadId,
        /// The turn, as it was asked for.
        turn: String,
        /// How many turns there are.
        turns: usize,
    },
    /// A name that cannot be one.
    #[error("`{name}` cannot be the name of a thread: {why}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The index cannot be made.
    #[error("cannot make the index `{}`", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rusqlite::Error,
    },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// What to do about it, where there is something to add.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io {
                action: UNPACK,
                source,
                ..
            } if is_damage(source) => Some(
                "`dovetail thread fsck --repair` keeps what of it can be read, and the file as it is"
                    .into(),
            ),
            Self::Io { .. } | Self::Circle { .. } | Self::NotArchived { .. } => None,
            Self::NotFound { .. } | Self::NoSuchName { .. } => Some(
                "`dovetail thread list --all` shows all threads; `--last` takes the newest".into(),
            ),
            Self::Nothing { cwd: Some(_) } => {
                Some("`--all` looks at threads of other directories too".into())
            }
            Self::Nothing { cwd: None } => Some("start one: dovetail exec \"…\"".into()),
            Self::Archived { id, .. } => {
                Some(format!("take it out first: dovetail thread unarchive {id}"))
            }
            Self::HasForks { forks, .. } => {
                let forks: Vec<String> = forks.iter().map(ToString::to_string).collect();
                Some(format!("delete them first: {}", forks.join(" ")))
            }
            Self::NoMeta { .. } => Some(
                "nothing in it can be read; put it aside: dovetail thread fsck --repair".into(),
            ),
            Self::NoParent { parent, .. } => Some(format!(
                "put the file of `{parent}` back under sessions/ or archived_sessions/"
            )),
            Self::InUse { id, .. } => Some(format!(
                "wait for it to end, or go on beside it: dovetail exec fork {id} \"…\""
            )),
            Self::NoTurn { id, turns, .. } => Some(match turns {
                0 => "it has no turns yet".to_owned(),
                turns => format!("it has turns 1 to {turns}: dovetail thread show {id}"),
            }),
            Self::BadName { .. } => {
                Some("use up to 200 characters on one line, and no id of a thread".into())
            }
            Self::Index { .. } => {
                Some("nothing is lost: threads are in their files; delete it and try again".into())
            }
        }
    }
}

/// An error with what caused it, where only one line of text is left to say both.
pub(crate) fn with_source(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Whether unpacking failed because of what is in the file, rather than for want of space or rights.
fn is_damage(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::Other | ErrorKind::UnexpectedEof | ErrorKind::InvalidData
    )
}
