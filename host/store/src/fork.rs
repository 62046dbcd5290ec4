//! Threads that begin in another one.
//!
//! A fork is a reference: its file says where in which file its history is, and nothing of that is copied. Files of the
//! older dialect cannot be referred to by other clients, so a fork of one of those is a copy in that dialect.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dovetail_core::event::{ForkPoint, ThreadInfo};
use dovetail_core::ids::ThreadId;

use crate::error::StoreError;
use crate::lineage::{self, Part};
use crate::load::{self, HistoryMode, LoadedThread};
use crate::payload::HistoryBase;
use crate::place;
use crate::recorder::RolloutRecorder;
use crate::turns;
use crate::walk::Cut;

/// Where a fork leaves its thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForkAt {
    /// At its end, as far as it is written.
    End,
    /// After a turn, given by its id or its number.
    Turn(String),
}

/// What a fork does not take over from its thread.
#[derive(Debug, Clone, Default)]
pub struct ForkSettings {
    /// Where it works; as the thread did, if not given.
    pub cwd: Option<PathBuf>,
    /// `exec`, `cli`, ….
    pub source: String,
    /// `user`, ….
    pub thread_source: Option<String>,
    /// The provider's id; the thread's, if not given.
    pub provider_id: Option<String>,
    /// Who it is started by, given what the thread says of itself; the same, if not given.
    pub originator: Option<fn(&str) -> String>,
}

/// Makes a fork of a thread. Nothing is written before the recorder gets its first event, or is told to begin; the
/// thread itself is only read, and may be in use.
///
/// # Errors
/// As for [`crate::load_thread`]; or the thread has no such turn.
pub fn fork_thread(
    path: &Path,
    at: &ForkAt,
    settings: ForkSettings,
) -> Result<(LoadedThread, RolloutRecorder), StoreError> {
    let parts = lineage::parts(Part::open(path)?)?;
    let asked = load::thread_info(parts[parts.len() - 1].meta.clone(), path)?;
    let (mut thread, cut, mode) = match at {
        ForkAt::End => whole(parts)?,
        ForkAt::Turn(turn) => through(parts, asked.thread_id, turn)?,
    };

    let home = place::home_of(path);
    let info = info_of(asked, &thread, settings, mode, cut);
    let recorder = match mode {
        HistoryMode::Paginated => {
            let base = HistoryBase {
                thread_id: cut.rollout,
                end_ordinal_exclusive: cut.ordinal,
                end_byte_offset: cut.offset,
            };
            RolloutRecorder::fork(home, info.clone(), base, cut.ordinal)
        }
        HistoryMode::Legacy => {
            let copied = up_to(cut, lineage::parts(Part::open(path)?)?);
            RolloutRecorder::copy(home, info.clone(), copied)
        }
    };
    thread.info = info;
    thread.path = recorder.path().to_owned();
    thread.next_ordinal = cut.ordinal;
    Ok((thread, recorder))
}

/// A history to its end, which is taken as the reading finds it: somebody may be writing on.
fn whole(parts: Vec<Part>) -> Result<(LoadedThread, Cut, HistoryMode), StoreError> {
    let (part, rollout) = (parts.len() - 1, parts[parts.len() - 1].rollout);
    let (thread, tail) = load::load(parts)?;
    let cut = Cut {
        part,
        rollout,
        ordinal: thread.next_ordinal,
        offset: tail.end(),
    };
    Ok((thread, cut, tail.mode))
}

/// A history up to the end of a turn.
fn through(
    parts: Vec<Part>,
    id: ThreadId,
    wanted: &str,
) -> Result<(LoadedThread, Cut, HistoryMode), StoreError> {
    let turns = turns::outline(&parts)?;
    let number: Option<usize> = wanted.parse().ok();
    let found = turns
        .iter()
        .find(|turn| turn.id.as_deref() == Some(wanted) || number == Some(turn.number));
    let cut = found
        .and_then(|turn| turn.end)
        .ok_or_else(|| StoreError::NoTurn {
            id,
            turn: wanted.to_owned(),
            turns: turns.len(),
        })?;
    let (thread, tail) = load::load(up_to(cut, parts))?;
    Ok((thread, cut, tail.mode))
}

/// The fork keeps the window that its history ends in; the rest of its identity is its own.
fn info_of(
    asked: ThreadInfo,
    history: &LoadedThread,
    settings: ForkSettings,
    mode: HistoryMode,
    cut: Cut,
) -> ThreadInfo {
    let id = ThreadId::generate();
    ThreadInfo {
        thread_id: id,
        session_id: id,
        window_id: history.info.window_id,
        parent_thread_id: None,
        forked_from: Some(ForkPoint {
            thread_id: asked.thread_id,
            ordinal_exclusive: (mode == HistoryMode::Paginated).then_some(cut.ordinal),
        }),
        cwd: settings.cwd.unwrap_or(asked.cwd),
        originator: match settings.originator {
            Some(resolve) => resolve(&asked.originator),
            None => asked.originator,
        },
        subagent: None,
        source: settings.source,
        thread_source: settings.thread_source,
        provider_id: settings.provider_id.unwrap_or(asked.provider_id),
        created: SystemTime::now(),
        ..asked
    }
}

/// A history without what comes after a place in it.
fn up_to(cut: Cut, mut parts: Vec<Part>) -> Vec<Part> {
    parts.truncate(cut.part + 1);
    let last = &mut parts[cut.part];
    last.limit = last.limit.min(cut.ordinal);
    parts
}
