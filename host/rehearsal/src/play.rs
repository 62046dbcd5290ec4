//! Plays one step on a connection: the answer, byte by byte where the script wants it.

use std::num::NonZeroUsize;

use serde_json::Value;
use tokio::sync::Semaphore;

use crate::events::{self, Names};
use crate::script::{Action, Disconnect, Step, Usage};
use crate::wire::{Piece, Wire};

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was sent whole: the connection can carry the next request.
    Whole,
    /// The script broke the connection.
    Cut,
    /// The client closed the connection first.
    ClientGone,
}

impl Ending {
    /// How an answer ended that was written at once.
    pub(crate) fn of(written: std::io::Result<()>) -> Self {
        match written {
            Ok(()) => Self::Whole,
            Err(_) => Self::ClientGone,
        }
    }
}

/// Why playing stops before the last action.
enum Stop {
    Ending(Ending),
    Io(std::io::Error),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// One answer in progress.
pub(crate) struct Player<'a> {
    wire: Wire<'a>,
    gate: &'a Semaphore,
    model: &'a str,
    names: Names,
    headers: Vec<(String, String)>,
    head_sent: bool,
    sequence: u64,
    usage: Option<Usage>,
    end_turn: Option<bool>,
    split: Option<NonZeroUsize>,
    sent: u64,
    budget: Option<u64>,
}

impl<'a> Player<'a> {
    /// Prepares to answer a request with these names.
    pub(crate) fn new(wire: Wire<'a>, gate: &'a Semaphore, model: &'a str, names: Names) -> Self {
        Self {
            wire,
            gate,
            model,
            names,
            headers: Vec::new(),
            head_sent: false,
            sequence: 0,
            usage: None,
            end_turn: None,
            split: None,
            sent: 0,
            budget: None,
        }
    }

    /// Plays the step to its end, or until the client is gone.
    pub(crate) async fn play(mut self, step: &Step) -> Ending {
        match self.play_all(step).await {
            Ok(()) => Ending::Whole,
            Err(Stop::Ending(ending)) => ending,
            Err(Stop::Io(error)) => {
                tracing::debug!(%error, "the client closed the connection while it was answered");
                Ending::ClientGone
            }
        }
    }

    async fn play_all(&mut self, step: &Step) -> Result<(), Stop> {
        for action in &step.actions {
            self.act(action).await?;
        }
        let answered = step.actions.last().is_some_and(Action::is_last);
        if step.complete && !answered {
            let completed = events::completed(
                &self.names.response_id(),
                self.model,
                self.usage,
                self.end_turn,
            );
            self.event(completed).await?;
        }
        match step.actions.last() {
            Some(Action::Status { .. }) => Ok(()),
            _ => self.end_body().await,
        }
    }

    async fn act(&mut self, action: &Action) -> Result<(), Stop> {
        match action {
            Action::Headers(headers) => self.headers.extend(headers.iter().cloned()),
            Action::Usage(usage) => self.usage = Some(*usage),
            Action::EndTurn(end_turn) => self.end_turn = Some(*end_turn),
            Action::Split(size) => self.split = Some(*size),
            Action::Disconnect(disconnect) => self.disconnect(*disconnect).await?,
            Action::Delay(delay) => self.unless_gone(tokio::time::sleep(*delay)).await?,
            Action::Gate => self.pass_gate().await?,
            Action::Hang => self.unless_gone(std::future::pending()).await?,
            Action::Status {
                status,
                body,
                retry_after,
            } => {
                return self.status(*status, body, retry_after.as_deref()).await;
            }
            Action::Garbage(bytes) => {
                self.begin().await?;
                self.write(Piece::Bytes(bytes)).await?;
            }
            Action::Close(code) => {
                self.wire.hang_up(*code).await?;
                return Err(Stop::Ending(Ending::Cut));
            }
            Action::Ping => {
                self.begin().await?;
                self.wire.ping().await?;
            }
            Action::Event(event) => self.event(event.clone()).await?,
            Action::Item(_)
            | Action::Text { .. }
            | Action::Reasoning { .. }
            | Action::Compaction { .. }
            | Action::FunctionCall { .. }
            | Action::CustomCall { .. }
            | Action::Failed { .. }
            | Action::Incomplete(_) => {
                for event in self.events(action) {
                    self.event(event).await?;
                }
            }
        }
        Ok(())
    }

