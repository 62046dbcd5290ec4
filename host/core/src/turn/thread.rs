//! A conversation in this process: what it keeps from turn to turn.

use std::sync::Arc;
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::handle::{Start, ThreadHandle, TurnTicket};
use super::server::ServerFacts;
use super::state::{Halt, Turn};
use super::{Ports, Prompt, TurnOptions, TurnOutcome};
use crate::compaction::Gauge;
use crate::event::{RateLimits, RecordError, ThreadInfo, TurnEvent};
use crate::history::{History, ProviderTrail};
use crate::ids::WindowId;
use crate::item::{ContentItem, ResponseItem};
use crate::snapshot::HistoryInitialization;
use crate::usage::TokenUsage;

/// A conversation in this process.
pub struct Thread {
    pub(super) info: ThreadInfo,
    pub(super) history: History,
    pub(super) window: Window,
    pub(super) gauge: Gauge,
    pub(super) initialization: HistoryInitialization,
    pub(super) instructions: Arc<ResponseItem>,
    pub(super) totals: TokenUsage,
    pub(super) rate_limits: RateLimits,
    pub(super) server: ServerFacts,
    pub(super) warmed_up: bool,
    pub(super) session: SessionStart,
    /// How the last turn ran.
    pub(super) previous: Option<Box<TurnOptions>>,
    pub(super) handle: ThreadHandle,
    pub(super) ports: Ports,
}

/// Where in a conversation the model is: compactions divide it into windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// How many compactions came before.
    pub(super) number: u64,
    pub(super) id: WindowId,
    /// The first one of the conversation.
    pub(super) first: WindowId,
}

/// Whether hooks were told of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionStart {
    /// Not yet.
    Due,
    /// Yes, but what they said of it is no longer in the conversation.
    Compacted,
    /// Yes.
    Told,
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
    /// Which provider answered which turn.
    pub providers: ProviderTrail,
    /// How many tokens the conversation had when that was counted last.
    pub context_tokens: Option<u64>,
    /// The first window of the conversation; none is the one that the thread starts in.
    pub first_window_id: Option<WindowId>,
    /// How its last turn ran, if it could run so again.
    pub previous: Option<Box<TurnOptions>>,
}

impl Resumed {
    fn history(&mut self, provider: &str) -> History {
        History::resume(std::mem::take(&mut self.items), &self.providers, provider)
    }
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
        let history = resumed.history(&info.provider_id);
        Self::build(
            info,
            history,
            resumed,
            HistoryInitialization::ColdResume,
            ports,
        )
    }

    /// Begins a conversation with the history of another one, which is taken from its file alone.
    pub fn fork(info: ThreadInfo, mut resumed: Resumed, ports: Ports) -> Self {
        let history = resumed.history(&info.provider_id);
        let initialization = HistoryInitialization::ColdFork;
        Self::build(info, history, resumed, initialization, ports)
    }

    /// The same where that one goes on in this process: services may still know its beginning.
    pub fn fork_beside(info: ThreadInfo, mut resumed: Resumed, ports: Ports) -> Self {
        let history = resumed.history(&info.provider_id);
        let initialization = HistoryInitialization::WarmFork;
        Self::build(info, history, resumed, initialization, ports)
    }

    fn build(
        info: ThreadInfo,
        history: History,
        resumed: Resumed,
        initialization: HistoryInitialization,
        ports: Ports,
    ) -> Self {
        let instructions = Arc::new(base_message(&info));
        let window = Window {
            number: resumed.window_number,
            id: info.window_id,
            first: resumed.first_window_id.unwrap_or(info.window_id),
        };
        Self {
            window,
            gauge: Gauge::resumed(resumed.context_tokens, history.items()),
            history,
            initialization,
            instructions,
            totals: resumed.totals,
            rate_limits: RateLimits::default(),
            server: ServerFacts::default(),
            warmed_up: false,
            session: SessionStart::Due,
            previous: resumed.previous,
            handle: ThreadHandle::default(),
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

    /// A way to reach the thread while a turn has it.
    pub fn handle(&self) -> ThreadHandle {
        self.handle.clone()
    }

    /// Claims a turn and runs it to its end. The thread stays usable whatever the outcome, unless it could not be
    /// recorded. Where somebody else has claimed a turn that does not run yet, the prompt is queued for that one.
    pub async fn run_turn(
        &mut self,
        prompt: Prompt,
        options: TurnOptions,
        cancel: CancellationToken,
    ) -> TurnOutcome {
        match self.handle.start(prompt, cancel) {
            Start::New(ticket) => self.run(ticket, options).await,
            Start::Steered(turn) => TurnOutcome::Failed(format!(
                "turn `{turn}` is about to run and reads this first"
            )),
        }
    }

    /// Runs a turn that was claimed on this thread's handle to its end.
    pub async fn run(&mut self, ticket: TurnTicket, options: TurnOptions) -> TurnOutcome {
        let mut turn = Turn::new(ticket, options);
        turn.options.facts.deferred_tools = self.ports.tools.deferred().to_vec();
        let end = self.drive(&mut turn).await;
        self.end(turn, end)
    }

    pub(super) fn end(&mut self, mut turn: Turn, end: Result<Option<String>, Halt>) -> TurnOutcome {
        let closed = self.close(&mut turn, end);
        self.previous = Some(Box::new(turn.options));
        closed.unwrap_or_else(TurnOutcome::Unrecorded)
    }

    pub(super) fn emit(&mut self, event: TurnEvent) -> Result<(), RecordError> {
        self.ports.recorder.record(self.info.thread_id, &event)?;
        for observer in &mut self.ports.observers {
            observer.observe(self.info.thread_id, &event);
        }
        Ok(())
    }

    /// Passes an event of a tool on. What a call says after it was given up is not.
    pub(super) fn pass_on(&mut self, turn: &mut Turn, event: TurnEvent) -> Result<(), RecordError> {
        if turn.activities.take(&event) {
            self.emit(event)
        } else {
            Ok(())
        }
    }

    /// Passes on what tools and hooks have said so far.
    pub(super) fn pass_all_on(&mut self, turn: &mut Turn) -> Result<(), RecordError> {
        while let Ok(event) = turn.events.try_recv() {
            self.pass_on(turn, event)?;
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
fn base_message(info: &ThreadInfo) -> ResponseItem {
    let id = Uuid::new_v5(&info.thread_id.uuid(), info.base_instructions.as_bytes());
    let text = info.base_instructions.clone();
    let mut item = ResponseItem::message(
        "developer",
        vec![ContentItem::InputText { text }],
        &["model.base_instructions"],
    );
    item.set_id(format!("msg_{}", id.hyphenated()));
    item
}
