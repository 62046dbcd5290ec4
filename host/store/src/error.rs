//! What can go wrong with threads on disk.

use std::path::PathBuf;

use dovetail_core::ids::ThreadId;

/// Why a thread cannot be read or taken up.
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
    /// There is no thread at all, or none for that directory.
    #[error("no thread to resume{}", cwd.as_ref().map(|cwd| format!(" for `{}`", cwd.display())).unwrap_or_default())]
    Nothing {
        /// The directory that was asked for.
        cwd: Option<PathBuf>,
    },
    /// The thread is there, but compressed.
    #[error("`{}` is compressed", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
    },
    /// The thread is there, but was put away.
    #[error("thread `{id}` is archived in `{}`", path.display())]
    Archived {
        /// The id.
        id: ThreadId,
        /// The file.
        path: PathBuf,
    },
    /// The file does not begin with what a thread is.
    #[error("`{}` does not begin with a readable `session_meta` line", path.display())]
    NoMeta {
        /// The file.
        path: PathBuf,
    },
    /// The thread continues another one that is not there.
    #[error("`{}` continues thread `{parent}`, which cannot be read", path.display())]
    NoParent {
        /// The file.
        path: PathBuf,
        /// The thread it continues.
        parent: ThreadId,
        /// Why that one cannot be read.
        source: Box<StoreError>,
    },
    /// Threads continue each other without end.
    #[error("`{}` continues too many other threads", path.display())]
    TooDeep {
        /// The file.
        path: PathBuf,
    },
    /// Another process is writing to the thread.
    #[error("thread file `{}` is in use by {owner}", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
        /// The other process as far as it is known, such as ``process 4711 (`dovetail`)``.
        owner: String,
    },
}

impl StoreError {
    /// What to do about it, where there is something to add.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { .. } | Self::NoParent { .. } | Self::TooDeep { .. } => None,
            Self::NotFound { .. } => {
                Some("thread ids are printed at the end of a run; `--last` takes the newest".into())
            }
            Self::Nothing { cwd: Some(_) } => {
                Some("`--all` looks at threads of other directories too".into())
            }
            Self::Nothing { cwd: None } => Some("start one: dovetail exec \"…\"".into()),
            Self::Compressed { path } => {
                Some(format!("unpack it first: zstd -d '{}'", path.display()))
            }
            Self::Archived { path, .. } => Some(format!(
                "move `{}` back under sessions/ to go on with it",
                path.display()
            )),
            Self::NoMeta { .. } => {
                Some("the file's beginning is lost; it cannot be resumed".into())
            }
            Self::InUse { .. } => Some("wait for it to end, or start a new thread".into()),
        }
    }
}
