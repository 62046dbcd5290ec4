//! Naming, archiving, deleting and forking threads.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use dovetail_store::{ForkAt, ForkSettings};
use serde_json::json;

use super::list;
use crate::fatal::Fatal;
use crate::out;
use crate::terminal_text::one_line;

pub(super) fn name(home: &Path, thread: &str, name: Option<&str>) -> anyhow::Result<()> {
    let thread = super::find(home, thread)?;
    dovetail_store::set_name(home, thread.id, name)?;
    out::stderr(&match name {
        Some(name) => format!("{} is now named `{}`\n", thread.id, one_line(name, 60)),
        None => format!("{} has no name any more\n", thread.id),
    });
    Ok(())
}

pub(super) fn archive(home: &Path, threads: &[String]) -> anyhow::Result<()> {
    for thread in threads {
        let thread = super::find(home, thread)?;
        dovetail_store::archive_thread(home, thread.id)?;
        out::stderr(&format!(
            "archived {} ({})\n",
            thread.id,
            one_line(&list::about(&thread), 40)
        ));
    }
    Ok(())
}

pub(super) fn unarchive(home: &Path, threads: &[String]) -> anyhow::Result<()> {
    for thread in threads {
        let thread = super::find(home, thread)?;
        dovetail_store::unarchive_thread(home, thread.id)?;
        out::stderr(&format!("{} is back\n", thread.id));
    }
    Ok(())
}

pub(super) fn delete(home: &Path, threads: &[String], yes: bool) -> anyhow::Result<()> {
    let threads = threads
        .iter()
        .map(|thread| super::find(home, thread))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if !yes {
        for thread in &threads {
            out::stderr(&format!(
                "{}  {} turns  {}\n",
                thread.id,
                thread.turns,
                one_line(&list::about(thread), 30)
            ));
        }
        confirm(threads.len())?;
    }
    for thread in threads {
        dovetail_store::delete_thread(home, thread.id)?;
        out::stderr(&format!("deleted {}\n", thread.id));
    }
    Ok(())
}

/// What is deleted is gone, so somebody has to say so.
fn confirm(count: usize) -> anyhow::Result<()> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Fatal::new("there is nobody to ask whether to delete")
            .hint("add `--yes`, or put threads away instead: dovetail thread archive")
            .into());
    }
    let what = if count == 1 { "it" } else { "them" };
    out::stderr(&format!("delete {what} for good? [y/N] "));
    let mut answer = String::new();
    stdin
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Fatal::new(format!("cannot read the answer: {error}")))?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        return Err(Fatal::new("nothing was deleted").into());
    }
    Ok(())
}

pub(super) fn fork(
    home: &Path,
    thread: &str,
    at: Option<String>,
    as_json: bool,
) -> anyhow::Result<()> {
    let thread = super::find(home, thread)?;
    let at = at.map_or(ForkAt::End, ForkAt::Turn);
    let settings = ForkSettings {
        source: "cli".to_owned(),
        thread_source: Some("user".to_owned()),
        ..ForkSettings::default()
    };
    let (fork, mut recorder) = dovetail_store::fork_thread(&thread.path, &at, settings)?;
    recorder.begin()?;
    for damage in &fork.damage {
        out::stderr(&format!("warning: {}: {damage}\n", damage.path.display()));
    }
    let id = fork.info.thread_id;
    if as_json {
        let point = fork.info.forked_from;
        let fork = json!({
            "id": id,
            "path": recorder.path().to_string_lossy(),
            "forked_from_id": point.map(|point| point.thread_id),
            "forked_from_ordinal_exclusive": point.and_then(|point| point.ordinal_exclusive),
        });
        out::stdout(&format!("{fork}\n"));
    } else {
        out::stdout(&format!("{id}\n"));
        out::stderr(&format!("to go on: dovetail exec resume {id} \"…\"\n"));
    }
    Ok(())
}
