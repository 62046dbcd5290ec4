//! The Responses events of one answer, put together as the pieces come.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::conversation::Conversation;
use super::tool_names::ToolNames;
use crate::import::clock;

/// More calls than a model makes at once; a server that streams more is broken.
const MOST_CALLS: usize = 256;

/// Tokens that a response used, as far as the service says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// All that was read, cached or not.
    pub input: u64,
    /// Of those, read from a cache.
    pub cached: u64,
    /// Of those, written to a cache.
    pub cache_write: u64,
    /// All that was written, reasoning included.
    pub output: u64,
    /// Of those, reasoning.
    pub reasoning: u64,
}

/// Builds the Responses events of one answer. Items are opened and closed as needed, ids are made up, and calls get the
/// names that the request had for them.
///
/// ```
/// use dovetail_plugin_api::wire::{Answer, Conversation, Usage};
/// use serde_json::json;
///
/// let mut answer = Answer::to(&Conversation::read(&json!({ "input": [] })));
/// answer.text("Hel");
/// answer.text("lo");
/// answer.complete("r1", Some(Usage { input: 3, output: 1, ..Usage::default() }));
/// let kinds: Vec<_> = answer.take().iter().map(|event| event["type"].clone()).collect();
/// assert_eq!(kinds, [
///     "response.created", "response.output_item.added", "response.output_text.delta", "response.output_text.delta",
///     "response.output_item.done", "response.completed",
/// ]);
/// ```
#[derive(Debug, Default)]
pub struct Answer {
    tools: ToolNames,
    /// Calls of this thread: an id can have one result.
    call_ids: HashSet<String>,
    calls: usize,
    /// Tells the ids of this answer from those of all others.
    seed: Option<u64>,
    items: usize,
    open: Option<Open>,
    ended: bool,
    events: Vec<Value>,
}

/// The item that is being streamed.
#[derive(Debug)]
struct Open {
    kind: Kind,
    id: String,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    Reasoning,
}

impl Answer {
    /// The answer to a request.
    pub fn to(conversation: &Conversation) -> Self {
        Self {
            tools: conversation.tools.clone(),
            call_ids: conversation.call_ids.clone(),
            ..Self::default()
        }
    }

    /// A piece of the model's text.
    pub fn text(&mut self, delta: &str) {
        if !delta.is_empty() {
            self.stream(Kind::Message, delta);
            self.events
                .push(json!({ "type": "response.output_text.delta", "delta": delta }));
        }
    }

    /// A piece of the model's reasoning.
    pub fn reasoning(&mut self, delta: &str) {
        if !delta.is_empty() {
            self.stream(Kind::Reasoning, delta);
            self.events.push(
                json!({ "type": "response.reasoning_summary_text.delta", "delta": delta, "summary_index": 0 }),
            );
        }
    }

    /// The reasoning so far is whole. `seal` comes back with it in [`Thought::seal`](super::Thought::seal), to this
    /// provider alone: a signature, or whatever else tells how to send it back. Does nothing where there is neither
    /// reasoning nor a seal.
    pub fn end_reasoning(&mut self, seal: Option<String>) {
        let thinking = self
            .open
            .as_ref()
            .is_some_and(|open| open.kind == Kind::Reasoning);
        if !thinking {
            if seal.is_none() {
                return;
            }
            self.open(Kind::Reasoning);
        }
        if let Some(open) = self.open.take() {
            self.push_reasoning(open, seal);
        }
    }

    /// A whole call. An id that is missing, or that an earlier call of this thread had, is made up.
    ///
    /// # Errors
    /// The answer asks for more calls than any model would.
    pub fn call(
        &mut self,
        id: Option<&str>,
        name: Option<&str>,
        arguments: &str,
    ) -> Result<(), crate::Error> {
        self.calls += 1;
        if self.calls > MOST_CALLS {
            return Err(crate::Error::invalid(format!(
                "the answer asks for more than {MOST_CALLS} tool calls"
            )));
        }
        self.close();
        let call_id = self.fresh_call_id(id.unwrap_or_default());
        let item_id = self.item_id("fc");
        let mut item = self.tools.call(&call_id, name, arguments);
        item["id"] = json!(item_id);
        self.added(
            item["type"].as_str().unwrap_or_default().to_owned(),
            &item_id,
        );
        self.done(item);
        Ok(())
    }

