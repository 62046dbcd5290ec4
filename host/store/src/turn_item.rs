//! Items as clients see them, in the form they have in thread files.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dovetail_core::event::{ActivityStatus, FileChange, FileChangeKind, ToolActivity};
use dovetail_core::item::{ContentItem, ResponseItem, SummaryPart};
use dovetail_core::review::{ReviewOutput, ReviewTarget};
use serde::Serialize;
use serde_json::Value;

use crate::payload::EventMsg;
use crate::uri::file_uri;

#[derive(Serialize)]
#[serde(tag = "type")]
pub(crate) enum TurnItem<'a> {
    UserMessage {
        id: String,
        content: Vec<UserInput<'a>>,
    },
    AgentMessage {
        id: &'a str,
        content: Vec<AgentText<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        phase: Option<&'a str>,
    },
    Reasoning {
        id: &'a str,
        summary_text: Vec<&'a str>,
        raw_content: Vec<&'a str>,
    },
    CommandExecution {
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        process_id: Option<String>,
        command: &'a [String],
        cwd: String,
        parsed_cmd: [ParsedCommand; 1],
        source: &'static str,
        status: &'static str,
        aggregated_output: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        duration: Duration,
    },
    FileChange {
        id: &'a str,
        changes: BTreeMap<&'a Path, PathChange<'a>>,
        status: &'static str,
    },
    McpToolCall {
        id: &'a str,
        server: &'a str,
        tool: &'a str,
        arguments: &'a Value,
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<McpResult<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<McpError<'a>>,
        duration: Duration,
    },
    WebSearch {
        id: &'a str,
        query: &'a str,
        action: &'a Value,
    },
    ImageView {
        id: &'a str,
        path: String,
    },
    EnteredReviewMode {
        id: String,
        target: &'a ReviewTarget,
        user_facing_hint: String,
    },
    ExitedReviewMode {
        id: String,
        review_output: Option<&'a ReviewOutput>,
    },
    ContextCompaction {
        id: &'a str,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum UserInput<'a> {
    LocalImage {
        path: Cow<'a, str>,
    },
    Text {
        text: &'a str,
        text_elements: [(); 0],
    },
}

#[derive(Serialize)]
pub(crate) struct AgentText<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
}

#[derive(Serialize)]
pub(crate) struct ParsedCommand {
    #[serde(rename = "type")]
    kind: &'static str,
    cmd: String,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum PathChange<'a> {
    Add {
        content: String,
    },
    Delete {
        content: String,
    },
    Update {
        unified_diff: &'a str,
        move_path: Option<&'a Path>,
    },
}

#[derive(Serialize)]
pub(crate) struct McpResult<'a> {
    content: &'a Value,
    #[serde(rename = "structuredContent", skip_serializing_if = "Option::is_none")]
    structured_content: Option<&'a Value>,
}

#[derive(Serialize)]
pub(crate) struct McpError<'a> {
    message: &'a str,
}

impl<'a> TurnItem<'a> {
    /// The user's message, with the files of its images.
    pub(crate) fn user_message(id: String, text: &'a str, images: &'a [PathBuf]) -> Self {
        let images = images.iter().map(|path| UserInput::LocalImage {
            path: path.to_string_lossy(),
        });
        let text = UserInput::Text {
            text,
            text_elements: [],
        };
        Self::UserMessage {
            id,
            content: images.chain([text]).collect(),
        }
    }

    /// A review begins.
    pub(crate) fn entered_review(id: String, target: &'a ReviewTarget) -> Self {
        Self::EnteredReviewMode {
            id,
            target,
            user_facing_hint: target.hint(),
        }
    }

    /// What clients see of an item of the history; none for items that they do not see.
    pub(crate) fn of_response(item: &'a ResponseItem) -> Option<Self> {
        let id = item.id().unwrap_or_default();
        match item {
            ResponseItem::Message {
                role,
                content,
                phase,
                ..
            } if role == "assistant" => {
                let content = content.iter().filter_map(agent_text).collect();
                Some(Self::AgentMessage {
                    id,
                    content,
                    phase: phase.as_deref(),
                })
            }
            ResponseItem::Reasoning {
                summary, content, ..
            } => Some(Self::Reasoning {
                id,
                summary_text: summary
                    .iter()
                    .map(|SummaryPart::SummaryText { text }| text.as_str())
                    .collect(),
                raw_content: content.as_ref().map(raw_texts).unwrap_or_default(),
            }),
            ResponseItem::WebSearchCall {
                action: Some(action),
                ..
            } => Some(Self::WebSearch {
                id,
                query: action["query"].as_str().unwrap_or_default(),
                action,
            }),
            ResponseItem::Message { .. }
            | ResponseItem::WebSearchCall { action: None, .. }
            | ResponseItem::FunctionCall { .. }
            | ResponseItem::FunctionCallOutput { .. }
            | ResponseItem::CustomToolCall { .. }
            | ResponseItem::CustomToolCallOutput { .. }
            | ResponseItem::Other(_) => None,
        }
    }

