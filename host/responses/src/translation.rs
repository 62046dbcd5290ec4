//! A response of another API as it arrives: its events go to the plugin's decoder, and Responses events come out.

use std::collections::VecDeque;

use dovetail_core::model::ModelError;
use dovetail_core::plugin::{PluginError, WireDecoder, WireEvent};
use tokio::time::Instant;

use crate::event::Signal;
use crate::failure;
use crate::framing::Framing;
use crate::stream::{Body, decode};

/// Events that go to the decoder in one call: a call costs about as much as reading one.
const AT_ONCE: usize = 64;

/// Translates one response.
pub(crate) struct Translation {
    decoder: Box<dyn WireDecoder>,
    framing: Framing,
    /// What was said and not given out.
    ready: VecDeque<Signal>,
    ended: bool,
}

impl Translation {
    pub(crate) fn new(decoder: Box<dyn WireDecoder>, framing: Framing) -> Self {
        Self {
            decoder,
            framing,
            ready: VecDeque::new(),
            ended: false,
        }
    }

    /// The next signal, or why there is none.
    pub(crate) async fn next_signal(&mut self, body: &mut Body) -> Result<Signal, ModelError> {
        // Armed when there is nothing left to give out: the time the caller takes is not the server's silence.
        let mut deadline = None;
        loop {
            if let Some(signal) = self.ready.pop_front() {
                return Ok(signal);
            }
            if self.ended {
                return Err(failure::disconnected(
                    "stream closed before the response was complete",
                ));
            }
            let events = self.whole_events()?;
            if !events.is_empty() {
                deadline = None;
                self.push(events, body).await?;
                continue;
            }
            let until = *deadline.get_or_insert_with(|| Instant::now() + body.idle_timeout);
            match body.read(until).await? {
                Some(bytes) => self.framing.push(bytes.as_ref()),
                None => self.finish(body).await?,
            }
        }
    }

    fn whole_events(&mut self) -> Result<Vec<WireEvent>, ModelError> {
        let mut events = Vec::new();
        while events.len() < AT_ONCE {
            match self.framing.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return Err(failure::disconnected(&error.to_string())),
            }
        }
        Ok(events)
    }

    async fn push(&mut self, events: Vec<WireEvent>, body: &Body) -> Result<(), ModelError> {
        let told = body.unless_cancelled(self.decoder.push(events)).await?;
        self.take(told, body)
    }

    /// The stream has ended: asks for what is left.
    async fn finish(&mut self, body: &Body) -> Result<(), ModelError> {
        self.ended = true;
        if let Some(event) = self.framing.finish() {
            self.push(vec![event], body).await?;
        }
        if self.ready.iter().any(is_end) {
            return Ok(());
        }
        let told = body.unless_cancelled(self.decoder.finish()).await?;
        self.take(told, body)
    }

    fn take(
        &mut self,
        told: Result<Vec<String>, PluginError>,
        body: &Body,
    ) -> Result<(), ModelError> {
        let told = told.map_err(|error| failure::of_decoder(&error, &body.redactor))?;
        let signals = told.iter().filter_map(|event| decode(event.as_bytes()));
        self.ready.extend(signals);
        Ok(())
    }
}

/// Whether nothing may follow a signal.
fn is_end(signal: &Signal) -> bool {
    matches!(
        signal,
        Signal::Completed { .. } | Signal::Failed(_) | Signal::Incomplete(_)
    )
}
