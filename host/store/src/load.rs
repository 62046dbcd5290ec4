//! Reading a thread back.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dovetail_core::event::{ForkPoint, ThreadInfo};
use dovetail_core::ids::{ThreadId, WindowId};
use dovetail_core::item::ResponseItem;
use dovetail_core::lineage::SubagentKind;
use dovetail_core::usage::TokenUsage;
use serde_json::Value;

use crate::damage::{Damage, Problem};
use crate::error::StoreError;
use crate::find;
use crate::lock;
use crate::parse::{self, Context, Meta, RawLine, Record};
use crate::rebuild::{Keep, NeedsEverything, Rebuild};

/// How many threads may continue one another. People fork a few times, not hundreds.
const MAX_FORKS: u32 = 64;

/// A thread as its file has it.
#[derive(Debug, Clone)]
pub struct LoadedThread {
    /// The file.
    pub path: PathBuf,
    /// What the thread is. The window id is that of the newest compaction.
    pub info: ThreadInfo,
    /// The conversation.
    pub items: Vec<ResponseItem>,
    /// How many windows came before this one.
    pub window_number: u64,
    /// What was used so far.
    pub totals: TokenUsage,
    /// The ordinal of the line to write next.
    pub next_ordinal: u64,
    /// How its last turn ran.
    pub last_settings: Option<LastSettings>,
    /// Lines that were skipped; people should be told.
    pub damage: Vec<Damage>,
}

/// How the last turn of a thread ran, as far as the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastSettings {
    /// The model.
    pub model: Option<String>,
    /// Reasoning effort.
    pub effort: Option<String>,
    /// Reasoning summary.
    pub summary: Option<String>,
    /// The working directory.
    pub cwd: Option<PathBuf>,
    /// The approval policy.
    pub approval_policy: Option<String>,
    /// The sandbox mode.
    pub sandbox_mode: Option<String>,
}

/// Reads a thread without locking it.
///
/// # Errors
/// The file cannot be read, or does not begin as a thread does. Damage further on is reported in the result.
pub fn load_thread(path: &Path) -> Result<LoadedThread, StoreError> {
    let file = File::open(path).map_err(|source| io("read", path, source))?;
    let (thread, _) = load(&file, path)?;
    Ok(thread)
}

/// Opens and locks a thread for appending, reads it, and makes its end whole. Gives the file's length too.
pub(crate) fn open_for_append(path: &Path) -> Result<(LoadedThread, File, u64), StoreError> {
    let opened = OpenOptions::new().read(true).append(true).open(path);
    let mut file = opened.map_err(|source| io("open", path, source))?;
    lock::lock(&file, path)?;
    let (thread, end) = load(&file, path)?;
    // A torn line was never acknowledged to anybody; a whole one that only lacks its end was.
    file.set_len(end.whole_bytes)
        .map_err(|source| io("repair", path, source))?;
    if end.lacks_line_end {
        file.write_all(b"\n")
            .map_err(|source| io("repair", path, source))?;
    }
    let length = end.whole_bytes + u64::from(end.lacks_line_end);
    Ok((thread, file, length))
}

/// Where the whole lines of a file end.
#[derive(Default)]
struct End {
    whole_bytes: u64,
    lacks_line_end: bool,
}

fn load(file: &File, path: &Path) -> Result<(LoadedThread, End), StoreError> {
    match read_once(file, path, Keep::Surviving)? {
        Ok(loaded) => Ok(loaded),
        Err(NeedsEverything) => {
            read_once(file, path, Keep::Everything)?.map_err(|NeedsEverything| {
                io(
                    "read",
                    path,
                    std::io::Error::other("a rollback cannot be undone"),
                )
            })
        }
    }
}

type Attempt = Result<(LoadedThread, End), NeedsEverything>;

