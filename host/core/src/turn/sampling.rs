//! One request after another, until one is answered to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use uuid::Uuid;

use super::activities::Partial;
use super::server::too_long;
use super::state::{Halt, Lost, Turn};
use super::thread::Thread;
use crate::event::{RecordError, RequestUse, TurnEvent};
use crate::item::ResponseItem;
use crate::model::{FailureStage, ModelError, ModelEvent, ModelRequest, ModelStream};
use crate::plugin::{FailureKind, Recovery};
use crate::retry::{NextStep, RecoveryStep};
use crate::toolbox::{RunningCalls, call_in};
use crate::usage::TokenUsage;

/// What a request brought.
pub(super) struct Sampled {
    pub(super) follow_up: bool,
    pub(super) message: Option<String>,
}

/// What one response has brought so far.
pub(super) struct Answer {
    pub(super) calls: RunningCalls,
    pub(super) message: Option<String>,
    pub(super) first_event: Option<Duration>,
}

/// When a request was sent, and how long the server took to begin its answer.
pub(super) struct Timing {
    pub(super) sent: Instant,
    pub(super) first_event: Option<Duration>,
}

impl Answer {
    pub(super) fn new(calls: RunningCalls) -> Self {
        Self {
            calls,
            message: None,
            first_event: None,
        }
    }
}

impl Thread {
    /// Sends the conversation and repeats what may be repeated. Items that were finished stay: a repeat sends them.
    pub(super) async fn sample_until_done(&mut self, turn: &mut Turn) -> Result<Sampled, Halt> {
        loop {
            let error = match self.sample(turn).await {
                Ok(sampled) => {
                    turn.budget.succeeded();
                    return Ok(sampled);
                }
                Err(Lost::Halt(halt)) => return Err(halt),
                Err(Lost::Model(error)) => error,
            };
            self.mend(turn, error).await?;
        }
    }

    /// Does what a failure asks for before the request is sent again: waits, gets a credential, forgets what cannot be
    /// read. An error where it is not to be sent again.
    pub(super) async fn mend(&mut self, turn: &mut Turn, error: ModelError) -> Result<(), Halt> {
        self.learn_from(turn, &error)?;
        if is_foreign_encryption(&error) && self.history.forget_encrypted() {
            self.emit(TurnEvent::Warning {
                message: "the provider cannot read its earlier reasoning, which was probably made for another account; the conversation goes on without it".to_owned(),
            })?;
            return Ok(());
        }
        if self.goes_on_without_images(turn, &error) {
            let message = format!(
                "{}; the conversation goes on without its images",
                error.message
            );
            self.emit(TurnEvent::Warning { message })?;
            return Ok(());
        }
        match turn.budget.next(&error, jitter()) {
            NextStep::Fail => return Err(Halt::Failed(error.message)),
            NextStep::TooLong { asked } => {
                return Err(Halt::Failed(too_long(&error.message, asked)));
            }
            NextStep::GiveUp => self.fall_back(turn, &error)?,
            NextStep::Quiet(delay) => turn.pause(delay).await?,
            NextStep::Reconnect {
                delay,
                attempt,
                max,
            } => {
                self.emit(TurnEvent::Reconnecting {
                    attempt,
                    max,
                    reason: error.message,
                    delay,
                })?;
                turn.pause(delay).await?;
            }
            NextStep::Await { delay, first } => {
                if first {
                    let reason = error.message;
                    self.emit(TurnEvent::WaitingForNetwork { reason })?;
                }
                turn.pause(delay).await?;
            }
            NextStep::Recover(step) => self.recover(turn, error, step).await?,
        }
        Ok(())
    }

    /// Forgets the images of a conversation that its service refuses because of one. A person who has just shown an
    /// image is not answered without it; what the turn before showed must not be the end of the thread.
    fn goes_on_without_images(&mut self, turn: &Turn, error: &ModelError) -> bool {
        error.about_image && !self.history.shows_image(turn.id) && self.history.forget_images()
    }

