//! `exec --json`: one JSON object per line on standard output, in the form that existing clients read.

use std::collections::HashMap;
use std::io::Write;

use dovetail_core::event::{
    ActivityStatus, FileChange, FileChangeKind, Observer, PlanStep, ToolActivity, TurnEvent,
};
use dovetail_core::ids::{CallId, ThreadId};
use dovetail_core::item::{ResponseItem, SummaryPart};
use dovetail_core::usage::TokenUsage;
use serde::Serialize;
use serde_json::Value;

/// Writes events as JSON lines. Items get running numbers of their own.
pub(crate) struct ExecJson<W> {
    out: W,
    line: Vec<u8>,
    next_item: u64,
    /// Items that have begun, by call.
    open: HashMap<CallId, String>,
    plan: Option<OpenPlan>,
}

struct OpenPlan {
    id: String,
    steps: Vec<PlanStep>,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Line<'a> {
    #[serde(rename = "thread.started")]
    ThreadStarted { thread_id: ThreadId },
    #[serde(rename = "turn.started")]
    TurnStarted,
    #[serde(rename = "turn.completed")]
    TurnCompleted { usage: Usage },
    #[serde(rename = "turn.failed")]
    TurnFailed { error: Message<'a> },
    #[serde(rename = "item.started")]
    ItemStarted { item: Item<'a> },
    #[serde(rename = "item.updated")]
    ItemUpdated { item: Item<'a> },
    #[serde(rename = "item.completed")]
    ItemCompleted { item: Item<'a> },
    #[serde(rename = "error")]
    Error { message: &'a str },
}

#[derive(Serialize)]
struct Usage {
    input_tokens: u64,
    cached_input_tokens: u64,
    cache_write_input_tokens: u64,
    output_tokens: u64,
    reasoning_output_tokens: u64,
}

#[derive(Serialize)]
struct Message<'a> {
    message: &'a str,
}

#[derive(Serialize)]
struct Item<'a> {
    id: &'a str,
    #[serde(flatten)]
    details: Details<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Details<'a> {
    AgentMessage {
        text: &'a str,
    },
    Reasoning {
        text: &'a str,
    },
    CommandExecution {
        command: String,
        aggregated_output: &'a str,
        exit_code: Option<i32>,
        status: &'static str,
    },
    FileChange {
        changes: Vec<Change<'a>>,
        status: &'static str,
    },
    McpToolCall {
        server: &'a str,
        tool: &'a str,
        arguments: &'a Value,
        result: Option<McpResult<'a>>,
        error: Option<Message<'a>>,
        status: &'static str,
    },
    WebSearch {
        /// The search's own id, under the same key as the item's: existing clients read the last of the two.
        id: &'a str,
        query: &'a str,
        action: &'a Value,
    },
    TodoList {
        items: Vec<Todo<'a>>,
    },
    Error {
        message: &'a str,
    },
}

#[derive(Serialize)]
struct Change<'a> {
    path: std::borrow::Cow<'a, str>,
    kind: &'static str,
}

#[derive(Serialize)]
struct McpResult<'a> {
    content: &'a Value,
    structured_content: Option<&'a Value>,
}

#[derive(Serialize)]
struct Todo<'a> {
    text: &'a str,
    completed: bool,
}

impl<W: Write + Send> ExecJson<W> {
    /// Writes to `out`, which should be standard output.
    pub(crate) fn new(out: W) -> Self {
        Self {
            out,
            line: Vec::new(),
            next_item: 0,
            open: HashMap::new(),
            plan: None,
        }
    }

    /// The first line.
    pub(crate) fn thread_started(&mut self, thread_id: ThreadId) {
        self.write(&Line::ThreadStarted { thread_id });
    }

    /// Something the user should know, before or during a turn.
    pub(crate) fn warning(&mut self, message: &str) {
        self.item(Details::Error { message });
    }

    fn write(&mut self, line: &Line<'_>) {
        self.line.clear();
        if serde_json::to_writer(&mut self.line, line).is_err() {
            // Texts and JSON values always serialize; should one not, a missing line is better than half of one.
            return;
        }
        self.line.push(b'\n');
        // A reader that went away is no error of the turn, which is recorded elsewhere.
        drop(
            self.out
                .write_all(&self.line)
                .and_then(|()| self.out.flush()),
        );
    }

