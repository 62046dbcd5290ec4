//! Making a conversation shorter: before a turn, within one, or as a turn of its own.
//!
//! The conversation stays as it is until what it goes on with is there, whole and recorded. Whatever fails before that
//! costs nothing but the attempt.

mod answer;
mod local;
mod remote;

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::state::{Halt, Turn};
use super::thread::{SessionStart, Thread};
use super::{TurnOptions, TurnOutcome};
use crate::compaction::{item_tokens, items_tokens, replacement};
use crate::context::context_items;
use crate::event::{Compacted, RecordError, TurnEvent};
use crate::history::History;
use crate::ids::WindowId;
use crate::item::ResponseItem;
use crate::model::TextOptions;
use crate::snapshot::{
    Compaction, CompactionImplementation, CompactionPhase, CompactionReason, CompactionTrigger,
};
use crate::verdict::Ruling;

/// How often in a row a turn is compacted although the very next request is over the limit again. It has been tried
/// then, and what is left is not the conversation's to give.
const MOST_USELESS: u32 = 3;

/// What a conversation is to go on with, without its context.
struct Made {
    /// The user's words that stay.
    kept: Vec<Arc<ResponseItem>>,
    /// What came of the rest.
    rest: Arc<ResponseItem>,
    /// The same as text, if anybody but the service can read it.
    message: String,
    response_id: String,
}

/// Why and when.
#[derive(Clone, Copy)]
struct Occasion {
    trigger: CompactionTrigger,
    reason: CompactionReason,
    phase: CompactionPhase,
}

impl Occasion {
    const fn auto(reason: CompactionReason, phase: CompactionPhase) -> Self {
        Self {
            trigger: CompactionTrigger::Auto,
            reason,
            phase,
        }
    }

    fn described(self, implementation: CompactionImplementation) -> Compaction {
        Compaction::new(self.trigger, self.reason, implementation, self.phase)
    }
}

impl Thread {
    /// Makes the conversation shorter because a person asks for it, in a turn of its own. What was queued stays for the
    /// next turn.
    pub async fn compact(
        &mut self,
        options: TurnOptions,
        cancel: CancellationToken,
    ) -> TurnOutcome {
        let ticket = match self.handle.claim(cancel) {
            Ok(ticket) => ticket,
            Err(turn) => {
                let why = format!("turn `{turn}` is running: wait for it, or interrupt it");
                return TurnOutcome::Failed(why);
            }
        };
        let mut turn = Turn::new(ticket, options);
        turn.options.facts.deferred_tools = self.ports.tools.deferred().to_vec();
        let end = self.standalone(&mut turn).await;
        self.end(turn, end.map(|()| None))
    }

    async fn standalone(&mut self, turn: &mut Turn) -> Result<(), Halt> {
        self.begin(turn)?;
        if self.history.items().is_empty() {
            return Err(Halt::Failed("there is nothing to compact yet".to_owned()));
        }
        let occasion = Occasion {
            trigger: CompactionTrigger::Manual,
            reason: CompactionReason::UserRequested,
            phase: CompactionPhase::StandaloneTurn,
        };
        self.compact_on(turn, occasion, None).await
    }

    /// Makes room before a turn begins, where the last one has left none.
    pub(super) async fn compact_before(&mut self, turn: &mut Turn) -> Result<(), Halt> {
        if self.compact_with_previous(turn).await? || !self.is_over(turn) {
            return Ok(());
        }
        let occasion = Occasion::auto(CompactionReason::ContextLimit, CompactionPhase::PreTurn);
        self.compact_on(turn, occasion, None).await
    }

    /// Makes room between two requests of a turn, where there is none.
    pub(super) async fn compact_within(&mut self, turn: &mut Turn) -> Result<(), Halt> {
        if !self.is_over(turn) || turn.useless_compactions > MOST_USELESS {
            return Ok(());
        }
        if turn.useless_compactions == MOST_USELESS {
            turn.useless_compactions += 1;
            let limit = turn.options.compaction.limit.unwrap_or_default();
            let message = format!(
                "compacting does not bring the conversation below its limit of {limit} tokens; the turn goes on without \
                 (`model_auto_compact_token_limit` sets the limit)"
            );
            return Ok(self.emit(TurnEvent::Warning { message })?);
        }
        let occasion = Occasion::auto(CompactionReason::ContextLimit, CompactionPhase::MidTurn);
        self.compact_on(turn, occasion, None).await
    }

    /// Notes whether a compaction was of use, by what the first request after it had.
    pub(super) fn judge_compaction(&mut self, turn: &mut Turn, read: u64) {
        if !std::mem::take(&mut turn.just_compacted) {
            return;
        }
        let options = &turn.options;
        let window = options.context_window;
        if options.compaction.is_over(read, Some(read), window) {
            turn.useless_compactions += 1;
        } else {
            turn.useless_compactions = 0;
        }
    }

    fn is_over(&self, turn: &Turn) -> bool {
        let items = self.history.items();
        let tokens = self.gauge.tokens(items);
        let window = turn.options.context_window;
        let compaction = &turn.options.compaction;
        !items.is_empty() && compaction.is_over(tokens, self.gauge.prefix(), window)
    }

