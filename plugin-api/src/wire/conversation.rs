//! A Responses request as other APIs see a conversation: a system text, and turns that alternate.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::tool_names::{ToolNames, arguments_object, input_arguments};

/// What stands for the output of a call that has none.
const NO_OUTPUT: &str = "(no output)";

/// A request's conversation. Neighbours of one kind are one entry, and the results of calls follow them directly, which
/// is what most APIs insist on.
///
/// ```
/// use dovetail_plugin_api::wire::{Conversation, Entry, Part};
/// use serde_json::json;
///
/// let request = json!({ "input": [
///     { "type": "message", "role": "developer", "content": [{ "type": "input_text", "text": "Be brief." }] },
///     { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "Hello" }] },
/// ] });
/// let conversation = Conversation::read(&request);
/// assert_eq!(conversation.system, "Be brief.");
/// assert_eq!(conversation.entries, [Entry::User(vec![Part::Text("Hello".into())])]);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conversation {
    /// Instructions that come before everything else; may be empty. Later ones are told as the user's: few services
    /// take them elsewhere.
    pub system: String,
    /// What was said and done.
    pub entries: Vec<Entry>,
    /// The tools on offer.
    pub tools: ToolNames,
    /// The ids of all calls so far.
    pub(super) call_ids: HashSet<String>,
}

/// A part of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// What the user says and shows.
    User(Vec<Part>),
    /// What the model thinks, says and asks for.
    Model(Said),
    /// The results of the calls in the entry before, in their order.
    Results(Vec<ToolResult>),
}

/// A piece of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text.
    Text(String),
    /// An image.
    Image {
        /// A URL, usually a `data:` one.
        url: String,
        /// How closely to look: `auto`, `low`, `high` or `original`.
        detail: Option<String>,
    },
    /// Sound, as a URL.
    Audio(String),
}

/// One answer of the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Its reasoning, as far as it has text or a seal.
    pub thoughts: Vec<Thought>,
    /// Its text; may be empty.
    pub text: String,
    /// The calls it asks for.
    pub calls: Vec<ToolUse>,
}

/// A piece of reasoning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thought {
    /// What can be read of it.
    pub text: String,
    /// What [`Answer::end_reasoning`](super::Answer::end_reasoning) put on it. None on the reasoning of services that
    /// give it no seal; never that of another provider, which the host leaves out.
    pub seal: Option<String>,
    /// How much of [`Said::text`] came before it, in bytes. Most models think before they speak, where it is 0.
    pub at: usize,
}

/// A call that the model asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolUse {
    /// The call's id.
    pub id: String,
    /// The tool, as in [`ToolNames`].
    pub name: String,
    /// Its arguments: always a JSON object.
    pub arguments: String,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    /// The call.
    pub call_id: String,
    /// Its output.
    pub content: Vec<Part>,
}

impl Conversation {
    /// Reads a Responses request.
    pub fn read(request: &Value) -> Self {
        let items = request["input"].as_array().map_or(&[][..], Vec::as_slice);
        let mut outputs: HashMap<&str, &Value> = HashMap::new();
        for item in items {
            if let (Some(id), Some(output)) = (item["call_id"].as_str(), output(item)) {
                outputs.entry(id).or_insert(output);
            }
        }
        let mut reading = Reading {
            conversation: Self {
                tools: ToolNames::read(request),
                ..Self::default()
            },
            outputs,
            said: Said::default(),
            answered: false,
        };
        for item in items {
            reading.take(item);
        }
        reading.answer_calls();
        reading.conversation
    }
}

/// What a call gave, if an item says that.
fn output(item: &Value) -> Option<&Value> {
    match item["type"].as_str()? {
        "function_call_output" | "custom_tool_call_output" => Some(&item["output"]),
        "tool_search_output" => Some(&item["tools"]),
        _ => None,
    }
}

struct Reading<'r> {
    conversation: Conversation,
    outputs: HashMap<&'r str, &'r Value>,
    /// What the model says at this point.
    said: Said,
    /// Whether a call of that has its output already: what the model says next is another answer.
    answered: bool,
}