    /// An item that is only seen when it is complete.
    fn item(&mut self, details: Details<'_>) {
        let id = self.new_id();
        self.write(&Line::ItemCompleted {
            item: Item { id: &id, details },
        });
    }

    fn new_id(&mut self) -> String {
        let id = format!("item_{}", self.next_item);
        self.next_item += 1;
        id
    }

    fn recorded(&mut self, item: &ResponseItem) {
        match item {
            ResponseItem::Reasoning { summary, .. } => {
                let texts: Vec<&str> = summary
                    .iter()
                    .map(|SummaryPart::SummaryText { text }| text.as_str())
                    .collect();
                let text = texts.join("\n");
                if !text.trim().is_empty() {
                    self.item(Details::Reasoning { text: &text });
                }
            }
            ResponseItem::WebSearchCall {
                id,
                action: Some(action),
                ..
            } => {
                self.web_search(id.as_deref().unwrap_or_default(), action);
            }
            item => {
                if let Some(text) = item.assistant_text() {
                    self.item(Details::AgentMessage { text: &text });
                }
            }
        }
    }

    /// The service ran it, so it is over when it is first heard of.
    fn web_search(&mut self, search_id: &str, action: &Value) {
        let id = self.new_id();
        let query = action["query"].as_str().unwrap_or_default();
        let item = || Item {
            id: &id,
            details: Details::WebSearch {
                id: search_id,
                query,
                action,
            },
        };
        self.write(&Line::ItemStarted { item: item() });
        self.write(&Line::ItemCompleted { item: item() });
    }

    fn started(&mut self, call_id: &CallId, activity: &ToolActivity) {
        let Some(details) = details(activity) else {
            return;
        };
        let id = self.new_id();
        self.write(&Line::ItemStarted {
            item: Item { id: &id, details },
        });
        self.open.insert(call_id.clone(), id);
    }

    fn finished(&mut self, call_id: &CallId, activity: &ToolActivity) {
        if let ToolActivity::Plan { steps, .. } = activity {
            return self.planned(steps);
        }
        let Some(details) = details(activity) else {
            return;
        };
        let id = self.open.remove(call_id).unwrap_or_else(|| self.new_id());
        self.write(&Line::ItemCompleted {
            item: Item { id: &id, details },
        });
    }

    /// A plan is one item for the whole turn: begun once, updated, completed at the end.
    fn planned(&mut self, steps: &[PlanStep]) {
        let known = self.plan.take().map(|plan| plan.id);
        let first = known.is_none();
        let id = known.unwrap_or_else(|| self.new_id());
        let item = Item {
            id: &id,
            details: todo_list(steps),
        };
        self.write(&if first {
            Line::ItemStarted { item }
        } else {
            Line::ItemUpdated { item }
        });
        self.plan = Some(OpenPlan {
            id,
            steps: steps.to_vec(),
        });
    }

    fn close_plan(&mut self) {
        if let Some(OpenPlan { id, steps }) = self.plan.take() {
            self.write(&Line::ItemCompleted {
                item: Item {
                    id: &id,
                    details: todo_list(&steps),
                },
            });
        }
    }

    fn failed(&mut self, message: &str) {
        self.close_plan();
        self.write(&Line::Error { message });
        self.write(&Line::TurnFailed {
            error: Message { message },
        });
    }
}

