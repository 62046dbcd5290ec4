//! `dovetail thread fsck` and `reindex`.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use dovetail_core::ids::ThreadId;
use dovetail_store::{Checked, Repaired, StoreError};
use serde_json::{Value, json};

use crate::fatal;
use crate::out;
use crate::terminal_text::short_duration;

/// `dovetail thread fsck`.
#[derive(Debug, Args)]
pub(super) struct FsckArgs {
    /// Only this thread: its id or name.
    thread: Option<String>,
    /// Write damaged files anew without what cannot be read. Each is kept as it was beside itself, as `….damaged`.
    #[arg(long)]
    repair: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was found in a file, and what was done about it.
struct Outcome {
    checked: Checked,
    repaired: Option<Result<Repaired, StoreError>>,
}

impl Outcome {
    fn of(path: &Path, repair: bool) -> Self {
        let checked = dovetail_store::check_file(path);
        let repaired =
            (repair && checked.repairable).then(|| dovetail_store::repair(&checked.path));
        Self { checked, repaired }
    }

    /// Whether the file can be used now without losing anything more.
    fn is_good(&self) -> bool {
        match &self.repaired {
            // What it begins in may still be missing.
            Some(Ok(repaired)) => repaired.path.is_none() || self.checked.unusable.is_none(),
            Some(Err(_)) => false,
            None => self.checked.is_sound(),
        }
    }
}

/// Checks files. The exit code is 0 if nothing is wrong, or nothing any more.
pub(super) fn fsck(home: &Path, args: &FsckArgs) -> anyhow::Result<ExitCode> {
    let thread = args
        .thread
        .as_deref()
        .map(|text| match ThreadId::parse(text) {
            // A file that lists cannot show must still be found.
            Ok(id) => Ok(id),
            Err(_) => super::find(home, text).map(|thread| thread.id),
        })
        .transpose()?;
    let paths = dovetail_store::files_to_check(home, thread)?;
    let names = match thread {
        Some(_) => None,
        None => Some(dovetail_store::check_names(home)?).filter(|(_, lines)| !lines.is_empty()),
    };
    let mut copies = dovetail_store::copies(home)?;
    copies.retain(|(copy, _)| paths.contains(copy));
    let count = paths.len();
    let outcomes: Vec<Outcome> = paths
        .iter()
        .map(|path| Outcome::of(path, args.repair))
        .filter(|outcome| !outcome.checked.is_sound())
        .collect();
    if args.json {
        out::stdout(&format!(
            "{:#}\n",
            as_json(count, &outcomes, &copies, names.as_ref())
        ));
    } else {
        out::stdout(&render(
            count,
            &outcomes,
            &copies,
            names.as_ref(),
            args.repair,
        ));
    }
    let good = outcomes.iter().all(Outcome::is_good) && copies.is_empty() && names.is_none();
    Ok(ExitCode::from(if good { fatal::OK } else { fatal::FAILED }))
}

fn render(
    count: usize,
    outcomes: &[Outcome],
    copies: &[(PathBuf, PathBuf)],
    names: Option<&(PathBuf, Vec<u64>)>,
    repair: bool,
) -> String {
    let mut text = String::new();
    for Outcome { checked, repaired } in outcomes {
        let path = checked.path.display();
        if let Some(error) = &checked.unusable {
            let cause = error.source().map(|cause| format!(": {cause}"));
            text.push_str(&format!("{error}{}\n", cause.unwrap_or_default()));
        }
        for finding in &checked.findings {
            text.push_str(&format!(
                "{}:{}: {}; lost: {}\n",
                path,
                finding.damage.line,
                finding.damage.what(),
                finding.lost
            ));
        }
        match repaired {
            Some(Ok(repaired)) => text.push_str(&format!(
                "  {}: {}\n",
                match repaired.path {
                    Some(_) => "repaired; as it was",
                    None => "nothing could be kept; it is now",
                },
                repaired.original.display()
            )),
            Some(Err(error)) => text.push_str(&format!("  not repaired: {error}\n")),
            None => {}
        }
    }
    for (copy, counts) in copies {
        text.push_str(&format!(
            "{}: not used; the thread's file is {}\n",
            copy.display(),
            counts.display()
        ));
    }
    if let Some((path, lines)) = names {
        for line in lines {
            text.push_str(&format!(
                "{}:{line}: cannot be read; lost: a name of a thread\n",
                path.display()
            ));
        }
    }
    let bad = outcomes.len() + copies.len() + usize::from(names.is_some());
    let files = if count == 1 { "file" } else { "files" };
    text.push_str(&format!("{count} {files} checked, {bad} damaged\n"));
    let mendable = outcomes.iter().any(|outcome| outcome.checked.repairable);
    if mendable && !repair {
        text.push_str("hint: dovetail thread fsck --repair\n");
    }
    text
}

fn as_json(
    count: usize,
    outcomes: &[Outcome],
    copies: &[(PathBuf, PathBuf)],
    names: Option<&(PathBuf, Vec<u64>)>,
) -> Value {
    let file = |Outcome { checked, repaired }: &Outcome| {
        let findings: Vec<Value> = checked
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "line": finding.damage.line,
                    "bytes": finding.damage.bytes,
                    "problem": finding.damage.what(),
                    "lost": finding.lost,
                })
            })
            .collect();
        let repaired = repaired.as_ref().map(|repaired| match repaired {
            Ok(repaired) => json!({
                "path": repaired.path.as_ref().map(|path| path.to_string_lossy()),
                "original": repaired.original.to_string_lossy(),
            }),
            Err(error) => json!({ "error": error.to_string() }),
        });
        json!({
            "path": checked.path.to_string_lossy(),
            "thread_id": checked.thread,
            "good_lines": checked.good_lines,
            "damage": findings,
            "unusable": checked.unusable.as_ref().map(ToString::to_string),
            "repaired": repaired,
        })
    };
    let files: Vec<Value> = outcomes.iter().map(file).collect();
    let copies = copies.iter().map(|(copy, counts)| {
        json!({ "path": copy.to_string_lossy(), "counts": counts.to_string_lossy() })
    });
    json!({
        "checked": count,
        "damaged": files,
        "copies": copies.collect::<Vec<Value>>(),
        "damaged_names": names.map_or(&[][..], |(_, lines)| lines),
    })
}

/// Makes the index anew.
pub(super) fn reindex(home: &Path, as_json: bool) -> anyhow::Result<()> {
    let clock = Instant::now();
    let listing = dovetail_store::rebuild_index(home)?;
    super::list::complain(&listing);
    let (threads, path) = (listing.threads.len(), dovetail_store::index_path(home));
    out::stdout(&if as_json {
        let value = json!({ "threads": threads, "path": path.to_string_lossy() });
        format!("{value}\n")
    } else {
        format!(
            "{threads} threads indexed in {} ({})\n",
            short_duration(clock.elapsed()),
            path.display()
        )
    });
    Ok(())
}