    async fn recover(
        &mut self,
        turn: &mut Turn,
        error: ModelError,
        step: RecoveryStep,
    ) -> Result<(), Halt> {
        let recovery = tokio::select! {
            biased;
            () = turn.cancel.cancelled() => return Err(Halt::Interrupted),
            recovery = self.ports.model.recover(&error, step) => recovery,
        };
        match recovery {
            Recovery::Changed => Ok(()),
            Recovery::Unchanged => self.fall_back(turn, &error),
            Recovery::Permanent(why) | Recovery::Transient(why) => {
                Err(Halt::Failed(format!("{why} ({})", error.message)))
            }
        }
    }

    /// Goes on another way after a failure that may be this way's, where there is another.
    fn fall_back(&mut self, turn: &mut Turn, error: &ModelError) -> Result<(), Halt> {
        let of_this_way = error.over_socket || error.stage == FailureStage::Upgrade;
        let refused = matches!(error.stage, FailureStage::Status(_))
            && error.kind == FailureKind::Unauthorized;
        if !of_this_way || refused || !self.ports.model.fall_back() {
            return Err(Halt::Failed(error.message.clone()));
        }
        turn.budget.succeeded();
        let message = format!(
            "Falling back from WebSockets to HTTPS transport. {}",
            error.message
        );
        Ok(self.emit(TurnEvent::Warning { message })?)
    }

    /// One request: its items are recorded as they end, its calls run as they come.
    async fn sample(&mut self, turn: &mut Turn) -> Result<Sampled, Lost> {
        let request = self.request(turn);
        let sent = Instant::now();
        let mut stream = self.open(turn, &request).await?;
        let mut answer = Answer::new(self.running_calls(turn, &request));
        let ended = loop {
            tokio::select! {
                biased;
                () = turn.cancel.cancelled() => break Err(Lost::Halt(Halt::Interrupted)),
                event = turn.events.recv() => {
                    if let Some(event) = event {
                        self.pass_on(turn, event)?;
                    }
                }
                next = stream.next() => match next {
                    Some(Ok(ModelEvent::Completed { response_id, usage, end_turn })) => {
                        break Ok((response_id, usage, end_turn));
                    }
                    Some(Ok(event)) => self.take(turn, &mut answer, event, sent).await?,
                    Some(Err(error)) => break Err(Lost::Model(error)),
                    None => break Err(Lost::Model(cut_off())),
                },
            }
        };
        drop(stream);
        self.abandon_partial(turn)?;
        if let Ok((response_id, usage, _)) = &ended {
            let usage = usage.unwrap_or_default();
            self.measure(turn, usage);
            let timing = Timing {
                sent,
                first_event: answer.first_event,
            };
            self.count(turn, response_id, usage, RequestUse::Turn, timing)?;
        }
        let called = !answer.calls.is_empty();
        self.finish_calls(turn, answer.calls).await?;
        match ended {
            // A stream that breaks under an interrupt is not tried again.
            _ if turn.cancel.is_cancelled() => Err(Lost::Halt(Halt::Interrupted)),
            Ok((_, _, end_turn)) => Ok(Sampled {
                follow_up: called || end_turn == Some(false),
                message: answer.message,
            }),
            Err(lost) => Err(lost),
        }
    }

    /// Sends a request, unless it is interrupted.
    pub(super) async fn open(
        &mut self,
        turn: &Turn,
        request: &ModelRequest,
    ) -> Result<ModelStream, Lost> {
        let model = Arc::clone(&self.ports.model);
        let opened = tokio::select! {
            biased;
            () = turn.cancel.cancelled() => return Err(Lost::Halt(Halt::Interrupted)),
            opened = model.send(request, &turn.cancel) => opened,
        };
        opened.map_err(Lost::Model)
    }

