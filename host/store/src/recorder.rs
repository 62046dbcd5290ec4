//! From events to lines.

mod counts;
mod review;
mod turn;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use dovetail_core::event::{
    RecordError, Recorder, ThreadInfo, ToolActivity, TurnEvent, TurnSettings,
};
use dovetail_core::history::{CallPart, call_part};
use dovetail_core::ids::{CallId, ThreadId, TurnId};
use dovetail_core::item::ResponseItem;
use serde::Serialize;
use uuid::Uuid;

use self::turn::{Turn, task_complete, task_started};
use crate::append::LineFile;
use crate::error::{self, StoreError};
use crate::lineage::Part;
use crate::load::{HistoryMode, LoadedThread};
use crate::lock::WriterLock;
use crate::payload::{
    self, EventMsg, HistoryBase, SessionMeta, ThreadSettings, TokenUsageRecord, TurnContext,
};
use crate::place;
use crate::reopen::{self, Reopened};
use crate::sync::Syncer;
use crate::turn_item::TurnItem;
use crate::walk::Walk;

/// Keeps a thread in its rollout file.
///
/// Each line is written when the thing happens; at the end of a turn the file is sent to the disk in the background,
/// see [`Syncer`]. After a failed write nothing more is written, so that the file has no holes.
pub struct RolloutRecorder {
    info: ThreadInfo,
    file: LineFile,
    /// Where the history before the file's first line is.
    base: Option<HistoryBase>,
    /// A history whose lines follow the first one, as they are.
    copied: Vec<Part>,
    home: PathBuf,
    /// Taken with the first line, and held to the end.
    lock: Option<WriterLock>,
    turn: Option<Turn>,
    /// What the file last said of the thread's settings.
    settings: Option<TurnSettings>,
}

impl RolloutRecorder {
    /// A recorder for a new thread. Nothing is touched on the disk before the first event that is kept.
    pub fn create(home: &Path, info: ThreadInfo) -> Self {
        let path = place::rollout(home, info.thread_id, info.created);
        let file = LineFile::new(path, HistoryMode::Paginated, 0);
        Self::new(home, info, file, None, None)
    }

    /// Takes up a thread: takes the right to write to it, reads it, and makes its end whole. A compressed file is
    /// unpacked first.
    ///
    /// # Errors
    /// The file cannot be read, is no thread, or is in use by another process.
    pub fn resume(path: &Path) -> Result<(LoadedThread, Self), StoreError> {
        let home = place::home_of(path);
        let Reopened {
            thread,
            file,
            tail,
            lock,
        } = reopen::reopen(home, path)?;
        let file = LineFile::reopened(thread.path.clone(), file, &tail, thread.next_ordinal);
        let recorder = Self::new(home, thread.info.clone(), file, None, Some(lock));
        Ok((thread, recorder))
    }

    /// A recorder for a thread that begins in another one. Nothing is touched on the disk before the first event that
    /// is kept, or [`RolloutRecorder::begin`].
    pub(crate) fn fork(
        home: &Path,
        info: ThreadInfo,
        base: HistoryBase,
        first_ordinal: u64,
    ) -> Self {
        let path = place::rollout(home, info.thread_id, info.created);
        let file = LineFile::new(path, HistoryMode::Paginated, first_ordinal);
        Self::new(home, info, file, Some(base), None)
    }

    /// A recorder for a thread whose file begins with a copy of a history, in the older dialect.
    pub(crate) fn copy(home: &Path, info: ThreadInfo, history: Vec<Part>) -> Self {
        let path = place::rollout(home, info.thread_id, info.created);
        let file = LineFile::new(path, HistoryMode::Legacy, 0);
        Self {
            copied: history,
            ..Self::new(home, info, file, None, None)
        }
    }

    fn new(
        home: &Path,
        info: ThreadInfo,
        file: LineFile,
        base: Option<HistoryBase>,
        lock: Option<WriterLock>,
    ) -> Self {
        Self {
            info,
            file,
            base,
            copied: Vec::new(),
            home: home.to_owned(),
            lock,
            turn: None,
            settings: None,
        }
    }