    /// Ends the item that is being streamed.
    pub fn close(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };
        match open.kind {
            Kind::Reasoning => self.push_reasoning(open, None),
            Kind::Message => {
                let content = json!([{ "type": "output_text", "text": open.text }]);
                self.done(json!({ "type": "message", "id": open.id, "role": "assistant", "content": content }));
            }
        }
    }

    /// The answer is whole.
    pub fn complete(&mut self, response_id: &str, usage: Option<Usage>) {
        self.finish(response_id, usage, None);
    }

    /// The answer is whole for now, and the model wants to go on with it.
    pub fn pause(&mut self, response_id: &str, usage: Option<Usage>) {
        self.finish(response_id, usage, Some(false));
    }

    /// The answer ends before it is whole, for a reason such as `max_output_tokens`.
    pub fn incomplete(&mut self, reason: &str) {
        self.close();
        self.end(json!({
            "type": "response.incomplete",
            "response": { "incomplete_details": { "reason": reason } },
        }));
    }

    /// The service says that it failed. `error` is what it says, an object with `code`, `type` or `message`;
    /// [`Provider::classify`](crate::Provider::classify) is asked what it means.
    pub fn fail(&mut self, error: Value) {
        self.end(json!({ "type": "response.failed", "response": { "error": error } }));
    }

    /// Whether it has ended, in whichever way.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether there was any item in it.
    pub fn has_content(&self) -> bool {
        self.items > 0
    }

    /// The events since the last time.
    pub fn take(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    fn stream(&mut self, kind: Kind, delta: &str) {
        if self.open.as_ref().is_none_or(|open| open.kind != kind) {
            self.close();
            self.open(kind);
        }
        if let Some(open) = &mut self.open {
            open.text.push_str(delta);
        }
    }

    fn open(&mut self, kind: Kind) {
        let (name, prefix) = match kind {
            Kind::Message => ("message", "msg"),
            Kind::Reasoning => ("reasoning", "rs"),
        };
        let id = self.item_id(prefix);
        self.added(name.to_owned(), &id);
        self.open = Some(Open {
            kind,
            id,
            text: String::new(),
        });
    }

    fn added(&mut self, kind: String, id: &str) {
        let item = json!({ "type": kind, "id": id });
        self.events
            .push(json!({ "type": "response.output_item.added", "item": item }));
    }

    fn push_reasoning(&mut self, open: Open, seal: Option<String>) {
        let mut summary = Vec::new();
        if !open.text.is_empty() {
            summary.push(json!({ "type": "summary_text", "text": open.text }));
        }
        self.done(json!({
            "type": "reasoning",
            "id": open.id,
            "summary": summary,
            "content": null,
            "encrypted_content": seal,
        }));
    }

    fn done(&mut self, item: Value) {
        self.events
            .push(json!({ "type": "response.output_item.done", "item": item }));
    }

    fn finish(&mut self, response_id: &str, usage: Option<Usage>, end_turn: Option<bool>) {
        self.close();
        self.begin();
        let response_id = if response_id.is_empty() {
            format!("resp_{:x}", self.seed())
        } else {
            response_id.to_owned()
        };
        let mut response = json!({ "id": response_id, "usage": usage.map(Usage::json) });
        if let Some(end_turn) = end_turn {
            response["end_turn"] = json!(end_turn);
        }
        self.end(json!({ "type": "response.completed", "response": response }));
    }

    /// Nothing follows the first end.
    fn end(&mut self, event: Value) {
        if !self.ended {
            self.events.push(event);
        }
        self.ended = true;
    }

    fn begin(&mut self) {
        if self.seed.is_none() {
            self.seed();
            self.events.push(json!({ "type": "response.created" }));
        }
    }

    fn seed(&mut self) -> u64 {
        *self.seed.get_or_insert_with(clock::now_unix_ms)
    }

    fn item_id(&mut self, prefix: &str) -> String {
        self.begin();
        self.items += 1;
        format!("{prefix}_{:x}-{}", self.seed(), self.items)
    }

    fn fresh_call_id(&mut self, wanted: &str) -> String {
        let mut id = wanted.to_owned();
        if id.is_empty() || self.call_ids.contains(&id) {
            id = format!("call_{:x}-{}", self.seed(), self.calls);
        }
        self.call_ids.insert(id.clone());
        id
    }
}