    /// Takes one event of the stream.
    async fn take(
        &mut self,
        turn: &mut Turn,
        answer: &mut Answer,
        event: ModelEvent,
        sent: Instant,
    ) -> Result<(), RecordError> {
        answer.first_event.get_or_insert_with(|| sent.elapsed());
        let Some(event) = self.take_fact(turn, event)? else {
            return Ok(());
        };
        match event {
            ModelEvent::TurnState(state) => {
                turn.turn_state = Some(state);
                Ok(())
            }
            ModelEvent::ItemAdded { kind, id } if kind == "message" => {
                turn.partial = Some(Partial {
                    item_id: id.clone(),
                    text: String::new(),
                });
                self.emit(TurnEvent::MessageStarted { item_id: id })
            }
            ModelEvent::ItemAdded { .. } => Ok(()),
            ModelEvent::TextDelta(delta) => {
                turn.first_token.get_or_insert_with(|| turn.clock.elapsed());
                if let Some(partial) = &mut turn.partial {
                    partial.text.push_str(&delta);
                }
                self.emit(TurnEvent::TextDelta { delta })
            }
            ModelEvent::ReasoningDelta(delta) => self.emit(TurnEvent::ReasoningDelta { delta }),
            ModelEvent::ItemDone(item) => self.take_item(turn, answer, *item).await,
            // What tells of the server was taken before.
            ModelEvent::Created
            | ModelEvent::Completed { .. }
            | ModelEvent::RateLimits(_)
            | ModelEvent::ModelsEtag(_)
            | ModelEvent::ReasoningIncluded
            | ModelEvent::ServerModel(_)
            | ModelEvent::ItemLost(_) => Ok(()),
        }
    }

    async fn take_item(
        &mut self,
        turn: &mut Turn,
        answer: &mut Answer,
        item: ResponseItem,
    ) -> Result<(), RecordError> {
        turn.first_token.get_or_insert_with(|| turn.clock.elapsed());
        let call = call_in(&item);
        if let Some(call) = &call
            && answer.calls.has(&call.call_id)
        {
            // A call that is sent again is made once: its id can have one result.
            let message = format!(
                "the model sent the call `{}` twice; it was made once",
                call.call_id.as_str()
            );
            return self.emit(TurnEvent::Warning { message });
        }
        let item = self.record(turn, item)?;
        if let Some(text) = item.assistant_text() {
            turn.partial = None;
            answer.message = Some(text);
        }
        if let Some(call) = call {
            answer.calls.start(call).await;
        }
        Ok(())
    }

    /// Closes a message that has begun and will not be finished.
    fn abandon_partial(&mut self, turn: &mut Turn) -> Result<(), RecordError> {
        match turn.partial.take() {
            Some(Partial { item_id, text }) => {
                self.emit(TurnEvent::MessageAbandoned { item_id, text })
            }
            None => Ok(()),
        }
    }

    /// Notes how full the context is now; where the server does not count, that is estimated.
    fn measure(&mut self, turn: &mut Turn, usage: TokenUsage) {
        let items = self.history.items();
        let total = match usage.total_tokens {
            0 => usage.input_tokens.saturating_add(usage.output_tokens),
            total => total,
        };
        let (read, total) = match total {
            0 => {
                let all = self.tokens_of(items);
                (all, all)
            }
            total => (usage.input_tokens, total),
        };
        let first = self.gauge.prefix().is_none();
        self.gauge.counted(read, total, items.len());
        if first {
            self.judge_compaction(turn, read);
        }
    }

    pub(super) fn count(
        &mut self,
        turn: &mut Turn,
        response_id: &str,
        usage: TokenUsage,
        made_for: RequestUse,
        timing: Timing,
    ) -> Result<(), RecordError> {
        turn.used += usage;
        self.totals += usage;
        self.emit(TurnEvent::RequestCompleted {
            response_id: response_id.to_owned(),
            usage,
            turn_total: turn.used,
            thread_total: self.totals,
            rate_limits: self.rate_limits.clone(),
            turn_id: turn.id,
            made_for,
            time_to_first_event: timing.first_event.unwrap_or_default(),
            duration: timing.sent.elapsed(),
        })
    }
}

/// Whether the service refuses what it once encrypted, which it does for everybody but the account it did it for.
fn is_foreign_encryption(error: &ModelError) -> bool {
    error.stage == FailureStage::Status(400) && error.message.contains("invalid_encrypted_content")
}

pub(super) fn cut_off() -> ModelError {
    let why = "stream disconnected before completion: stream closed before response.completed";
    ModelError::new(FailureStage::Stream, why.to_owned())
}

/// Enough randomness to keep clients from repeating in step.
fn jitter() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}
