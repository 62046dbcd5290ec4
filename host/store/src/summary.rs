//! What a list shows of a thread, read without understanding all of its file.

use std::io::{Seek as _, SeekFrom};
use std::path::Path;
use std::sync::LazyLock;

use dovetail_core::history::is_user_input;
use dovetail_core::ids::ThreadId;
use jiff::Timestamp;
use memchr::memmem::{self, Finder};
use serde::Deserialize;
use serde_json::Value;

use crate::error::StoreError;
use crate::lineage::Part;
use crate::lines::{Lines, Shape};
use crate::load;
use crate::names::Naming;
use crate::parse::{self, Form, Meta, Record};
use crate::place::Compression;
use crate::turns::text_of;

/// How much of a prompt is kept, in characters: a line of a list.
const MAX_PREVIEW: usize = 200;

/// What a file says of its thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) thread: ThreadId,
    pub(crate) created: Option<Timestamp>,
    pub(crate) cwd: String,
    pub(crate) source: String,
    pub(crate) subagent: bool,
    pub(crate) thread_source: Option<String>,
    pub(crate) originator: String,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) forked_from: Option<ThreadId>,
    pub(crate) parent: Option<ThreadId>,
    pub(crate) preview: String,
    pub(crate) turns: u64,
    pub(crate) naming: Option<Naming>,
    /// How many bytes of the file this is from; 0 for files that must be read anew as a whole.
    pub(crate) scanned: u64,
}

impl Facts {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, StoreError> {
        let part = Part::open(path)?;
        let mut facts = Self::of(&part.meta, path)?;
        let mut scan = Scan {
            facts: &mut facts,
            form: part.meta.form,
        };
        scan.lines(part.lines()?)
            .map_err(|source| StoreError::io("read", path, source))?;
        if part.compression == Compression::Zstd {
            facts.scanned = 0;
        }
        Ok(facts)
    }

    /// Reads what was added to a file since. None if it is not the same file any more, or did not grow.
    pub(crate) fn read_on(mut self, path: &Path, size: u64) -> Result<Option<Self>, StoreError> {
        if self.scanned == 0 || size <= self.scanned {
            return Ok(None);
        }
        let part = Part::open(path)?;
        if !self.began_as(&Self::of(&part.meta, path)?) {
            return Ok(None);
        }
        let failed = |source| StoreError::io("read", path, source);
        let (mut file, form) = (part.file, part.meta.form);
        file.seek(SeekFrom::Start(self.scanned)).map_err(failed)?;
        let lines = Lines::starting_at(file, Compression::None, 0, self.scanned).map_err(failed)?;
        let mut scan = Scan {
            facts: &mut self,
            form,
        };
        scan.lines(lines).map_err(failed)?;
        Ok(Some(self))
    }

    /// Whether what the first line says is the same.
    fn began_as(&self, other: &Self) -> bool {
        let first_line = |facts: &Self| Self {
            model: String::new(),
            preview: String::new(),
            turns: 0,
            naming: None,
            scanned: 0,
            ..facts.clone()
        };
        first_line(self) == first_line(other)
    }

    fn of(meta: &Meta, path: &Path) -> Result<Self, StoreError> {
        let subagent = meta.source.get("subagent").is_some();
        let info = load::thread_info(meta.clone(), path)?;
        Ok(Self {
            thread: info.thread_id,
            created: Timestamp::try_from(info.created).ok(),
            cwd: info.cwd.to_string_lossy().into_owned(),
            source: match &meta.source["subagent"] {
                Value::String(kind) => format!("subagent:{kind}"),
                Value::Object(kind) => kind
                    .keys()
                    .next()
                    .map_or(info.source, |kind| format!("subagent:{kind}")),
                _ => info.source,
            },
            subagent,
            thread_source: info.thread_source,
            originator: info.originator,
            provider: info.provider_id,
            model: info.model,
            forked_from: info.forked_from.map(|fork| fork.thread_id),
            parent: info.parent_thread_id,
            preview: String::new(),
            turns: 0,
            naming: None,
            scanned: 0,
        })
    }
}

/// Picks the few lines that matter out of all others. Words in quotes cannot be part of what somebody said: inside a
/// text the quotes would be escaped.
static MARKS: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| {
    [
        Finder::new("\"task_started\""),
        Finder::new("\"thread_name_updated\""),
        Finder::new("\"user_message\""),
    ]
});

struct Scan<'f> {
    facts: &'f mut Facts,
    form: Form,
}

impl Scan<'_> {
    fn lines(&mut self, mut lines: Lines) -> std::io::Result<()> {
        let (mut started, mut said) = (0, 0);
        while let Some((line, text)) = lines.next()? {
            if line.shape == Shape::Unended {
                // It may still be being written.
                break;
            }
            self.facts.scanned = line.start + line.bytes;
            let [start, named, user] = MARKS.each_ref().map(|mark| mark.find(text).is_some());
            started += u64::from(start);
            said += u64::from(user);
            if named || self.facts.preview.is_empty() || self.facts.model.is_empty() {
                self.look_at(text);
            }
        }
        // Files from before turns were announced say only what users said.
        self.facts.turns += if started > 0 { started } else { said };
        Ok(())
    }

    fn look_at(&mut self, text: &[u8]) {
        let Ok(parsed) = parse::parse(text, self.form) else {
            return;
        };
        match parsed.record {
            Record::Item(item) if self.facts.preview.is_empty() && is_user_input(&item) => {
                self.facts.preview = preview(&text_of(&item));
            }
            Record::Ignored if self.facts.preview.is_empty() => {
                if let Some(hint) = reviewed(text) {
                    self.facts.preview = preview(&format!("review: {hint}"));
                }
            }
            Record::Context(context) if self.facts.model.is_empty() => {
                self.facts.model = context.model.unwrap_or_default();
            }
            Record::Named(name) => {
                let since = parsed.timestamp.and_then(|time| time.parse().ok());
                self.facts.naming = Some(Naming {
                    name: name.filter(|name| !name.is_empty()),
                    since: since.unwrap_or(Timestamp::UNIX_EPOCH),
                });
            }
            _ => {}
        }
    }
}

/// What is reviewed, where the line begins a review: nobody says anything in such a thread.
fn reviewed(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Line {
        payload: Completed,
    }
    #[derive(Deserialize)]
    struct Completed {
        item: Entered,
    }
    #[derive(Deserialize)]
    struct Entered {
        user_facing_hint: String,
    }
    memmem::find(line, b"\"EnteredReviewMode\"")?;
    // Another shape is no review.
    let line: Line = serde_json::from_slice(line).ok()?;
    Some(line.payload.item.user_facing_hint)
}

/// One line of a text.
fn preview(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut line: String = words.join(" ").chars().take(MAX_PREVIEW).collect();
    line.retain(|c| !c.is_control());
    line
}