    /// Writes the first line if it is still missing, so that the thread is there before anything happens in it.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn begin(&mut self) -> Result<(), RecordError> {
        if !self.file.is_missing() {
            return Ok(());
        }
        if self.lock.is_none() {
            let lock = WriterLock::take(&self.home, self.info.thread_id);
            self.lock = Some(lock.map_err(|error| RecordError {
                message: error::with_source(&error),
            })?);
        }
        let mode = self.file.mode();
        let meta = SessionMeta::new(&self.info, mode, self.base);
        self.file.append("session_meta", &meta)?;
        let mut walk = Walk::default();
        for part in std::mem::take(&mut self.copied) {
            let copied = walk.part(&part, |entry| self.file.copy(entry.text));
            copied.map_err(|error| RecordError {
                message: error::with_source(&error),
            })??;
        }
        Ok(())
    }

    /// The file, which may not exist yet.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What waits for the disk. Take it before the recorder is given away.
    pub fn syncer(&self) -> Syncer {
        self.file.syncer()
    }

    fn line<P: Serialize>(&mut self, kind: &'static str, payload: &P) -> Result<(), RecordError> {
        self.begin()?;
        self.file.append(kind, payload)
    }

    fn event(&mut self, event: &EventMsg<'_>) -> Result<(), RecordError> {
        self.line("event_msg", event)
    }

    fn turn_started(
        &mut self,
        started: &EventMsg<'_>,
        (id, root): (TurnId, TurnId),
        context_window: Option<u64>,
    ) -> Result<(), RecordError> {
        // An earlier turn whose end never came (a failed write) leaves nothing behind.
        self.turn = Some(Turn {
            context_window,
            ..Turn::new(id, root)
        });
        self.event(started)
    }

    /// The root thread's turn that a turn of this one belongs to.
    fn root(&self, turn_id: TurnId) -> TurnId {
        self.turn.as_ref().map_or(turn_id, |turn| turn.root)
    }

    fn worked(
        &mut self,
        thread_id: ThreadId,
        turn_id: Option<TurnId>,
        call_id: &CallId,
        activity: &ToolActivity,
        duration: Duration,
    ) -> Result<(), RecordError> {
        match (
            turn_id,
            TurnItem::of_activity(call_id.as_str(), activity, duration),
        ) {
            (Some(turn_id), Some(item)) => self.completed(thread_id, turn_id, item, duration),
            (None, _) | (_, None) => Ok(()),
        }
    }

    fn settings(
        &mut self,
        thread_id: ThreadId,
        turn_id: TurnId,
        settings: &TurnSettings,
    ) -> Result<(), RecordError> {
        let turn = self.turn.as_ref();
        // Where another thread works, its own file says with what.
        if turn.is_none_or(|turn| turn.review.is_none()) {
            let ids = (turn_id, self.root(turn_id));
            let context = TurnContext::new(ids, settings, &self.info);
            self.line("turn_context", &context)?;
        }
        if self.settings.as_ref() == Some(settings) {
            return Ok(());
        }
        self.event(&EventMsg::ThreadSettingsApplied {
            thread_id,
            thread_settings: ThreadSettings::new(settings),
        })?;
        self.settings = Some(settings.clone());
        Ok(())
    }

    /// Writes an item; what clients see of it comes first, as in existing files.
    fn item(
        &mut self,
        thread_id: ThreadId,
        turn_id: TurnId,
        item: &ResponseItem,
    ) -> Result<(), RecordError> {
        let shown = TurnItem::of_response(item);
        let turn = self.turn.as_ref();
        if turn.is_some_and(|turn| turn.review.is_some()) {
            // There the host itself says something: it is an item before anybody sees it.
            self.line("response_item", item)?;
            return match shown {
                Some(shown) => self.completed(thread_id, turn_id, shown, Duration::ZERO),
                None => Ok(()),
            };
        }
        if let Some(shown) = shown {
            self.completed(thread_id, turn_id, shown, Duration::ZERO)?;
        }
        self.line("response_item", item)?;
        let Some(turn) = &mut self.turn else {
            return Ok(());
        };
        if matches!(item, ResponseItem::Reasoning { .. }) {
            turn.reasoned = true;
        }
        match call_part(item) {
            CallPart::Call(_) => turn.open_calls += 1,
            CallPart::Output(_) => {
                turn.open_calls = turn.open_calls.saturating_sub(1);
                if turn.open_calls == 0 {
                    return self.release_count();
                }
            }
            CallPart::None => {}
        }
        Ok(())
    }

    fn completed(
        &mut self,
        thread_id: ThreadId,
        turn_id: TurnId,
        item: TurnItem<'_>,
        took: Duration,
    ) -> Result<(), RecordError> {
        if self.file.mode() == HistoryMode::Legacy {
            return match item.legacy() {
                Some(event) => self.event(&event),
                None => Ok(()),
            };
        }
        let completed_at_ms = payload::milliseconds(SystemTime::now());
        let started_at_ms = completed_at_ms.saturating_sub(payload::whole_ms(took));
        self.event(&EventMsg::ItemCompleted {
            thread_id,
            turn_id,
            item,
            started_at_ms,
            completed_at_ms,
        })
    }

    fn turn_ended(&mut self, last_line: &EventMsg<'_>) -> Result<(), RecordError> {
        self.release_count()?;
        self.event(last_line)?;
        self.turn = None;
        self.file.flush()
    }
}

