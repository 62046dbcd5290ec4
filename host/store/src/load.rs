//! Reading a thread back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use dovetail_core::event::{ForkPoint, ThreadInfo};
use dovetail_core::history::ProviderTrail;
use dovetail_core::ids::{ThreadId, WindowId};
use dovetail_core::item::ResponseItem;
use dovetail_core::lineage::SubagentKind;
use dovetail_core::usage::TokenUsage;
use serde_json::Value;

use crate::damage::Damage;
use crate::error::StoreError;
use crate::lineage::{self, Part};
use crate::parse::{Context, Meta, Record};
use crate::rebuild::{Keep, NeedsPlan, Rebuild};
use crate::walk::Walk;

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
    /// The first window of the conversation, where a compaction says it.
    pub first_window_id: Option<WindowId>,
    /// What was used so far.
    pub totals: TokenUsage,
    /// How many tokens the conversation had when they were counted last.
    pub context_tokens: Option<u64>,
    /// Which provider answered which turn.
    pub providers: ProviderTrail,
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
    /// The queue of the service that requests asked for.
    pub service_tier: Option<String>,
    /// The provider's id.
    pub provider_id: Option<String>,
}

/// Reads a thread without locking it, through those it is a fork of.
///
/// # Errors
/// The file cannot be read, does not tell its thread, or a thread that it goes on from is missing. Damage is reported
/// in the result.
pub fn load_thread(path: &Path) -> Result<LoadedThread, StoreError> {
    let (thread, _) = load(lineage::parts(Part::open(path)?)?)?;
    Ok(thread)
}

/// How a thread's own file is to be gone on with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail {
    /// Where its whole lines end.
    pub(crate) whole_bytes: u64,
    /// Whether the last of them lacks its line end.
    pub(crate) lacks_line_end: bool,
    /// Whether its lines have ordinals and items as clients see them.
    pub(crate) mode: HistoryMode,
    /// The time on the last line that has one.
    pub(crate) last_time: Option<jiff::Timestamp>,
}

impl Tail {
    /// Where the next line will begin, in bytes of the unpacked file.
    pub(crate) fn end(&self) -> u64 {
        self.whole_bytes + u64::from(self.lacks_line_end)
    }
}

/// Which of the two dialects a file is written in; a file keeps its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum HistoryMode {
    /// Lines are numbered, and have items as clients see them.
    #[default]
    Paginated,
    /// Lines have no numbers, and say only what was said.
    Legacy,
}

impl HistoryMode {
    pub(crate) fn of(meta: &Meta) -> Self {
        match meta.history_mode.as_deref() {
            Some("paginated") => Self::Paginated,
            Some(_) | None => Self::Legacy,
        }
    }
}

/// Reads a history to its limits.
pub(crate) fn load(parts: Vec<Part>) -> Result<(LoadedThread, Tail), StoreError> {
    match read(&parts, Keep::Surviving)? {
        Ok(read) => finish(parts, read),
        // A rollback went behind a compaction: look first what will be left, then read that.
        Err(NeedsPlan) => {
            let unplannable = |NeedsPlan| {
                let source = std::io::Error::other("a rollback cannot be followed");
                StoreError::io("read", &parts[parts.len() - 1].path, source)
            };
            let outline = read(&parts, Keep::Outline)?.map_err(unplannable)?;
            let plan = Keep::Planned(outline.rebuild.plan());
            let read = read(&parts, plan)?.map_err(unplannable)?;
            finish(parts, read)
        }
    }
}

/// What a reading brought.
struct Read {
    rebuild: Rebuild,
    walk: Walk,
    trail: Trail,
}

fn read(parts: &[Part], keep: Keep) -> Result<Result<Read, NeedsPlan>, StoreError> {
    let (mut rebuild, mut walk) = (Rebuild::new(keep), Walk::default());
    let mut trail = Trail::of(&parts[0].meta);
    for part in parts {
        let read = walk.part(part, |entry| {
            trail.see(&entry.record);
            rebuild.take(entry.record)
        })?;
        if let Err(needs) = read {
            return Ok(Err(needs));
        }
    }
    Ok(Ok(Read {
        rebuild,
        walk,
        trail,
    }))
}

/// Follows which provider runs which turn.
struct Trail {
    turn: Option<String>,
    provider: Option<Arc<str>>,
    providers: ProviderTrail,
}

impl Trail {
    fn of(meta: &Meta) -> Self {
        let first = meta.model_provider.as_deref();
        Self {
            turn: None,
            provider: first.map(Arc::from),
            providers: ProviderTrail::new(first),
        }
    }

