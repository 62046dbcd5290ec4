//! A turn in which another thread reviews changes. This thread keeps what came of it; how the reviewer came there is in
//! the reviewer's own.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::handle::Start;
use super::state::{Halt, Turn};
use super::thread::{Thread, user_text};
use super::{Prompt, TurnOptions, TurnOutcome};
use crate::event::{Observer, RecordError, TurnEvent};
use crate::ids::ThreadId;
use crate::item::{ContentItem, ResponseItem};
use crate::lineage::ParentTurn;
use crate::review::{CUT_SHORT, ReviewOutput, ReviewTarget, user_action};

/// A review to be made.
pub struct Review {
    /// What is reviewed.
    pub target: ReviewTarget,
    /// What the reviewer is asked.
    pub prompt: Prompt,
    /// A new thread whose parent is the one that asks.
    pub reviewer: Thread,
    /// How the reviewer's turn runs. Which turn it works for is filled in.
    pub options: TurnOptions,
}

impl Thread {
    /// Has changes reviewed, as a turn of this thread. The outcome is that of the reviewer's turn, with the review as
    /// people read it for an answer.
    pub async fn run_review(
        &mut self,
        review: Review,
        options: TurnOptions,
        cancel: CancellationToken,
    ) -> TurnOutcome {
        let ticket = match self.handle.start(Prompt::default(), cancel) {
            Start::New(ticket) => ticket,
            Start::Steered(turn) => {
                return TurnOutcome::Failed(format!("turn `{turn}` is about to run"));
            }
        };
        let mut turn = Turn::new(ticket, options);
        turn.explained = true;
        let end = self.review(&mut turn, review).await;
        match self.close(&mut turn, end) {
            Ok(outcome) => outcome,
            Err(error) => TurnOutcome::Unrecorded(error),
        }
    }

    async fn review(&mut self, turn: &mut Turn, review: Review) -> Result<Option<String>, Halt> {
        self.emit(TurnEvent::ReviewStarted {
            turn_id: turn.id,
            at: turn.started,
            target: Box::new(review.target.clone()),
        })?;
        let mut reviewer = review.reviewer;
        let end = self
            .watch(turn, &mut reviewer, review.prompt, review.options)
            .await?;
        let (output, end) = match end {
            TurnOutcome::Completed(Some(answer)) if !answer.trim().is_empty() => {
                (Some(ReviewOutput::parse(&answer)), Ok(()))
            }
            TurnOutcome::Completed(_) => {
                let why = "the reviewer ended without an answer".to_owned();
                (None, Err(Halt::Failed(why)))
            }
            TurnOutcome::Failed(why) => (None, Err(Halt::Failed(why))),
            TurnOutcome::Interrupted => (None, Err(Halt::Interrupted)),
            TurnOutcome::Unrecorded(error) => return Err(Halt::Unrecorded(error)),
        };
        let text = self.keep(turn, output, &reviewer)?;
        end.map(|()| Some(text))
    }

    /// Runs the reviewer's turn, and passes on what this thread's own watchers should see of it.
    async fn watch(
        &mut self,
        turn: &Turn,
        reviewer: &mut Thread,
        prompt: Prompt,
        mut options: TurnOptions,
    ) -> Result<TurnOutcome, RecordError> {
        let root = turn.options.parent_turn;
        options.parent_turn = Some(ParentTurn {
            turn_id: turn.id,
            root_turn_id: root.map_or(turn.id, |root| root.root_turn_id),
        });
        let (relay, mut seen) = Relay::new();
        reviewer.ports.observers.push(Box::new(relay));
        let id = reviewer.info.thread_id;
        let cancel = turn.cancel.child_token();
        let running = reviewer.run_turn(prompt, options, cancel.clone());
        tokio::pin!(running);
        let mut kept = Ok(());
        let outcome = loop {
            tokio::select! {
                biased;
                Some(event) = seen.recv() => {
                    if kept.is_ok() {
                        kept = self.pass_on_from(id, &event);
                    }
                    if kept.is_err() {
                        // What cannot be kept must not go on; it ends by itself all the same.
                        cancel.cancel();
                    }
                }
                outcome = &mut running => break outcome,
            }
        };
        kept?;
        while let Ok(event) = seen.try_recv() {
            self.pass_on_from(id, &event)?;
        }
        Ok(outcome)
    }

