//! A streamed answer, from its events to Responses events.

use std::collections::BTreeMap;

use dovetail_plugin_api::wire::{Answer, Decoder, Usage, WireEvent};
use dovetail_plugin_api::{Error, log};
use serde_json::{Value, json};

use crate::block;

/// Blocks that are open at the same time: one, as the API is described; some room for gateways.
const MOST_OPEN: usize = 64;

/// Reads one response.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    answer: Answer,
    id: String,
    usage: Usage,
    stop_reason: Option<String>,
    /// The blocks that have begun, by their numbers.
    open: BTreeMap<u64, Block>,
}

/// A block that has begun.
#[derive(Debug)]
enum Block {
    Text,
    Thinking {
        signature: String,
    },
    Redacted {
        data: String,
    },
    Call {
        id: String,
        name: String,
        input: String,
        given: Value,
    },
    /// What means nothing here, such as a search that the service made itself.
    Other,
}

impl Stream {
    pub(crate) fn new(answer: Answer) -> Self {
        Self {
            answer,
            ..Self::default()
        }
    }

    fn take(&mut self, name: &str, event: &Value) -> Result<(), Error> {
        let index = event["index"].as_u64().unwrap_or(0);
        match event["type"].as_str().unwrap_or(name) {
            "message_start" => self.start(&event["message"]),
            "content_block_start" => self.begin(index, &event["content_block"])?,
            "content_block_delta" => self.delta(index, &event["delta"]),
            "content_block_stop" => self.end_block(index)?,
            "message_delta" => {
                if let Some(reason) = event["delta"]["stop_reason"].as_str() {
                    self.stop_reason = Some(reason.to_owned());
                }
                self.count(&event["usage"]);
            }
            "message_stop" => self.stop()?,
            "error" => self.answer.fail(event["error"].clone()),
            // An answer that was not streamed, from a gateway that does not.
            "message" => self.whole(event)?,
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, message: &Value) {
        if let Some(id) = message["id"].as_str() {
            id.clone_into(&mut self.id);
        }
        self.count(&message["usage"]);
    }

    /// Counts come twice, and the second time not all of them.
    fn count(&mut self, usage: &Value) {
        let count = |key: &str| usage[key].as_u64();
        let (read, written) = (
            count("cache_read_input_tokens"),
            count("cache_creation_input_tokens"),
        );
        if let Some(fresh) = count("input_tokens") {
            self.usage.cached = read.unwrap_or(self.usage.cached);
            self.usage.cache_write = written.unwrap_or(self.usage.cache_write);
            // Ours is the sum, theirs what no cache had a part in.
            self.usage.input = fresh
                .saturating_add(self.usage.cached)
                .saturating_add(self.usage.cache_write);
        }
        self.usage.output = count("output_tokens").unwrap_or(self.usage.output);
    }

    fn begin(&mut self, index: u64, content: &Value) -> Result<(), Error> {
        self.end_block(index)?;
        let text = |key: &str| content[key].as_str().unwrap_or_default();
        let block = match text("type") {
            "text" => {
                self.answer.text(text("text"));
                Block::Text
            }
            "thinking" => {
                self.answer.reasoning(text("thinking"));
                Block::Thinking {
                    signature: text("signature").to_owned(),
                }
            }
            "redacted_thinking" => Block::Redacted {
                data: text("data").to_owned(),
            },
            "tool_use" => Block::Call {
                id: text("id").to_owned(),
                name: text("name").to_owned(),
                input: String::new(),
                given: content["input"].clone(),
            },
            _ => Block::Other,
        };
        if self.open.len() == MOST_OPEN {
            return Err(Error::invalid("the server begins more blocks than it ends"));
        }
        self.open.insert(index, block);
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: &Value) {
        let text = |key: &str| delta[key].as_str().unwrap_or_default();
        let block = self.open.get_mut(&index);
        match (text("type"), block) {
            // Also where its start was lost: the text is there.
            ("text_delta", _) => self.answer.text(text("text")),
            ("thinking_delta", _) => self.answer.reasoning(text("thinking")),
            ("signature_delta", Some(Block::Thinking { signature })) => {
                signature.push_str(text("signature"));
            }
            ("input_json_delta", Some(Block::Call { input, .. })) => {
                input.push_str(text("partial_json"));
            }
            _ => {}
        }
    }

    fn end_block(&mut self, index: u64) -> Result<(), Error> {
        let Some(block) = self.open.remove(&index) else {
            return Ok(());
        };
        match block {
            Block::Text => self.answer.close(),
            Block::Thinking { signature } => {
                self.answer.end_reasoning(Some(block::signed(&signature)));
            }
            Block::Redacted { data } => {
                self.answer.close();
                self.answer.end_reasoning(Some(block::redacted(&data)));
            }
            Block::Call {
                id,
                name,
                input,
                given,
            } => {
                let input = match (input.is_empty(), given) {
                    (true, given @ Value::Object(_)) => given.to_string(),
                    _ => input,
                };
                let name = Some(name.as_str()).filter(|name| !name.is_empty());
                self.answer.call(Some(&id), name, &input)?;
            }
            Block::Other => {}
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Error> {
        let reason = self.stop_reason.take().unwrap_or_default();
        let cut = matches!(
            reason.as_str(),
            "max_tokens" | "refusal" | "model_context_window_exceeded"
        );
        for index in self.open.keys().copied().collect::<Vec<_>>() {
            // What was cut off is no call that can be made.
            if !(cut && matches!(self.open.get(&index), Some(Block::Call { .. }))) {
                self.end_block(index)?;
            }
        }
        match reason.as_str() {
            "max_tokens" => self.answer.incomplete("max_output_tokens"),
            "refusal" => self.answer.incomplete("content_filter"),
            "model_context_window_exceeded" => self.answer.fail(json!({
                "code": "context_length_exceeded",
                "message": "the conversation has filled the model's context window",
            })),
            // The service has worked for long and wants to be asked to go on.
            "pause_turn" => self.answer.pause(&self.id, Some(self.usage)),
            _ => self.answer.complete(&self.id, Some(self.usage)),
        }
        Ok(())
    }

    fn whole(&mut self, message: &Value) -> Result<(), Error> {
        self.start(message);
        let blocks = message["content"].as_array().into_iter().flatten();
        for (index, content) in (0..).zip(blocks) {
            self.begin(index, content)?;
            self.end_block(index)?;
        }
        self.stop_reason = message["stop_reason"].as_str().map(str::to_owned);
        self.stop()
    }
}

impl Decoder for Stream {
    fn push(&mut self, event: WireEvent) -> Result<Vec<Value>, Error> {
        if self.answer.has_ended() || event.data.trim().is_empty() {
            return Ok(Vec::new());
        }
        match serde_json::from_str(&event.data) {
            Ok(json) => self.take(&event.name, &json)?,
            Err(error) => log::warn(format!("an event that is no JSON is left out: {error}")),
        }
        Ok(self.answer.take())
    }

    fn finish(&mut self) -> Result<Vec<Value>, Error> {
        if !self.answer.has_ended() {
            if self.stop_reason.is_none() {
                return Err(Error::retryable("the stream ended before the answer did"));
            }
            self.stop()?;
        }
        Ok(self.answer.take())
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