impl Usage {
    fn json(self) -> Value {
        json!({
            "input_tokens": self.input,
            "input_tokens_details": { "cached_tokens": self.cached, "cache_write_tokens": self.cache_write },
            "output_tokens": self.output,
            "output_tokens_details": { "reasoning_tokens": self.reasoning },
            "total_tokens": self.input.saturating_add(self.output),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(input: Value) -> Answer {
        let tools = json!([{ "type": "function", "name": "f" }]);
        Answer::to(&Conversation::read(
            &json!({ "input": input, "tools": tools }),
        ))
    }

    fn done(events: &[Value]) -> Vec<Value> {
        let items = events
            .iter()
            .filter(|event| event["type"] == "response.output_item.done");
        items.map(|event| event["item"].clone()).collect()
    }

    #[test]
    fn items_open_and_close_in_order() {
        let mut answer = answer(json!([]));
        answer.reasoning("a");
        answer.reasoning("b");
        answer.end_reasoning(Some("S".to_owned()));
        answer.end_reasoning(None);
        answer.text("x");
        answer.call(Some("1"), Some("f"), "{}").expect("few calls");
        answer.text("y");
        answer.pause("", None);
        let events = answer.take();
        let items = done(&events);
        let kinds: Vec<&str> = items
            .iter()
            .filter_map(|item| item["type"].as_str())
            .collect();
        assert_eq!(kinds, ["reasoning", "message", "function_call", "message"]);
        assert_eq!(items[0]["summary"][0]["text"], "ab");
        assert_eq!(items[0]["encrypted_content"], "S");
        let ids: HashSet<&str> = items
            .iter()
            .filter_map(|item| item["id"].as_str())
            .collect();
        assert_eq!(ids.len(), 4);
        let last = events.last().expect("it ended");
        assert_eq!(last["response"]["end_turn"], false);
        assert!(
            last["response"]["id"]
                .as_str()
                .is_some_and(|id| id.len() > 5)
        );
    }

    #[test]
    fn a_call_id_is_used_once_in_a_thread() {
        let mut answer = answer(json!([
            { "type": "function_call", "name": "f", "arguments": "{}", "call_id": "call_0" },
        ]));
        for id in [Some("call_0"), Some("call_1"), None, Some("call_1")] {
            answer.call(id, Some("f"), "").expect("few calls");
        }
        let items = done(&answer.take());
        let ids: HashSet<&str> = items
            .iter()
            .filter_map(|item| item["call_id"].as_str())
            .collect();
        assert_eq!(ids.len(), 4);
        assert!(ids.contains("call_1") && !ids.contains("call_0") && !ids.contains(""));
    }

    #[test]
    fn calls_have_an_end() {
        let mut answer = answer(json!([]));
        let made = (0..1000).take_while(|_| answer.call(None, Some("f"), "").is_ok());
        assert_eq!(made.count(), MOST_CALLS);
    }

    #[test]
    fn only_the_first_end_counts() {
        let mut answer = answer(json!([]));
        answer.fail(json!({ "message": "no" }));
        answer.complete("r", None);
        let ends: Vec<Value> = answer
            .take()
            .into_iter()
            .filter(|event| event["type"] != "response.created")
            .collect();
        assert_eq!(
            ends,
            [json!({ "type": "response.failed", "response": { "error": { "message": "no" } } })]
        );
    }
}
