//! A streamed answer, from its chunks to Responses events.

use dovetail_plugin_api::wire::{Answer, Decoder, Usage, WireEvent};
use dovetail_plugin_api::{Error, log};
use serde_json::{Value, json};

use crate::chunk::{Chunk, Piece};
use crate::fragments::{Calls, TooMany};

/// What reasoning is sealed with: this, and the key that it came under.
pub(crate) const REASONING_SEAL: &str = "chat-completions:";

/// The end of most streams.
const DONE: &str = "[DONE]";

/// Reads one response.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    answer: Answer,
    id: String,
    /// The key of the reasoning that is being streamed.
    thinking: Option<&'static str>,
    calls: Calls,
    usage: Option<Usage>,
    /// Whether the model has stopped by itself. What it used may follow.
    stopped: bool,
}

impl Stream {
    pub(crate) fn new(answer: Answer) -> Self {
        Self {
            answer,
            ..Self::default()
        }
    }

    fn take(&mut self, chunk: Chunk<'_>) -> Result<(), Error> {
        if let Some(error) = chunk.error {
            self.answer.fail(described(error));
            return Ok(());
        }
        if let Some(id) = chunk.id {
            id.clone_into(&mut self.id);
        }
        self.usage = chunk.usage.or(self.usage);
        for piece in chunk.pieces {
            self.piece(piece)?;
        }
        if let Some(reason) = chunk.finish_reason.filter(|_| !self.stopped) {
            self.stop(reason)?;
        }
        if self.stopped && chunk.usage.is_some() {
            self.complete();
        }
        Ok(())
    }

    fn piece(&mut self, piece: Piece<'_>) -> Result<(), Error> {
        match piece {
            Piece::Reasoning(field, text) => {
                self.thinking = Some(field);
                self.answer.reasoning(text);
            }
            Piece::Text(text) => {
                self.end_thinking();
                self.answer.text(text);
            }
            Piece::Call(fragment) => self.calls.add(&fragment).map_err(|TooMany| {
                Error::invalid("the server streams more tool calls than a model makes")
            })?,
        }
        Ok(())
    }

    fn end_thinking(&mut self) {
        if let Some(field) = self.thinking.take() {
            self.answer
                .end_reasoning(Some(format!("{REASONING_SEAL}{field}")));
        }
    }

    /// The model has stopped. Its calls are known whole only now.
    fn stop(&mut self, reason: &str) -> Result<(), Error> {
        match reason {
            // What was cut off is no call that can be made.
            "length" | "max_tokens" | "model_length" => self.cut("max_output_tokens"),
            "content_filter" => self.cut("content_filter"),
            "error" => self.answer.fail(
                json!({ "code": "server_error", "message": "the server stopped with an error" }),
            ),
            _ => self.calls()?,
        }
        self.stopped = true;
        Ok(())
    }

    fn cut(&mut self, reason: &str) {
        self.end_thinking();
        self.answer.incomplete(reason);
    }

    fn calls(&mut self) -> Result<(), Error> {
        self.end_thinking();
        self.answer.close();
        for call in self.calls.take() {
            self.answer
                .call(call.id.as_deref(), call.name.as_deref(), &call.arguments)?;
        }
        Ok(())
    }

    fn complete(&mut self) {
        self.answer.complete(&self.id, self.usage);
    }

    /// The stream says that it ends here.
    fn done(&mut self) -> Result<(), Error> {
        if !self.stopped {
            if !self.answer.has_content() && self.calls.is_empty() {
                return Err(Error::retryable(
                    "the server ended its stream without an answer",
                ));
            }
            // Servers exist that never say why the model stopped.
            self.calls()?;
            self.stopped = true;
        }
        self.complete();
        Ok(())
    }
}

impl Decoder for Stream {
    fn push(&mut self, event: WireEvent) -> Result<Vec<Value>, Error> {
        let data = event.data.trim();
        if self.answer.has_ended() || data.is_empty() {
            return Ok(Vec::new());
        }
        if data == DONE {
            self.done()?;
        } else {
            match serde_json::from_str(data) {
                Ok(json) => self.take(Chunk::read(&json))?,
                Err(error) => log::warn(format!("a chunk that is no JSON is left out: {error}")),
            }
        }
        Ok(self.answer.take())
    }

    fn finish(&mut self) -> Result<Vec<Value>, Error> {
        if !self.answer.has_ended() {
            if !self.stopped {
                return Err(Error::retryable("the stream ended before the answer did"));
            }
            self.complete();
        }
        Ok(self.answer.take())
    }
}

/// An error as an object.
fn described(error: &Value) -> Value {
    match error {
        Value::Object(_) => error.clone(),
        Value::String(text) => json!({ "message": text }),
        other => json!({ "message": other.to_string() }),
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