impl<W: Write + Send> Observer for ExecJson<W> {
    fn observe(&mut self, _: ThreadId, event: &TurnEvent) {
        match event {
            TurnEvent::TurnStarted { .. } | TurnEvent::ReviewStarted { .. } => {
                self.write(&Line::TurnStarted)
            }
            TurnEvent::ItemRecorded { item, .. } => self.recorded(item),
            TurnEvent::ToolStarted { call_id, activity } => self.started(call_id, activity),
            TurnEvent::ToolFinished {
                call_id, activity, ..
            } => self.finished(call_id, activity),
            TurnEvent::Warning { message } => self.warning(message),
            TurnEvent::Reconnecting {
                attempt,
                max,
                reason,
                ..
            } => {
                let message = format!("Reconnecting... {attempt}/{max} ({reason})");
                self.write(&Line::Error { message: &message });
            }
            TurnEvent::WaitingForNetwork { reason } => {
                let message = format!("Reconnecting... waiting for network ({reason})");
                self.write(&Line::Error { message: &message });
            }
            TurnEvent::TurnCompleted { thread_total, .. } => {
                self.close_plan();
                self.write(&Line::TurnCompleted {
                    usage: (*thread_total).into(),
                });
            }
            TurnEvent::TurnFailed { message, .. } => self.failed(message),
            // Existing clients get no last line here; one that waits for the end of the turn should see it.
            TurnEvent::TurnAborted { .. } => self.failed("turn interrupted"),
            TurnEvent::Settings { .. }
            | TurnEvent::ReviewEnded { .. }
            | TurnEvent::UserMessage { .. }
            | TurnEvent::MessageStarted { .. }
            | TurnEvent::TextDelta { .. }
            | TurnEvent::MessageAbandoned { .. }
            | TurnEvent::ReasoningDelta { .. }
            | TurnEvent::ApprovalRequested(_)
            | TurnEvent::ToolCalled { .. }
            | TurnEvent::HookRan(_)
            | TurnEvent::ContextFull { .. }
            | TurnEvent::CompactionStarted { .. }
            | TurnEvent::Compacted(_)
            | TurnEvent::CompactionAbandoned { .. }
            | TurnEvent::RequestCompleted { .. } => {}
        }
    }
}

/// An activity as an item without an id, for whoever shows it otherwise; none for activities that have no item of their own.
pub(crate) fn activity(activity: &ToolActivity) -> Option<Value> {
    // Texts and JSON values always serialize.
    serde_json::to_value(details(activity)?).ok()
}

/// An activity as an item; none for activities that have no item of their own.
fn details(activity: &ToolActivity) -> Option<Details<'_>> {
    match activity {
        ToolActivity::Command {
            command,
            output,
            exit_code,
            status,
            ..
        } => Some(Details::CommandExecution {
            command: shell_words(command),
            aggregated_output: output,
            exit_code: *exit_code,
            status: match status {
                ActivityStatus::Declined => "declined",
                other => word(*other),
            },
        }),
        ToolActivity::Patch { changes, status } => Some(Details::FileChange {
            changes: changes.iter().map(Change::of).collect(),
            status: word(*status),
        }),
        ToolActivity::Server {
            server,
            tool,
            arguments,
            result,
            error,
            status,
        } => Some(Details::McpToolCall {
            server,
            tool,
            arguments,
            result: result.as_ref().map(|result| McpResult {
                content: &result["content"],
                structured_content: result
                    .get("structured_content")
                    .filter(|value| !value.is_null()),
            }),
            error: error.as_deref().map(|message| Message { message }),
            status: word(*status),
        }),
        ToolActivity::Plan { .. } | ToolActivity::Image { .. } => None,
    }
}

/// The states that all kinds of items know: what was declined has failed.
fn word(status: ActivityStatus) -> &'static str {
    match status {
        ActivityStatus::InProgress => "in_progress",
        ActivityStatus::Completed => "completed",
        ActivityStatus::Failed | ActivityStatus::Declined => "failed",
    }
}

/// The command as one line that a shell would take apart again.
fn shell_words(command: &[String]) -> String {
    let words = command.iter().map(String::as_str);
    // Only a NUL byte cannot be quoted, and no command has one.
    shlex::try_join(words).unwrap_or_else(|_| command.join(" "))
}

fn todo_list(steps: &[PlanStep]) -> Details<'_> {
    let todo = |step: &'_ PlanStep| step.status == "completed";
    Details::TodoList {
        items: steps
            .iter()
            .map(|step| Todo {
                text: &step.step,
                completed: todo(step),
            })
            .collect(),
    }
}

impl<'a> Change<'a> {
    fn of(change: &'a FileChange) -> Self {
        Self {
            path: change.path.to_string_lossy(),
            kind: match change.kind {
                FileChangeKind::Add => "add",
                FileChangeKind::Delete => "delete",
                FileChangeKind::Update => "update",
            },
        }
    }
}

impl From<TokenUsage> for Usage {
    fn from(usage: TokenUsage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            cached_input_tokens: usage.cached_input_tokens,
            cache_write_input_tokens: usage.cache_write_input_tokens,
            output_tokens: usage.output_tokens,
            reasoning_output_tokens: usage.reasoning_output_tokens,
        }
    }
}

#[cfg(test)]
#[path = "exec_json_tests.rs"]
mod tests;
