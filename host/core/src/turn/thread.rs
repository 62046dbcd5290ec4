//! A conversation in this process: what it keeps from turn to turn.

use std::sync::Arc;
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::state::Turn;
use super::{Ports, Prompt, TurnOptions, TurnOutcome};
use crate::event::{RateLimits, RecordError, ThreadInfo, TurnEvent};
use crate::history::History;
use crate::item::{ContentItem, ResponseItem};
use crate::snapshot::HistoryInitialization;
use crate::usage::TokenUsage;

/// A conversation in this process.
pub struct Thread {
    pub(super) info: ThreadInfo,
    pub(super) history: History,
    pub(super) window_number: u64,
    pub(super) initialization: HistoryInitialization,
    pub(super) instructions: Arc<ResponseItem>,
    pub(super) totals: TokenUsage,
    pub(super) rate_limits: RateLimits,
    pub(super) session_started: bool,
    pub(super) ports: Ports,
}

/// What a thread brings along from disk.
#[derive(Debug, Clone, Default)]
pub struct Resumed {
    /// The items.
    pub items: Vec<ResponseItem>,
    /// What was used so far.
    pub totals: TokenUsage,
    /// How many compactions there were.
    pub window_number: u64,
}

impl Thread {
    /// Starts a new conversation.
    pub fn start(info: ThreadInfo, ports: Ports) -> Self {
        Self::build(
            info,
            History::default(),
            Resumed::default(),
            HistoryInitialization::New,
            ports,
        )
    }

    /// Takes up a conversation.
    pub fn resume(info: ThreadInfo, mut resumed: Resumed, ports: Ports) -> Self {
        let history = History::resume(std::mem::take(&mut resumed.items));
        Self::build(
            info,
            history,
            resumed,
            HistoryInitialization::ColdResume,
            ports,
        )
    }

    pub(super) fn build(
        info: ThreadInfo,
        history: History,
        resumed: Resumed,
        initialization: HistoryInitialization,
        ports: Ports,
    ) -> Self {
        let instructions = Arc::new(base_message(&info));
        Self {
            history,
            window_number: resumed.window_number,
            initialization,
            instructions,
            totals: resumed.totals,
            rate_limits: RateLimits::default(),
            session_started: false,
            info,
            ports,
        }
    }

    /// What the thread is.
    pub fn info(&self) -> &ThreadInfo {
        &self.info
    }

    /// What it used so far.
    pub fn totals(&self) -> TokenUsage {
        self.totals
    }

    /// Runs one turn to its end. The thread stays usable whatever the outcome, unless it could not be recorded.
    pub async fn run_turn(
        &mut self,
        prompt: Prompt,
        options: TurnOptions,
        cancel: CancellationToken,
    ) -> TurnOutcome {
        let mut turn = Turn::new(options, cancel);
        let end = self.drive(&mut turn, prompt).await;
        match self.close(&mut turn, end) {
            Ok(outcome) => outcome,
            Err(error) => TurnOutcome::Unrecorded(error),
        }
    }

    pub(super) fn emit(&mut self, event: TurnEvent) -> Result<(), RecordError> {
        self.ports.recorder.record(self.info.thread_id, &event)?;
        for observer in &mut self.ports.observers {
            observer.observe(self.info.thread_id, &event);
        }
        Ok(())
    }

    pub(super) fn record(
        &mut self,
        turn: &Turn,
        item: ResponseItem,
    ) -> Result<Arc<ResponseItem>, RecordError> {
        let item = self.history.push(item, turn.id, SystemTime::now());
        self.emit(TurnEvent::ItemRecorded {
            turn_id: turn.id,
            item: Arc::clone(&item),
        })?;
        Ok(item)
    }
}

pub(super) fn user_text(text: String, kind: &str) -> ResponseItem {
    ResponseItem::message("user", vec![ContentItem::InputText { text }], &[kind])
}

/// The first item of every request. Its id depends on thread and text alone, so that caches recognise it.
pub(super) fn base_message(info: &ThreadInfo) -> ResponseItem {
    let id = Uuid::new_v5(&info.thread_id.uuid(), info.base_instructions.as_bytes());
    ResponseItem::Message {
        id: Some(format!("msg_{}", id.hyphenated())),
        role: "developer".to_owned(),
        content: vec![ContentItem::InputText {
            text: info.base_instructions.clone(),
        }],
        phase: None,
        metadata: None,
    }
}
