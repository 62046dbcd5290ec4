//! `dovetail thread list`.

use std::path::Path;
use std::time::{Duration, SystemTime};

use clap::Args;
use dovetail_store::{Listing, ThreadSummary};
use serde_json::{Value, json};

use crate::out;
use crate::plugin_cmd::layout::{WIDTH, table};
use crate::terminal_text::one_line;

/// How many rows a person is shown at most, unless asked for more.
const ROWS: usize = 50;

/// `dovetail thread list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Threads of any directory.
    #[arg(long)]
    all: bool,
    /// Those that were put away instead.
    #[arg(long)]
    archived: bool,
    /// Also those that another thread started, such as reviews.
    #[arg(long)]
    subagents: bool,
    /// At most so many; 0 for all of them. A table has 50 unless this says otherwise.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(home: &Path, args: &ListArgs) -> anyhow::Result<()> {
    let mut listing = dovetail_store::list_threads(home)?;
    complain(&listing);
    let cwd = std::env::current_dir().ok();
    let mut here = Here::new(cwd.as_deref().filter(|_| !args.all));
    listing.threads.retain(|thread| {
        thread.archived == args.archived && (args.subagents || !thread.subagent) && here.has(thread)
    });
    let threads = listing.threads;
    let rows = match args.limit {
        Some(0) => threads.len(),
        Some(limit) => limit,
        None if args.json => threads.len(),
        None => ROWS,
    };
    let shown = &threads[..threads.len().min(rows)];
    if args.json {
        let rows: Vec<Value> = shown.iter().map(as_json).collect();
        out::stdout(&format!("{}\n", Value::from(rows)));
        return Ok(());
    }
    if shown.is_empty() {
        out::stderr(match (args.all, args.archived) {
            (_, true) => "no archived threads\n",
            (true, false) => "no threads yet; start one: dovetail exec \"…\"\n",
            (false, false) => "no threads in this directory; `--all` shows those of all others\n",
        });
        return Ok(());
    }
    out::stdout(&render(shown, args.all));
    let more = threads.len() - shown.len();
    if more > 0 {
        out::stderr(&format!("… and {more} more; `--limit 0` shows all\n"));
    }
    Ok(())
}

/// What people should know of the files themselves.
pub(super) fn complain(listing: &Listing) {
    if let Some(why) = &listing.without_index {
        out::stderr(&format!(
            "warning: listed without the index ({why})\nhint: dovetail thread reindex\n"
        ));
    }
    match listing.unreadable.len() {
        0 => {}
        1 => out::stderr(&format!(
            "warning: `{}` is not readable as a thread\nhint: dovetail thread fsck\n",
            listing.unreadable[0].display()
        )),
        many => out::stderr(&format!(
            "warning: {many} files are not readable as threads\nhint: dovetail thread fsck\n"
        )),
    }
}

/// Tells threads of a directory from those of others. Directories are compared as they are on disk, each once.
pub(crate) struct Here<'d> {
    directory: Option<&'d Path>,
    known: std::collections::HashMap<std::path::PathBuf, bool>,
}

impl<'d> Here<'d> {
    /// Without a directory every thread is wanted.
    pub(crate) fn new(directory: Option<&'d Path>) -> Self {
        Self {
            directory,
            known: std::collections::HashMap::new(),
        }
    }

    pub(crate) fn has(&mut self, thread: &ThreadSummary) -> bool {
        let Some(directory) = self.directory else {
            return true;
        };
        if let Some(known) = self.known.get(&thread.cwd) {
            return *known;
        }
        let same = dovetail_store::same_place(&thread.cwd, directory);
        self.known.insert(thread.cwd.clone(), same);
        same
    }
}

fn render(threads: &[ThreadSummary], places: bool) -> String {
    let now = SystemTime::now();
    let rows: Vec<Row> = threads
        .iter()
        .map(|thread| Row::of(thread, now, places, WIDTH - FIXED))
        .collect();
    let mut head = vec!["thread", "age", "turns"];
    if places {
        head.push("in");
    }
    head.push("about");
    let cells: Vec<Vec<String>> = rows.into_iter().map(Row::cells).collect();
    table(&head, &cells)
}

/// A thread in a line of a list.
pub(crate) struct Row {
    id: String,
    age: String,
    turns: String,
    place: Option<String>,
    about: String,
}

/// The columns before the last one take: the id, the age, the turns and the blanks between them.
const FIXED: usize = 36 + 2 + 5 + 2 + 5 + 2;
/// What the name of a directory may take.
const PLACE: usize = 12;

/// So much of what a thread is about has to be there to choose by, however narrow the window is.
const FEWEST: usize = 12;

impl Row {
    /// `room` is what the place and the last column may take together.
    pub(crate) fn of(thread: &ThreadSummary, now: SystemTime, place: bool, room: usize) -> Self {
        let name = thread.cwd.file_name().unwrap_or(thread.cwd.as_os_str());
        let place = place.then(|| one_line(&name.to_string_lossy(), PLACE));
        let room = room.saturating_sub(if place.is_some() { PLACE + 2 } else { 0 });
        let room = room.max(FEWEST);
        Self {
            id: thread.id.to_string(),
            age: age(now, thread.modified),
            turns: thread.turns.to_string(),
            place,
            about: one_line(&about(thread), room),
        }
    }

    fn cells(self) -> Vec<String> {
        let mut cells = vec![self.id, self.age, self.turns];
        cells.extend(self.place);
        cells.push(self.about);
        cells
    }

    /// For a list to pick from, where a number stands for the id.
    pub(crate) fn short(self) -> Vec<String> {
        let mut cells = vec![self.age, self.turns];
        cells.extend(self.place);
        cells.push(self.about);
        cells
    }
}

/// What people know the thread by: its name, or what they said first.
pub(crate) fn about(thread: &ThreadSummary) -> String {
    let text = thread.name.as_deref().unwrap_or(&thread.preview);
    let text = if text.is_empty() { "–" } else { text };
    match (thread.subagent, thread.forked_from) {
        (true, _) => format!("[{}] {text}", thread.source),
        (false, Some(_)) => format!("⑂ {text}"),
        (false, None) => text.to_owned(),
    }
}

/// How long ago, in the largest unit that fits.
pub(super) fn age(now: SystemTime, then: SystemTime) -> String {
    // A file from the future was written by a clock that went wrong.
    let seconds = now.duration_since(then).unwrap_or(Duration::ZERO).as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} m", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

pub(super) fn as_json(thread: &ThreadSummary) -> Value {
    json!({
        "id": thread.id,
        "name": thread.name,
        "preview": thread.preview,
        "cwd": thread.cwd.to_string_lossy(),
        "path": thread.path.to_string_lossy(),
        "archived": thread.archived,
        "created_at": thread.created.map(|time| format!("{time:.3}")),
        "updated_at": jiff::Timestamp::try_from(thread.modified).ok().map(|time| format!("{time:.3}")),
        "turns": thread.turns,
        "bytes": thread.size,
        "model": thread.model,
        "model_provider": thread.provider_id,
        "source": thread.source,
        "thread_source": thread.thread_source,
        "originator": thread.originator,
        "forked_from_id": thread.forked_from,
        "parent_thread_id": thread.parent_thread_id,
    })
}