fn read_once(file: &File, path: &Path, keep: Keep) -> Result<Attempt, StoreError> {
    let mut pass = Pass {
        rebuild: Rebuild::new(keep),
        damage: Vec::new(),
        next_ordinal: 0,
    };
    let (meta, end) = match pass.read(file, path, u64::MAX, 0)? {
        Ok(read) => read,
        Err(needs) => return Ok(Err(needs)),
    };
    let rebuilt = pass.rebuild.finish();
    let mut info = thread_info(*meta, path)?;
    if let Some(id) = rebuilt
        .window_id
        .as_deref()
        .and_then(|id| WindowId::parse(id).ok())
    {
        info.window_id = id;
    }
    let last_settings = rebuilt.context.map(LastSettings::from);
    if let (true, Some(model)) = (
        info.model.is_empty(),
        last_settings.as_ref().and_then(|last| last.model.clone()),
    ) {
        info.model = model;
    }
    let thread = LoadedThread {
        path: path.to_owned(),
        info,
        items: rebuilt.items,
        window_number: rebuilt.window_number,
        totals: rebuilt.totals,
        next_ordinal: pass.next_ordinal,
        last_settings,
        damage: pass.damage,
    };
    Ok(Ok((thread, end)))
}

/// One reading of a file and of those it continues.
struct Pass {
    rebuild: Rebuild,
    damage: Vec<Damage>,
    next_ordinal: u64,
}

impl Pass {
    /// Reads the lines of a file whose ordinals are below a limit.
    fn read(
        &mut self,
        mut file: &File,
        path: &Path,
        limit: u64,
        depth: u32,
    ) -> Result<Result<(Box<Meta>, End), NeedsEverything>, StoreError> {
        let failed = |source| io("read", path, source);
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut reader = BufReader::with_capacity(64 << 10, file);
        let (mut buffer, mut end, mut meta) = (Vec::new(), End::default(), None);
        let mut number = 0;
        while let Some((shape, bytes)) =
            parse::read_line(&mut reader, &mut buffer).map_err(failed)?
        {
            number += 1;
            let parsed = match shape {
                RawLine::TooLong => Err(Problem::TooLong),
                RawLine::Whole if buffer.is_empty() => {
                    end.whole_bytes += bytes;
                    continue;
                }
                RawLine::Whole => parse::parse(&buffer),
                RawLine::Unended => parse::parse(&buffer).map_err(|_| Problem::Torn),
            };
            end.lacks_line_end = parsed.is_ok() && matches!(shape, RawLine::Unended);
            if !matches!(parsed, Err(Problem::Torn)) {
                end.whole_bytes += bytes;
            }
            let (ordinal, record) = match parsed {
                Ok(parsed) => parsed,
                Err(problem) => {
                    // A torn line goes away when the thread is taken up, and its ordinal with it.
                    self.next_ordinal += u64::from(problem != Problem::Torn);
                    self.damage.push(Damage {
                        path: path.to_owned(),
                        line: number,
                        bytes,
                        problem,
                    });
                    continue;
                }
            };
            let ordinal = ordinal.unwrap_or(self.next_ordinal);
            if ordinal >= limit {
                break;
            }
            match record {
                Record::Meta(found) if meta.is_none() => {
                    if let Err(needs) = self.read_parent(&found, path, depth)? {
                        return Ok(Err(needs));
                    }
                    meta = Some(found);
                }
                record if meta.is_some() => {
                    if let Err(needs) = self.rebuild.take(record) {
                        return Ok(Err(needs));
                    }
                }
                _ => {
                    return Err(StoreError::NoMeta {
                        path: path.to_owned(),
                    });
                }
            }
            self.next_ordinal = self.next_ordinal.max(ordinal.saturating_add(1));
        }
        match meta {
            Some(meta) => Ok(Ok((meta, end))),
            None => Err(StoreError::NoMeta {
                path: path.to_owned(),
            }),
        }
    }

    /// A fork's file begins where it left its parent; what came before is in the parent's.
    fn read_parent(
        &mut self,
        meta: &Meta,
        path: &Path,
        depth: u32,
    ) -> Result<Result<(), NeedsEverything>, StoreError> {
        let (Some(parent), Some(limit)) =
            (&meta.forked_from_id, meta.forked_from_ordinal_exclusive)
        else {
            return Ok(Ok(()));
        };
        if depth >= MAX_FORKS {
            return Err(StoreError::TooDeep {
                path: path.to_owned(),
            });
        }
        let parent = ThreadId::parse(parent).map_err(|_| StoreError::NoMeta {
            path: path.to_owned(),
        })?;
        let missing = |source: StoreError| StoreError::NoParent {
            path: path.to_owned(),
            parent,
            source: Box::new(source),
        };
        // …/sessions/YYYY/MM/DD/rollout-….jsonl
        let sessions = path.ancestors().nth(4).unwrap_or(path);
        let parent_path = find::find_file(sessions, parent).map_err(missing)?;
        let file =
            File::open(&parent_path).map_err(|source| missing(io("read", &parent_path, source)))?;
        let read = self
            .read(&file, &parent_path, limit, depth + 1)
            .map_err(missing)?;
        self.next_ordinal = limit;
        Ok(read.map(|_| ()))
    }
}