    /// What clients see of finished work; none for work that they see otherwise.
    pub(crate) fn of_activity(
        id: &'a str,
        activity: &'a ToolActivity,
        duration: Duration,
    ) -> Option<Self> {
        match activity {
            ToolActivity::Command {
                command,
                cwd,
                process_id,
                output,
                exit_code,
                status,
            } => Some(Self::CommandExecution {
                id,
                process_id: process_id.map(|pid| pid.to_string()),
                command,
                cwd: file_uri(cwd),
                parsed_cmd: [ParsedCommand {
                    kind: "unknown",
                    cmd: script(command),
                }],
                source: "unified_exec_startup",
                status: word(*status),
                aggregated_output: output,
                exit_code: *exit_code,
                duration,
            }),
            ToolActivity::Patch { changes, status } => {
                let changes = changes
                    .iter()
                    .map(|change| (change.path.as_path(), PathChange::of(change)))
                    .collect();
                Some(Self::FileChange {
                    id,
                    changes,
                    status: word(*status),
                })
            }
            ToolActivity::Server {
                server,
                tool,
                arguments,
                result,
                error,
                status,
            } => Some(Self::McpToolCall {
                id,
                server,
                tool,
                arguments,
                status: word(*status),
                result: result.as_ref().map(|result| McpResult {
                    content: &result["content"],
                    structured_content: result
                        .get("structured_content")
                        .filter(|value| !value.is_null()),
                }),
                error: error.as_deref().map(|message| McpError { message }),
                duration,
            }),
            ToolActivity::Image { path } => Some(Self::ImageView {
                id,
                path: file_uri(path),
            }),
            ToolActivity::Plan { .. } => None,
        }
    }
}

impl TurnItem<'_> {
    /// What files of the older dialect have in its place; none where they have nothing.
    pub(crate) fn legacy(&self) -> Option<EventMsg<'_>> {
        match self {
            Self::UserMessage { content, .. } => {
                let (mut message, mut local_images) = ("", Vec::new());
                for input in content {
                    match input {
                        UserInput::Text { text, .. } => message = *text,
                        UserInput::LocalImage { path } => local_images.push(path.as_ref()),
                    }
                }
                Some(EventMsg::UserMessage {
                    message,
                    images: [],
                    local_images,
                    text_elements: [],
                })
            }
            Self::AgentMessage { content, phase, .. } => Some(EventMsg::AgentMessage {
                message: content.iter().map(|part| part.text).collect(),
                phase: *phase,
                memory_citation: None,
            }),
            Self::Reasoning { summary_text, .. } => {
                let text = summary_text.first()?;
                Some(EventMsg::AgentReasoning { text })
            }
            Self::ContextCompaction { .. } => Some(EventMsg::ContextCompacted),
            Self::CommandExecution { .. }
            | Self::FileChange { .. }
            | Self::McpToolCall { .. }
            | Self::WebSearch { .. }
            | Self::ImageView { .. }
            | Self::EnteredReviewMode { .. }
            | Self::ExitedReviewMode { .. } => None,
        }
    }
}

impl<'a> PathChange<'a> {
    fn of(change: &'a FileChange) -> Self {
        match change.kind {
            FileChangeKind::Add => Self::Add {
                content: side(&change.diff, '+'),
            },
            FileChangeKind::Delete => Self::Delete {
                content: side(&change.diff, '-'),
            },
            FileChangeKind::Update => Self::Update {
                unified_diff: &change.diff,
                move_path: change.moved_to.as_deref(),
            },
        }
    }
}

/// The text of one side of a diff in which every line is of that side.
fn side(diff: &str, sign: char) -> String {
    let body = diff.find("@@").map_or(diff, |at| &diff[at..]);
    body.lines()
        .filter_map(|line| line.strip_prefix(sign))
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn agent_text(item: &ContentItem) -> Option<AgentText<'_>> {
    match item {
        ContentItem::OutputText { text } | ContentItem::InputText { text } => {
            Some(AgentText { kind: "Text", text })
        }
        ContentItem::Refusal { refusal } => Some(AgentText {
            kind: "Text",
            text: refusal,
        }),
        ContentItem::InputImage { .. } | ContentItem::InputAudio { .. } | ContentItem::Other(_) => {
            None
        }
    }
}

fn raw_texts(content: &Value) -> Vec<&str> {
    content
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|part| part["text"].as_str())
        .collect()
}

/// What a shell is told to run; for anything else the words of the command.
fn script(command: &[String]) -> String {
    match command {
        [_, flag, script] if matches!(flag.as_str(), "-c" | "-lc") => script.clone(),
        words => words.join(" "),
    }
}

fn word(status: ActivityStatus) -> &'static str {
    match status {
        ActivityStatus::InProgress => "inProgress",
        ActivityStatus::Completed => "completed",
        ActivityStatus::Failed => "failed",
        ActivityStatus::Declined => "declined",
    }
}