impl Recorder for RolloutRecorder {
    fn record(&mut self, thread_id: ThreadId, event: &TurnEvent) -> Result<(), RecordError> {
        if thread_id != self.info.thread_id {
            return self.reviewers(thread_id, event);
        }
        match event {
            TurnEvent::TurnStarted { context_window, .. } => match task_started(event) {
                Some((started, turn)) => self.turn_started(&started, turn, *context_window),
                None => Ok(()),
            },
            TurnEvent::ReviewStarted {
                turn_id, target, ..
            } => self.review_started(thread_id, *turn_id, target),
            TurnEvent::ReviewEnded {
                turn_id, output, ..
            } => self.review_ended(*turn_id, output.as_deref()),
            TurnEvent::Settings { turn_id, settings } => {
                self.settings(thread_id, *turn_id, settings)
            }
            TurnEvent::ItemRecorded { turn_id, item } => self.item(thread_id, *turn_id, item),
            TurnEvent::UserMessage {
                turn_id,
                text,
                images,
            } => {
                let item = TurnItem::user_message(Uuid::now_v7().to_string(), text, images);
                self.completed(thread_id, *turn_id, item, Duration::ZERO)
            }
            TurnEvent::ToolFinished {
                call_id,
                activity,
                duration,
            } => {
                let turn_id = self.turn.as_ref().map(|turn| turn.id);
                self.worked(thread_id, turn_id, call_id, activity, *duration)
            }
            TurnEvent::RequestCompleted {
                response_id,
                usage,
                turn_total,
                thread_total,
                rate_limits,
                turn_id,
                made_for,
                ..
            } => {
                let record = TokenUsageRecord {
                    thread_id,
                    turn_id: *turn_id,
                    session_id: self.info.session_id,
                    root_turn_id: self.root(*turn_id),
                    response_id,
                    usage: *usage,
                    turn_token_usage: *turn_total,
                    thread_token_usage: *thread_total,
                };
                self.request_completed(&record, *made_for, rate_limits)
            }
            TurnEvent::ContextFull {
                thread_total,
                rate_limits,
                ..
            } => self.context_full(*thread_total, rate_limits),
            TurnEvent::Compacted(compacted) => self.compacted(thread_id, compacted),
            TurnEvent::TurnCompleted {
                turn_id,
                last_message,
                started,
                duration,
                time_to_first_token,
                ..
            } => {
                let turn = self.turn.as_ref();
                let reviewed = turn.is_some_and(|turn| turn.review.is_some());
                // A reviewer's words are not the model's answer, as existing files have it.
                let end = task_complete(
                    (*turn_id, self.root(*turn_id)),
                    last_message.as_deref().filter(|_| !reviewed),
                    *started,
                    *duration,
                    *time_to_first_token,
                );
                self.turn_ended(&end)
            }
            TurnEvent::TurnFailed {
                turn_id,
                message,
                started,
                duration,
            } => {
                self.release_count()?;
                self.event(&EventMsg::Error {
                    message,
                    codex_error_info: "other",
                })?;
                let turn = (*turn_id, self.root(*turn_id));
                self.turn_ended(&task_complete(turn, None, *started, *duration, None))
            }
            TurnEvent::TurnAborted {
                turn_id,
                reason,
                started,
                duration,
            } => self.turn_ended(&EventMsg::TurnAborted {
                turn_id: *turn_id,
                reason: payload::abort_reason(*reason),
                started_at: payload::seconds(*started),
                completed_at: payload::seconds(*started + *duration),
                duration_ms: payload::whole_ms(*duration),
            }),
            TurnEvent::MessageStarted { .. }
            | TurnEvent::TextDelta { .. }
            | TurnEvent::MessageAbandoned { .. }
            | TurnEvent::ReasoningDelta { .. }
            | TurnEvent::ToolStarted { .. }
            | TurnEvent::ApprovalRequested(_)
            | TurnEvent::ToolCalled { .. }
            | TurnEvent::HookRan(_)
            | TurnEvent::Reconnecting { .. }
            | TurnEvent::WaitingForNetwork { .. }
            | TurnEvent::CompactionStarted { .. }
            | TurnEvent::CompactionAbandoned { .. }
            | TurnEvent::Warning { .. } => Ok(()),
        }
    }
}

/// Keeps nothing, for `--ephemeral`.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullRecorder;

impl Recorder for NullRecorder {
    fn record(&mut self, _: ThreadId, _: &TurnEvent) -> Result<(), RecordError> {
        Ok(())
    }
}