    fn see(&mut self, record: &Record) {
        match record {
            Record::Meta(meta) => {
                let named = meta.model_provider.as_deref().map(Arc::from);
                self.provider = named.or(self.provider.take());
                self.turn = None;
            }
            Record::TurnStarted(turn) => {
                self.turn.clone_from(turn);
                self.note();
            }
            Record::Settings {
                provider: Some(provider),
                ..
            } => {
                self.provider = Some(provider.as_str().into());
                self.note();
            }
            Record::TurnEnded => self.turn = None,
            Record::Compacted(compacted) => {
                if let (Some(items), Some(provider)) =
                    (&compacted.replacement_history, &self.provider)
                {
                    self.providers.compacted(items, provider);
                }
            }
            Record::Item(_)
            | Record::Context(_)
            | Record::RolledBack(_)
            | Record::Totals(_)
            | Record::Count { .. }
            | Record::Named(_)
            | Record::Settings { provider: None, .. }
            | Record::Ignored => {}
        }
    }

    fn note(&mut self) {
        if let (Some(turn), Some(provider)) = (&self.turn, &self.provider) {
            self.providers.ran(turn, provider);
        }
    }
}

fn finish(mut parts: Vec<Part>, read: Read) -> Result<(LoadedThread, Tail), StoreError> {
    let Read {
        rebuild,
        walk,
        trail,
    } = read;
    let own = parts.pop().expect("a history has at least its own file");
    let rebuilt = rebuild.finish();
    let tail = Tail {
        mode: HistoryMode::of(&own.meta),
        ..walk.tail
    };
    let mut info = thread_info(own.meta, &own.path)?;
    let began_in = info.window_id;
    let compacted = rebuilt.window_id.is_some() || rebuilt.window_number > 0;
    if let Some(id) = rebuilt
        .window_id
        .as_deref()
        .and_then(|id| WindowId::parse(id).ok())
    {
        info.window_id = id;
    } else if compacted {
        // Old compactions did not name the window that they began; it is not the first one.
        info.window_id = WindowId::generate();
    }
    // Where no compaction says it, the thread began in the window that its first line names.
    let first_window_id = rebuilt
        .first_window_id
        .as_deref()
        .and_then(|id| WindowId::parse(id).ok())
        .or(compacted.then_some(began_in));
    let last_settings = rebuilt.context.map(|context| LastSettings {
        service_tier: rebuilt.service_tier,
        provider_id: trail.provider.as_deref().map(str::to_owned),
        ..LastSettings::from(context)
    });
    if let (true, Some(model)) = (
        info.model.is_empty(),
        last_settings.as_ref().and_then(|last| last.model.clone()),
    ) {
        info.model = model;
    }
    let thread = LoadedThread {
        path: own.path,
        info,
        items: rebuilt.items,
        window_number: rebuilt.window_number,
        first_window_id,
        totals: rebuilt.totals,
        context_tokens: rebuilt.context_tokens,
        providers: trail.providers,
        next_ordinal: walk.next_ordinal,
        last_settings,
        damage: walk.damage,
    };
    Ok((thread, tail))
}

pub(crate) fn thread_info(meta: Meta, path: &Path) -> Result<ThreadInfo, StoreError> {
    let thread_id = ThreadId::parse(&meta.id).map_err(|_| StoreError::NoMeta {
        path: path.to_owned(),
    })?;
    let id = |text: &Option<String>| text.as_deref().and_then(|text| ThreadId::parse(text).ok());
    // Older files have only one id, which is both.
    let session_id = id(&meta.session_id).unwrap_or(thread_id);
    let parent_thread_id = id(&meta.parent_thread_id);
    let forked_from = id(&meta.forked_from_id).map(|thread_id| ForkPoint {
        thread_id,
        ordinal_exclusive: meta.forked_from_ordinal_exclusive,
    });
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
        .and_then(|time| time.parse::<jiff::Timestamp>().ok())
        .map(SystemTime::from)
        .or_else(|| thread_id.time());
    Ok(ThreadInfo {
        thread_id,
        session_id,
        window_id: window_id.unwrap_or_else(WindowId::generate),
        cwd: meta.cwd.unwrap_or_default().into(),
        originator: meta.originator.unwrap_or_default(),
        source: source_word(&meta.source),
        thread_source: meta.thread_source,
        parent_thread_id,
        forked_from,
        subagent: subagent(&meta.source),
        provider_id: meta.model_provider.unwrap_or_default(),
        base_instructions: text.unwrap_or_default(),
        model: instructions["provenance"]["model"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        created: created.unwrap_or_else(|| modified(path)),
    })
}

/// `source` is a word, or for threads that another one started a table.
pub(crate) fn source_word(source: &Value) -> String {
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
    // Only for files that say nowhere when they began; 1970 is then as good as any other answer.
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
            service_tier: None,
            provider_id: None,
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