    /// The events of an action that consists of nothing else.
    fn events(&mut self, action: &Action) -> Vec<Value> {
        let (id, model) = (self.names.response_id(), self.model);
        match action {
            Action::Text { text, phase, chunk } => {
                events::text(&mut self.names, text, phase.as_deref(), *chunk)
            }
            Action::Compaction { content } => events::compaction(&mut self.names, content),
            Action::Reasoning { summary, chunk } => {
                events::reasoning(&mut self.names, summary, *chunk)
            }
            Action::FunctionCall {
                name,
                namespace,
                arguments,
                call_id,
            } => events::function_call(
                &mut self.names,
                name,
                namespace.as_deref(),
                arguments,
                call_id.as_deref(),
            ),
            Action::CustomCall {
                name,
                input,
                call_id,
            } => events::custom_call(&mut self.names, name, input, call_id.as_deref()),
            Action::Item(item) => {
                let index = self.names.index();
                self.names.item_id("item");
                events::item(index, item.clone())
            }
            Action::Failed { code, message } => vec![events::failed(&id, model, code, message)],
            Action::Incomplete(reason) => vec![events::incomplete(&id, model, reason)],
            _ => Vec::new(),
        }
    }

    async fn status(
        &mut self,
        status: u16,
        body: &str,
        retry_after: Option<&str>,
    ) -> Result<(), Stop> {
        let mut headers = std::mem::take(&mut self.headers);
        headers.extend(retry_after.map(|value| ("retry-after".to_owned(), value.to_owned())));
        Ok(self.wire.refuse(status, &headers, body).await?)
    }

    async fn disconnect(&mut self, disconnect: Disconnect) -> Result<(), Stop> {
        match disconnect {
            Disconnect::Now => Err(Stop::Ending(Ending::Cut)),
            Disconnect::MidEvent => {
                self.begin().await?;
                self.wire.write_half().await?;
                Err(Stop::Ending(Ending::Cut))
            }
            Disconnect::AfterBytes(bytes) => {
                self.budget = Some(bytes);
                if self.sent >= bytes && self.head_sent {
                    Err(Stop::Ending(Ending::Cut))
                } else {
                    Ok(())
                }
            }
        }
    }

    async fn pass_gate(&mut self) -> Result<(), Stop> {
        let gate = self.gate;
        self.unless_gone(async move {
            match gate.acquire().await {
                Ok(permit) => permit.forget(),
                // Only a server that is stopping closes its gate.
                Err(_closed) => std::future::pending().await,
            }
        })
        .await
    }

    /// Waits, but not for a client that has left.
    async fn unless_gone(&mut self, wait: impl Future<Output = ()>) -> Result<(), Stop> {
        tokio::select! {
            () = wait => Ok(()),
            () = self.wire.closed() => Err(Stop::Ending(Ending::ClientGone)),
        }
    }

    /// Sends the response's head, if that has not been done.
    async fn begin(&mut self) -> Result<(), Stop> {
        if self.head_sent {
            return Ok(());
        }
        self.head_sent = true;
        Ok(self.wire.begin(&self.headers).await?)
    }

    /// Sends an event; before the first one of a normal answer, `response.created`.
    async fn event(&mut self, event: Value) -> Result<(), Stop> {
        if self.sequence == 0
            && !matches!(event["type"].as_str(), Some("response.created" | "error"))
        {
            let created = events::created(&self.names.response_id(), self.model);
            self.write_event(created).await?;
        }
        self.write_event(event).await
    }

    async fn write_event(&mut self, mut event: Value) -> Result<(), Stop> {
        self.begin().await?;
        event["sequence_number"] = Value::from(self.sequence);
        self.sequence += 1;
        self.write(Piece::Event(&event)).await
    }

    /// Writes to the body, as much as the script lets through.
    async fn write(&mut self, piece: Piece<'_>) -> Result<(), Stop> {
        let bytes = self.wire.encoded(&piece);
        let left = self
            .budget
            .map_or(u64::MAX, |budget| budget.saturating_sub(self.sent));
        let allowed = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        if allowed > 0 {
            self.wire.write(&bytes[..allowed], self.split).await?;
            self.sent += allowed as u64;
        }
        if allowed < bytes.len() || self.budget == Some(self.sent) {
            return Err(Stop::Ending(Ending::Cut));
        }
        Ok(())
    }

    async fn end_body(&mut self) -> Result<(), Stop> {
        self.begin().await?;
        Ok(self.wire.end().await?)
    }
}
