//! Looking for words in what was said.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use dovetail_core::history::is_user_input;
use dovetail_core::item::ResponseItem;
use memchr::memmem::Finder;

use crate::error::StoreError;
use crate::lineage::Part;
use crate::listing::ThreadSummary;
use crate::parse::{self, Form, Record};
use crate::turns::text_of;

/// How much of a text is shown around what was found, in characters to each side.
const AROUND: usize = 30;

/// A thread in which something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The thread.
    pub thread: ThreadSummary,
    /// How many messages have it.
    pub messages: usize,
    /// The first place, on one line.
    pub excerpt: String,
    /// Who said it there: `user` or `assistant`.
    pub role: String,
}

/// Finds the threads in whose own messages a text occurs, whatever its case; those threads' order is kept. The files
/// are read, so that nothing is missed.
pub fn search_threads(threads: Vec<ThreadSummary>, text: &str) -> Vec<Hit> {
    let wanted = text.to_lowercase();
    let next = AtomicUsize::new(0);
    let hits = Mutex::new(Vec::new());
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(thread) = threads.get(at) else {
                return;
            };
            match search_file(&thread.path, &wanted) {
                Ok(Some(found)) => {
                    // One push cannot leave the list half-written.
                    let mut hits = hits.lock().unwrap_or_else(PoisonError::into_inner);
                    hits.push((at, found));
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "a thread could not be searched"),
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(work);
        }
        work();
    });
    let mut found = hits.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(at, _)| *at);
    let hit = |(at, found): (usize, Found)| Hit {
        thread: threads[at].clone(),
        messages: found.messages,
        excerpt: found.excerpt,
        role: found.role,
    };
    found.into_iter().map(hit).collect()
}

struct Found {
    messages: usize,
    excerpt: String,
    role: String,
}

fn search_file(path: &Path, wanted: &str) -> Result<Option<Found>, StoreError> {
    let part = Part::open(path)?;
    let mut lines = part.lines()?;
    let message = Finder::new("\"message\"");
    let mut found: Option<Found> = None;
    // A compressed file that breaks off is searched as far as it goes.
    while let Ok(Some((_, line))) = lines.next() {
        if message.find(line).is_none() {
            continue;
        }
        let Some((role, text)) = said(line, part.meta.form) else {
            continue;
        };
        let lower = text.to_lowercase();
        let Some(at) = lower.find(wanted) else {
            continue;
        };
        match &mut found {
            Some(found) => found.messages += 1,
            None => {
                found = Some(Found {
                    messages: 1,
                    excerpt: excerpt(&text, &lower, at, wanted.len()),
                    role,
                });
            }
        }
    }
    Ok(found)
}

/// Who said what on a line, if it is a message that people see.
fn said(line: &[u8], form: Form) -> Option<(String, String)> {
    let Record::Item(item) = parse::parse(line, form).ok()?.record else {
        return None;
    };
    let ResponseItem::Message { role, .. } = &*item else {
        return None;
    };
    (role == "assistant" || is_user_input(&item)).then(|| (role.clone(), text_of(&item)))
}

/// The text around a place, on one line.
fn excerpt(text: &str, lower: &str, at: usize, length: usize) -> String {
    // Where changing the case moved the letters, the changed text has to do.
    let text = if text.len() == lower.len() && text.is_char_boundary(at) {
        text
    } else {
        lower
    };
    let (before, rest) = text.split_at(at);
    let (hit, after) = rest.split_at(rest.floor_char_boundary(length));
    let head: String = before.chars().rev().take(AROUND).collect();
    let head: String = head.chars().rev().collect();
    let tail: String = after.chars().take(AROUND).collect();
    let cut = |cut: bool| if cut { "…" } else { "" };
    let line = format!(
        "{}{head}{hit}{tail}{}",
        cut(head.len() < before.len()),
        cut(tail.len() < after.len())
    );
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
