//! A streamed answer, from its chunks to Responses events.

use dovetail_plugin_api::wire::{Answer, Decoder, Usage, WireEvent};
use dovetail_plugin_api::{Error, log};
use serde_json::{Value, json};

use crate::chunk::{Chunk, Piece};
use crate::details::Details;
use crate::fragments::{Calls, TooMany};
use crate::thinking::{Split, Told};

/// What reasoning is sealed with: this, and the key that it came under.
pub(crate) const REASONING_SEAL: &str = "chat-completions:";

/// The key of reasoning that stood in the text.
pub(crate) const IN_TEXT: &str = "content";

/// In the place of a key: what follows is what the calls behind it came with, one value for each.
pub(crate) const OF_CALLS: &str = "calls:";

/// The same for a list of reasoning.
pub(crate) const OF_DETAILS: &str = "details:";

/// What of an answer that is none is shown.
const FEW_WORDS: usize = 200;

/// The end of most streams.
const DONE: &str = "[DONE]";

/// Reads one response.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    answer: Answer,
    id: String,
    /// The key of the reasoning that is being streamed.
    thinking: Option<&'static str>,
    text: Split,
    details: Details,
    calls: Calls,
    usage: Option<Usage>,
    /// The start of the first thing that such servers do not send.
    unknown: Option<String>,
    /// Whether there was anything that they do.
    is_known: bool,
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
        let whole = chunk.is_whole.then_some("stop");
        if let Some(reason) = chunk.finish_reason.or(whole).filter(|_| !self.stopped) {
            self.stop(reason)?;
        }
        if self.stopped && chunk.usage.is_some() {
            self.complete()?;
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
                for told in self.text.push(text) {
                    self.told(told);
                }
            }
            Piece::Detail(piece) => self.details.add(piece),
            Piece::Call(fragment) => self.calls.add(&fragment).map_err(|TooMany| {
                Error::invalid("the server streams more tool calls than a model makes")
            })?,
        }
        Ok(())
    }

    fn told(&mut self, told: Told) {
        match told {
            Told::Thought(text) => {
                self.thinking = Some(IN_TEXT);
                self.answer.reasoning(&text);
            }
            Told::Text(text) => {
                self.end_thinking();
                self.answer.text(&text);
            }
        }
    }

    /// There is no more text or reasoning.
    fn end_text(&mut self) {
        if let Some(told) = self.text.finish() {
            self.told(told);
        }
        self.end_thinking();
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
        self.end_text();
        self.answer.incomplete(reason);
    }

    fn calls(&mut self) -> Result<(), Error> {
        self.end_text();
        self.answer.close();
        let calls = self.calls.take();
        if let Some(details) = self.details.take().filter(|_| !calls.is_empty()) {
            let seal = format!("{REASONING_SEAL}{OF_DETAILS}{details}");
            self.answer.end_reasoning(Some(seal));
        }
        if calls.iter().any(|call| call.extra.is_some()) {
            let extras: Vec<&Option<Value>> = calls.iter().map(|call| &call.extra).collect();
            let seal = format!("{REASONING_SEAL}{OF_CALLS}{}", json!(extras));
            self.answer.end_reasoning(Some(seal));
        }
        for call in calls {
            self.answer
                .call(call.id.as_deref(), call.name.as_deref(), &call.arguments)?;
        }
        Ok(())
    }

    fn complete(&mut self) -> Result<(), Error> {
        // Also what some servers send behind the reason to stop.
        self.calls()?;
        self.answer.complete(&self.id, self.usage);
        Ok(())
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
            self.stopped = true;
        }
        self.complete()
    }

    /// The stream ended before the model stopped.
    fn cut_short(&self) -> Error {
        Error::retryable(match &self.unknown {
            Some(start) if !self.is_known => {
                format!("what the server answers is no Chat Completions stream: {start}")
            }
            _ => "the stream ended before the answer did".to_owned(),
        })
    }

    fn note_unknown(&mut self, data: &str) {
        if self.unknown.is_none() {
            self.unknown = Some(data.chars().take(FEW_WORDS).collect());
        }
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
                Ok(json) => {
                    let chunk = Chunk::read(&json);
                    match chunk.is_known {
                        true => self.is_known = true,
                        false => self.note_unknown(data),
                    }
                    self.take(chunk)?;
                }
                Err(error) => {
                    self.note_unknown(data);
                    log::warn(format!("a chunk that is no JSON is left out: {error}"));
                }
            }
        }
        Ok(self.answer.take())
    }

    fn finish(&mut self) -> Result<Vec<Value>, Error> {
        if !self.answer.has_ended() {
            if !self.stopped {
                return Err(self.cut_short());
            }
            self.complete()?;
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