    /// Where the conversation is too long for a model with a smaller window, the one before it makes room: only that one
    /// can still read all of it. Says whether it did.
    async fn compact_with_previous(&mut self, turn: &mut Turn) -> Result<bool, Halt> {
        let Some(previous) = self.previous.take() else {
            return Ok(false);
        };
        let options = &turn.options;
        let smaller = match (previous.context_window, options.context_window) {
            (Some(before), Some(now)) => before > now,
            (_, None) | (None, _) => false,
        };
        let too_long = options
            .context_window
            .is_some_and(|window| self.gauge.tokens(self.history.items()) >= window);
        let other = previous.settings.model != options.settings.model;
        if !other || !smaller || !(too_long || self.is_over(turn)) {
            return Ok(false);
        }
        let occasion = Occasion::auto(CompactionReason::ModelDownshift, CompactionPhase::PreTurn);
        let with = with_model_of(options, &previous);
        match self.compact_on(turn, occasion, Some(with)).await {
            Ok(()) => Ok(true),
            Err(Halt::Failed(why)) => {
                let message = format!(
                    "the model `{}` could not make room for `{}`, which tries itself: {why}",
                    previous.settings.model, turn.options.settings.model
                );
                self.emit(TurnEvent::Warning { message })?;
                Ok(false)
            }
            Err(halt) => Err(halt),
        }
    }

    /// The whole of it: hooks, the request, what comes of it. `with` runs the request where the turn's own options do not.
    async fn compact_on(
        &mut self,
        turn: &mut Turn,
        occasion: Occasion,
        with: Option<TurnOptions>,
    ) -> Result<(), Halt> {
        self.ask_about_compaction(turn, "PreCompact", occasion)
            .await?;
        let started = Instant::now();
        let item_id = Uuid::now_v7().hyphenated().to_string();
        self.emit(TurnEvent::CompactionStarted {
            turn_id: turn.id,
            item_id: item_id.clone(),
            trigger: occasion.trigger,
        })?;
        let own = with.map(|with| std::mem::replace(&mut turn.options, with));
        let made = self.make(turn, occasion).await;
        if let Some(own) = own {
            turn.options = own;
        }
        match made {
            Ok(made) => self.install(turn, made, item_id, started)?,
            Err(Halt::Unrecorded(error)) => return Err(Halt::Unrecorded(error)),
            Err(halt) => {
                self.emit(TurnEvent::CompactionAbandoned { item_id })?;
                return Err(halt);
            }
        }
        self.ask_about_compaction(turn, "PostCompact", occasion)
            .await
    }

    async fn make(&mut self, turn: &mut Turn, occasion: Occasion) -> Result<Made, Halt> {
        if turn.options.compaction.remote {
            self.compact_remotely(turn, occasion).await
        } else {
            self.compact_locally(turn, occasion).await
        }
    }

    async fn ask_about_compaction(
        &mut self,
        turn: &mut Turn,
        event: &'static str,
        occasion: Occasion,
    ) -> Result<(), Halt> {
        let trigger = occasion.trigger.as_str();
        let ruling = self.rule(turn, event, trigger, json!({ "trigger": trigger }));
        match ruling.await? {
            Ruling::Proceed { .. } => Ok(()),
            Ruling::Stop(reason) => Err(Halt::Failed(format!(
                "a hook stopped the compaction: {reason}"
            ))),
        }
    }

    /// Puts the new beginning in the place of the conversation, with the context as it is now.
    fn install(
        &mut self,
        turn: &mut Turn,
        made: Made,
        item_id: String,
        started: Instant,
    ) -> Result<(), RecordError> {
        let context = context_items(&[], &turn.options.facts);
        let context = context
            .into_iter()
            .map(|item| History::admit(item, turn.id));
        let history = replacement(made.kept, context.collect(), made.rest);
        let tokens_after = self.tokens_of(&history);
        let (previous, begun) = (self.window.id, WindowId::generate());
        self.emit(TurnEvent::Compacted(Box::new(Compacted {
            turn_id: turn.id,
            item_id,
            message: made.message,
            history: history.clone(),
            window_number: self.window.number + 1,
            window_id: begun,
            previous_window_id: previous,
            first_window_id: self.window.first,
            response_id: made.response_id,
            settings: turn.options.settings.clone(),
            tokens_before: self.gauge.tokens(self.history.items()),
            tokens_after,
            thread_total: self.totals,
            rate_limits: self.rate_limits.clone(),
            duration: started.elapsed(),
        })))?;
        self.window.number += 1;
        self.window.id = begun;
        self.gauge.replaced(tokens_after, history.len());
        self.history.replace(history);
        turn.context_recorded = true;
        turn.just_compacted = true;
        if self.session == SessionStart::Told {
            self.session = SessionStart::Compacted;
        }
        Ok(())
    }

    /// The tokens of a conversation with its instructions, roughly.
    pub(super) fn tokens_of(&self, items: &[Arc<ResponseItem>]) -> u64 {
        item_tokens(&self.instructions).saturating_add(items_tokens(items))
    }
}

/// The options of a turn, but for what goes with the model.
fn with_model_of(options: &TurnOptions, other: &TurnOptions) -> TurnOptions {
    let mut with = options.clone();
    with.settings.model.clone_from(&other.settings.model);
    with.settings
        .service_tier
        .clone_from(&other.settings.service_tier);
    with.reasoning.clone_from(&other.reasoning);
    with.text = other.text.as_ref().map(|text| TextOptions {
        output_schema: None,
        ..text.clone()
    });
    with.model = other.model;
    with.web_search.clone_from(&other.web_search);
    with.parallel_tool_calls = other.parallel_tool_calls;
    with.image_input = other.image_input;
    with.context_window = other.context_window;
    with
}
