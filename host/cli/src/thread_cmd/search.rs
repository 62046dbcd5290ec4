//! `dovetail thread search`.

use std::cmp::Reverse;
use std::path::Path;
use std::time::SystemTime;

use clap::Args;
use dovetail_store::Hit;
use serde_json::{Value, json};

use super::list::{self, Here};
use crate::out;
use crate::terminal_text::one_line;

/// `dovetail thread search`.
#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    /// The words, in any case: in messages, names and directories.
    text: String,
    /// Threads of any directory.
    #[arg(long)]
    all: bool,
    /// Also those that were put away.
    #[arg(long)]
    archived: bool,
    /// At most so many; 0 for all of them.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(home: &Path, args: &SearchArgs) -> anyhow::Result<()> {
    let mut listing = dovetail_store::list_threads(home)?;
    list::complain(&listing);
    let cwd = std::env::current_dir().ok();
    let mut here = Here::new(cwd.as_deref().filter(|_| !args.all));
    listing
        .threads
        .retain(|thread| (args.archived || !thread.archived) && here.has(thread));
    let names: Vec<_> = listing
        .threads
        .iter()
        .filter(|thread| is_named(thread.name.as_deref(), &args.text))
        .cloned()
        .collect();
    let mut hits = dovetail_store::search_threads(listing.threads, &args.text);
    for thread in names {
        if !hits.iter().any(|hit| hit.thread.id == thread.id) {
            hits.push(Hit {
                excerpt: String::new(),
                role: "name".to_owned(),
                messages: 0,
                thread,
            });
        }
    }
    hits.sort_by_key(|hit| Reverse(hit.thread.modified));
    let limit = match args.limit {
        0 => hits.len(),
        limit => limit.min(hits.len()),
    };
    let more = hits.len() - limit;
    hits.truncate(limit);
    if args.json {
        let rows: Vec<Value> = hits.iter().map(as_json).collect();
        out::stdout(&format!("{}\n", Value::from(rows)));
        return Ok(());
    }
    if hits.is_empty() {
        out::stderr("nothing found");
        out::stderr(if args.all {
            "\n"
        } else {
            " in threads of this directory; `--all` looks at all others too\n"
        });
    }
    out::stdout(&hits.iter().map(render).collect::<String>());
    if more > 0 {
        out::stderr(&format!("… and {more} more; `--limit 0` shows all\n"));
    }
    Ok(())
}

fn is_named(name: Option<&str>, text: &str) -> bool {
    name.is_some_and(|name| name.to_lowercase().contains(&text.to_lowercase()))
}

fn render(hit: &Hit) -> String {
    let age = list::age(SystemTime::now(), hit.thread.modified);
    let about = one_line(&list::about(&hit.thread), 36);
    let mut text = format!("{}  {age:>5}  {about}\n", hit.thread.id);
    if hit.messages > 0 {
        let more = match hit.messages {
            1 => String::new(),
            many => format!("  (in {many} messages)"),
        };
        text.push_str(&format!(
            "    {}: {}{more}\n",
            hit.role,
            one_line(&hit.excerpt, 72)
        ));
    }
    text
}

fn as_json(hit: &Hit) -> Value {
    json!({
        "thread": list::as_json(&hit.thread),
        "messages": hit.messages,
        "role": hit.role,
        "excerpt": hit.excerpt,
    })
}