impl Reading<'_> {
    fn take(&mut self, item: &Value) {
        let text = |key: &str| item[key].as_str();
        let call_id = text("call_id").unwrap_or_default();
        match text("type").unwrap_or("message") {
            "message" => self.message(text("role").unwrap_or_default(), &item["content"]),
            "agent_message" => self.user(parts(&item["content"])),
            "reasoning" => self.thought(item),
            "function_call" => {
                let name = text("name").unwrap_or_default();
                let name = self.conversation.tools.name_of(text("namespace"), name);
                self.call(call_id, name, text("arguments").unwrap_or_default());
            }
            "custom_tool_call" => {
                let name = text("name").unwrap_or_default();
                let name = self.conversation.tools.name_of(text("namespace"), name);
                let arguments = input_arguments(text("input").unwrap_or_default());
                self.call(call_id, name, &arguments);
            }
            "tool_search_call" if !call_id.is_empty() => {
                self.call(
                    call_id,
                    "tool_search".to_owned(),
                    &item["arguments"].to_string(),
                );
            }
            // They are told with their calls.
            "function_call_output" | "custom_tool_call_output" | "tool_search_output" => {
                self.answered |= self.said.calls.iter().any(|call| call.id == call_id);
            }
            // Tools are told with all the others; the rest means nothing to other services.
            _ => {}
        }
    }

    fn message(&mut self, role: &str, content: &Value) {
        let parts = parts(content);
        match role {
            "assistant" => {
                self.speak();
                for part in parts {
                    if let Part::Text(text) = part {
                        append(&mut self.said.text, &text);
                    }
                }
            }
            "system" | "developer" if self.is_at_start() => {
                for part in parts {
                    if let Part::Text(text) = part {
                        append(&mut self.conversation.system, &text);
                    }
                }
            }
            _ => self.user(parts),
        }
    }

    fn is_at_start(&self) -> bool {
        self.conversation.entries.is_empty() && self.said == Said::default()
    }

    fn user(&mut self, parts: Vec<Part>) {
        if parts.is_empty() {
            return;
        }
        self.answer_calls();
        match self.conversation.entries.last_mut() {
            Some(Entry::User(before)) => before.extend(parts),
            _ => self.conversation.entries.push(Entry::User(parts)),
        }
    }

    fn thought(&mut self, item: &Value) {
        let texts = |list: &Value| {
            let texts = list.as_array().into_iter().flatten();
            let texts: Vec<&str> = texts.filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n\n")
        };
        let summary = texts(&item["summary"]);
        let thought = Thought {
            text: if summary.is_empty() {
                texts(&item["content"])
            } else {
                summary
            },
            seal: item["encrypted_content"].as_str().map(str::to_owned),
            at: 0,
        };
        // The model thinks before it speaks: this is a further answer.
        if !self.said.calls.is_empty() {
            self.answer_calls();
        }
        let at = self.said.text.len();
        self.said.thoughts.push(Thought { at, ..thought });
    }

    /// The model says something: in another answer, if the last one was answered.
    fn speak(&mut self) {
        if self.answered {
            self.answer_calls();
        }
    }

    fn call(&mut self, id: &str, name: String, arguments: &str) {
        self.speak();
        self.conversation.call_ids.insert(id.to_owned());
        self.said.calls.push(ToolUse {
            id: id.to_owned(),
            name,
            arguments: match serde_json::from_str(arguments) {
                Ok(Value::Object(_)) => arguments.to_owned(),
                Ok(_) | Err(_) => Value::Object(arguments_object(arguments)).to_string(),
            },
        });
    }

    /// Ends what the model says, and tells what came of its calls.
    fn answer_calls(&mut self) {
        self.answered = false;
        let said = std::mem::take(&mut self.said);
        if said == Said::default() {
            return;
        }
        let results: Vec<ToolResult> = said
            .calls
            .iter()
            .map(|call| ToolResult {
                call_id: call.id.clone(),
                content: self
                    .outputs
                    .get(call.id.as_str())
                    .map_or_else(|| vec![Part::Text(NO_OUTPUT.to_owned())], |o| parts(o)),
            })
            .collect();
        self.conversation.entries.push(Entry::Model(said));
        if !results.is_empty() {
            self.conversation.entries.push(Entry::Results(results));
        }
    }
}

fn append(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(more);
}

/// Content as parts. Lists of tools, which a search found, are told as text.
fn parts(content: &Value) -> Vec<Part> {
    match content {
        Value::String(text) => vec![Part::Text(text.clone())],
        Value::Array(parts) => parts.iter().filter_map(part).collect(),
        _ => Vec::new(),
    }
}

fn part(part: &Value) -> Option<Part> {
    let text = |key: &str| part[key].as_str().map(str::to_owned);
    match part["type"].as_str()? {
        "input_text" | "output_text" | "text" => text("text").map(Part::Text),
        "refusal" => text("refusal").map(Part::Text),
        "input_image" => Some(Part::Image {
            url: text("image_url")?,
            detail: text("detail"),
        }),
        "input_audio" => text("audio_url").map(Part::Audio),
        "namespace" | "function" => Some(Part::Text(found_tools(part))),
        _ => None,
    }
}

/// What a search found: the names under which the tools can be called now.
fn found_tools(tool: &Value) -> String {
    let names = ToolNames::read(&serde_json::json!({ "tools": [tool] }));
    let names: Vec<&str> = names
        .tools()
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    format!("tools that can be called now: {}", names.join(", "))
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