    fn pass_on_from(&mut self, thread: ThreadId, event: &TurnEvent) -> Result<(), RecordError> {
        self.ports.recorder.record(thread, event)?;
        if is_work(event) {
            for observer in &mut self.ports.observers {
                observer.observe(thread, event);
            }
        }
        Ok(())
    }

    /// Records what came of a review, for the model and for people. Gives what people read.
    fn keep(
        &mut self,
        turn: &Turn,
        output: Option<ReviewOutput>,
        reviewer: &Thread,
    ) -> Result<String, RecordError> {
        self.emit(TurnEvent::Settings {
            turn_id: turn.id,
            settings: Box::new(turn.options.settings.clone()),
        })?;
        self.record(turn, user_text(user_action(output.as_ref()), "unknown"))?;
        let text = output
            .as_ref()
            .map_or_else(|| CUT_SHORT.to_owned(), ReviewOutput::text);
        self.emit(TurnEvent::ReviewEnded {
            turn_id: turn.id,
            output: output.map(Box::new),
            usage: reviewer.totals,
        })?;
        let content = vec![ContentItem::OutputText { text: text.clone() }];
        self.record(
            turn,
            ResponseItem::message("assistant", content, &["unknown"]),
        )?;
        Ok(text)
    }
}

/// Hands what a reviewer does to the thread it works for. It never waits, so it holds what is not taken yet.
struct Relay(mpsc::UnboundedSender<TurnEvent>);

impl Relay {
    fn new() -> (Self, mpsc::UnboundedReceiver<TurnEvent>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }
}

impl Observer for Relay {
    fn observe(&mut self, _: ThreadId, event: &TurnEvent) {
        let is_kept = matches!(
            event,
            TurnEvent::TurnStarted { .. } | TurnEvent::UserMessage { .. }
        );
        if is_kept || is_work(event) {
            // The other end goes away with the review.
            drop(self.0.send(event.clone()));
        }
    }
}

/// Whether an event is part of the work on a review. What the reviewer says is not: of that only the end counts.
fn is_work(event: &TurnEvent) -> bool {
    match event {
        TurnEvent::ToolStarted { .. }
        | TurnEvent::ToolFinished { .. }
        | TurnEvent::ApprovalRequested(_)
        | TurnEvent::ToolCalled { .. }
        | TurnEvent::HookRan(_)
        | TurnEvent::RequestCompleted { .. }
        | TurnEvent::Reconnecting { .. }
        | TurnEvent::WaitingForNetwork { .. }
        | TurnEvent::CompactionStarted { .. }
        | TurnEvent::Compacted(_)
        | TurnEvent::CompactionAbandoned { .. }
        | TurnEvent::Warning { .. } => true,
        TurnEvent::ItemRecorded { item, .. } => matches!(
            **item,
            ResponseItem::Reasoning { .. } | ResponseItem::WebSearchCall { .. }
        ),
        TurnEvent::TurnStarted { .. }
        | TurnEvent::Settings { .. }
        | TurnEvent::UserMessage { .. }
        | TurnEvent::MessageStarted { .. }
        | TurnEvent::TextDelta { .. }
        | TurnEvent::MessageAbandoned { .. }
        | TurnEvent::ReasoningDelta { .. }
        | TurnEvent::ContextFull { .. }
        | TurnEvent::ReviewStarted { .. }
        | TurnEvent::ReviewEnded { .. }
        | TurnEvent::TurnCompleted { .. }
        | TurnEvent::TurnFailed { .. }
        | TurnEvent::TurnAborted { .. } => false,
    }
}