fn thread_info(meta: Meta, path: &Path) -> Result<ThreadInfo, StoreError> {
    let thread_id = ThreadId::parse(&meta.id).map_err(|_| StoreError::NoMeta {
        path: path.to_owned(),
    })?;
    let session_id = meta
        .session_id
        .as_deref()
        .and_then(|id| ThreadId::parse(id).ok())
        .unwrap_or(thread_id);
    let window_id = meta.context_window["window_id"]
        .as_str()
        .and_then(|id| WindowId::parse(id).ok());
    let instructions = meta.base_instructions.unwrap_or_default();
    let text = instructions["text"]
        .as_str()
        .or(instructions.as_str())
        .map(str::to_owned)
        .or(meta.instructions);
    let created = meta
        .timestamp
        .as_deref()
        .and_then(|time| time.parse::<jiff::Timestamp>().ok());
    Ok(ThreadInfo {
        thread_id,
        session_id,
        window_id: window_id.unwrap_or_else(WindowId::generate),
        cwd: meta.cwd.unwrap_or_default().into(),
        originator: meta.originator.unwrap_or_default(),
        source: source_word(&meta.source),
        thread_source: meta.thread_source,
        parent_thread_id: meta
            .parent_thread_id
            .as_deref()
            .and_then(|id| ThreadId::parse(id).ok()),
        forked_from: meta.forked_from_id.as_deref().and_then(|id| {
            Some(ForkPoint {
                thread_id: ThreadId::parse(id).ok()?,
                ordinal_exclusive: meta.forked_from_ordinal_exclusive,
            })
        }),
        subagent: subagent(&meta.source),
        provider_id: meta.model_provider.unwrap_or_default(),
        base_instructions: text.unwrap_or_default(),
        model: instructions["provenance"]["model"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        created: created.map_or_else(|| modified(path), SystemTime::from),
    })
}

/// `source` is a word, or for threads that another one started a table.
fn source_word(source: &Value) -> String {
    match source {
        Value::String(word) => word.clone(),
        Value::Object(fields) => fields.keys().next().cloned().unwrap_or_default(),
        _ => "unknown".to_owned(),
    }
}

/// What a thread is for, where its `source` is the table of one that another thread started.
fn subagent(source: &Value) -> Option<SubagentKind> {
    let kind = source.get("subagent")?;
    Some(match kind.as_str() {
        Some("review") => SubagentKind::Review,
        Some("compact") => SubagentKind::Compact,
        Some("memory_consolidation") => SubagentKind::MemoryConsolidation,
        Some(other) => SubagentKind::Other(other.to_owned()),
        None if kind.get("thread_spawn").is_some() => SubagentKind::ThreadSpawn,
        None => SubagentKind::Other(kind.get("other")?.as_str()?.to_owned()),
    })
}

fn modified(path: &Path) -> SystemTime {
    // Only for files that do not say when they began; 1970 is then as good as any other answer.
    path.metadata()
        .and_then(|metadata| metadata.modified())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

impl From<Context> for LastSettings {
    fn from(context: Context) -> Self {
        Self {
            model: context.model,
            effort: context.effort,
            summary: context.summary.filter(|summary| summary != "none"),
            cwd: context.cwd.map(PathBuf::from),
            approval_policy: context.approval_policy.as_str().map(str::to_owned),
            // Old files have the mode's word itself, or it under another key.
            sandbox_mode: [
                &context.sandbox_policy["type"],
                &context.sandbox_policy["mode"],
                &context.sandbox_policy,
            ]
            .into_iter()
            .find_map(Value::as_str)
            .map(str::to_owned),
        }
    }
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
