//! `dovetail thread`: looking at conversations on disk, and keeping them in order.

mod list;
mod manage;
mod search;
mod show;
mod verify;

pub(crate) use list::{Here, Row, about};

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use dovetail_core::ids::ThreadId;
use dovetail_store::ThreadSummary;

use crate::fatal::{self, Fatal};

/// `dovetail thread`.
#[derive(Debug, Args)]
pub(crate) struct ThreadArgs {
    /// What to do.
    #[command(subcommand)]
    command: ThreadCommand,
}

/// The commands. `<THREAD>` is an id or a name.
#[derive(Debug, Subcommand)]
enum ThreadCommand {
    /// List the threads of this directory, newest first.
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Show a thread and its turns.
    Show {
        /// The thread.
        thread: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Find the threads in which something was said.
    Search(search::SearchArgs),
    /// Give a thread a name, or take it away.
    Name {
        /// The thread.
        thread: String,
        /// The name; nothing takes it away.
        name: Option<String>,
    },
    /// Put threads away: they are in no list, and forks of them go on.
    Archive {
        /// The threads.
        #[arg(required = true)]
        threads: Vec<String>,
    },
    /// Take threads back out of the archive.
    Unarchive {
        /// The threads.
        #[arg(required = true)]
        threads: Vec<String>,
    },
    /// Delete threads for good.
    Delete {
        /// The threads.
        #[arg(required = true)]
        threads: Vec<String>,
        /// Do not ask.
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Begin a thread with the history of another one.
    Fork {
        /// The other thread.
        thread: String,
        /// The turn to leave it after: its id or number; the last one, if not given.
        #[arg(long, value_name = "TURN")]
        at: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Look for damage in the files of threads.
    Fsck(verify::FsckArgs),
    /// Make the index of all threads anew.
    Reindex {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// Whatever keeps it from doing what it was asked for.
pub(crate) fn run(args: ThreadArgs) -> anyhow::Result<ExitCode> {
    let home = dovetail_config::codex_home()?;
    match args.command {
        ThreadCommand::List(args) => list::run(&home, &args)?,
        ThreadCommand::Show { thread, json } => show::run(&home, &thread, json)?,
        ThreadCommand::Search(args) => search::run(&home, &args)?,
        ThreadCommand::Name { thread, name } => manage::name(&home, &thread, name.as_deref())?,
        ThreadCommand::Archive { threads } => manage::archive(&home, &threads)?,
        ThreadCommand::Unarchive { threads } => manage::unarchive(&home, &threads)?,
        ThreadCommand::Delete { threads, yes } => manage::delete(&home, &threads, yes)?,
        ThreadCommand::Fork { thread, at, json } => manage::fork(&home, &thread, at, json)?,
        ThreadCommand::Fsck(args) => return verify::fsck(&home, &args),
        ThreadCommand::Reindex { json } => verify::reindex(&home, json)?,
    }
    Ok(ExitCode::from(fatal::OK))
}

/// The one thread that people call so, archived or not.
fn find(home: &Path, text: &str) -> anyhow::Result<ThreadSummary> {
    let Ok(id) = ThreadId::parse(text) else {
        return only(dovetail_store::find_named(home, text)?, text);
    };
    let threads = dovetail_store::list_threads(home)?.threads;
    let found = threads.into_iter().find(|thread| thread.id == id);
    found.ok_or_else(|| {
        dovetail_store::StoreError::NotFound {
            id,
            sessions: home.join("sessions"),
        }
        .into()
    })
}

fn only(named: Vec<ThreadSummary>, name: &str) -> anyhow::Result<ThreadSummary> {
    match <[ThreadSummary; 1]>::try_from(named) {
        Ok([thread]) => Ok(thread),
        Err(none) if none.is_empty() => Err(dovetail_store::StoreError::NoSuchName {
            name: name.to_owned(),
        }
        .into()),
        Err(several) => {
            let ids: Vec<String> = several.iter().map(|thread| thread.id.to_string()).collect();
            Err(
                Fatal::new(format!("{} threads are named `{name}`", several.len()))
                    .hint(format!("say which by its id: {}", ids.join(", ")))
                    .into(),
            )
        }
    }
}
