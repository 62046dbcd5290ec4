//! Events as sinks get them: versioned records whose fields each have a class.
//!
//! The names and fields here are a contract with people's collectors (`docs/events.md`); they only grow.

mod plugin;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::event::{
    AbortReason, ActivityStatus, Compacted, HookResult, HookRun, RequestUse, ThreadInfo,
    ToolActivity, TurnEvent, TurnSettings,
};
use crate::ids::{ThreadId, TurnId};
use crate::plugin::{EventRecord, Field, FieldClass, FieldValue, PluginNews};
use crate::review::ReviewOutput;
use crate::usage::TokenUsage;

/// The version of every kind's fields so far.
const VERSION: u32 = 1;

/// Turns a thread's events into records.
#[derive(Debug)]
pub struct EventRecords {
    info: ThreadInfo,
    sequence: u64,
    turn_id: Option<TurnId>,
}

impl EventRecords {
    /// Starts counting for a thread.
    pub fn new(info: ThreadInfo) -> Self {
        Self {
            info,
            sequence: 0,
            turn_id: None,
        }
    }

    /// The thread.
    pub fn thread_id(&self) -> ThreadId {
        self.info.thread_id
    }

    /// The record that announces the thread.
    pub fn thread_started(&mut self, resumed: bool) -> EventRecord {
        let fields = vec![
            bool("resumed", resumed),
            text("originator", &self.info.originator),
            text("source", &self.info.source),
            text("model", &self.info.model),
            text("provider", &self.info.provider_id),
            classed(
                "cwd",
                FieldClass::Location,
                self.info.cwd.display().to_string(),
            ),
        ];
        self.record("thread.started", fields)
    }

    /// The record of an event; none for pieces of text, which arrive whole a little later.
    pub fn convert(&mut self, event: &TurnEvent) -> Option<EventRecord> {
        if let TurnEvent::TurnStarted { turn_id, .. } | TurnEvent::ReviewStarted { turn_id, .. } =
            event
        {
            self.turn_id = Some(*turn_id);
        }
        let (kind, fields) = describe(event)?;
        Some(self.record(kind, fields))
    }

    /// The record of something that happened to a plugin.
    pub fn plugin(&mut self, news: &PluginNews) -> EventRecord {
        let (kind, mut fields) = plugin::fields(&news.event);
        fields.insert(0, text("plugin", &news.plugin));
        EventRecord {
            time: news.time,
            ..self.record(kind, fields)
        }
    }

    fn record(&mut self, kind: &str, fields: Vec<Field>) -> EventRecord {
        let sequence = self.sequence;
        self.sequence += 1;
        EventRecord {
            id: format!("evt_{}", Uuid::now_v7().hyphenated()),
            sequence,
            kind: kind.to_owned(),
            version: VERSION,
            time: SystemTime::now(),
            thread_id: self.info.thread_id,
            turn_id: self.turn_id,
            fields,
        }
    }
}

fn describe(event: &TurnEvent) -> Option<(&'static str, Vec<Field>)> {
    Some(match event {
        TurnEvent::TurnStarted { context_window, .. } => (
            "turn.started",
            context_window
                .map(|window| int("context_window", window))
                .into_iter()
                .collect(),
        ),
        TurnEvent::ReviewStarted { target, .. } => (
            "review.started",
            vec![
                text("target", target.kind()),
                classed("hint", FieldClass::Content, target.hint()),
            ],
        ),
        TurnEvent::ReviewEnded { output, usage, .. } => {
            ("review.completed", review_fields(output.as_deref(), usage))
        }
        TurnEvent::Settings { settings, .. } => ("turn.settings", settings_fields(settings)),
        TurnEvent::ItemRecorded { item, .. } => {
            let message = item.assistant_text()?;
            (
                "message.completed",
                vec![
                    int("length", message.len() as u64),
                    classed("text", FieldClass::Content, message),
                ],
            )
        }
        TurnEvent::UserMessage { text, images, .. } => (
            "prompt.submitted",
            vec![
                int("length", text.len() as u64),
                int("images", images.len() as u64),
                classed("text", FieldClass::Content, text.clone()),
            ],
        ),
        TurnEvent::MessageStarted { .. }
        | TurnEvent::TextDelta { .. }
        | TurnEvent::MessageAbandoned { .. }
        | TurnEvent::ReasoningDelta { .. } => {
            return None;
        }
        TurnEvent::ToolStarted { call_id, activity } => {
            let mut fields = vec![text("call_id", call_id.as_str())];
            fields.extend(activity_fields(activity));
            ("tool.started", fields)
        }
        TurnEvent::ToolFinished {
            call_id,
            activity,
            duration,
        } => {
            let mut fields = vec![
                text("call_id", call_id.as_str()),
                millis("duration_ms", *duration),
            ];
            fields.extend(activity_fields(activity));
            ("tool.finished", fields)
        }
        TurnEvent::ToolCalled {
            call_id,
            tool,
            success,
            duration,
            output,
        } => (
            "tool.called",
            vec![
                text("call_id", call_id.as_str()),
                text("tool", tool),
                bool("success", *success),
                millis("duration_ms", *duration),
                classed("output", FieldClass::Content, output.clone()),
            ],
        ),
        TurnEvent::HookRan(run) => ("hook.ran", hook_fields(run)),
        TurnEvent::RequestCompleted {
            response_id,
            usage,
            made_for,
            time_to_first_event,
            duration,
            ..
        } => {
            let purpose = match made_for {
                RequestUse::Turn => "turn",
                RequestUse::Compaction => "compaction",
            };
            let mut fields = vec![
                text("response_id", response_id),
                text("purpose", purpose),
                millis("time_to_first_event_ms", *time_to_first_event),
                millis("duration_ms", *duration),
            ];
            fields.extend(usage_fields(usage));
            ("request.completed", fields)
        }
        TurnEvent::Reconnecting {
            attempt,
            max,
            reason,
            delay,
        } => (
            "request.retried",
            vec![
                int("attempt", u64::from(*attempt)),
                int("max", u64::from(*max)),
                millis("delay_ms", *delay),
                classed("reason", FieldClass::Location, reason.clone()),
            ],
        ),
        TurnEvent::ApprovalRequested(request) => (
            "approval.requested",
            vec![
                text("call_id", request.call_id.as_str()),
                classed("command", FieldClass::Content, request.command.join(" ")),
                classed(
                    "cwd",
                    FieldClass::Location,
                    request.cwd.display().to_string(),
                ),
                classed(
                    "reason",
                    FieldClass::Content,
                    request.reason.clone().unwrap_or_default(),
                ),
            ],
        ),
        TurnEvent::WaitingForNetwork { reason } => (
            "network.awaited",
            vec![classed("reason", FieldClass::Location, reason.clone())],
        ),
        TurnEvent::ContextFull { .. } => ("context.full", Vec::new()),
        TurnEvent::CompactionStarted { trigger, .. } => (
            "compaction.started",
            vec![text("trigger", trigger.as_str())],
        ),
        TurnEvent::Compacted(compacted) => ("compaction.completed", compaction_fields(compacted)),
        TurnEvent::CompactionAbandoned { .. } => ("compaction.abandoned", Vec::new()),
        TurnEvent::Warning { message } => (
            "warning",
            vec![classed("message", FieldClass::Content, message.clone())],
        ),
        TurnEvent::TurnCompleted {
            duration,
            time_to_first_token,
            thread_total,
            last_message,
            ..
        } => {
            let mut fields = vec![millis("duration_ms", *duration)];
            fields.extend(time_to_first_token.map(|time| millis("time_to_first_token_ms", time)));
            fields.extend(usage_fields(thread_total));
            if let Some(message) = last_message {
                fields.push(classed(
                    "last_message",
                    FieldClass::Content,
                    message.clone(),
                ));
            }
            ("turn.completed", fields)
        }
        TurnEvent::TurnFailed {
            message, duration, ..
        } => (
            "turn.failed",
            vec![
                millis("duration_ms", *duration),
                classed("message", FieldClass::Location, message.clone()),
            ],
        ),
        TurnEvent::TurnAborted {
            reason, duration, ..
        } => {
            let reason = match reason {
                AbortReason::Interrupted => "interrupted",
                AbortReason::Replaced => "replaced",
            };
            (
                "turn.aborted",
                vec![text("reason", reason), millis("duration_ms", *duration)],
            )
        }
    })
}

fn compaction_fields(compacted: &Compacted) -> Vec<Field> {
    let mut fields = vec![
        int("window_number", compacted.window_number),
        int("tokens_before", compacted.tokens_before),
        int("tokens_after", compacted.tokens_after),
        millis("duration_ms", compacted.duration),
    ];
    if !compacted.message.is_empty() {
        let message = compacted.message.clone();
        fields.push(classed("summary", FieldClass::Content, message));
    }
    fields
}

fn settings_fields(settings: &TurnSettings) -> Vec<Field> {
    let mut fields = vec![
        text("model", &settings.model),
        text("provider", &settings.provider_id),
        text("approval_policy", &settings.approval_policy),
        text("sandbox_mode", &settings.sandbox_mode),
        bool("network_access", settings.network_access),
        classed(
            "cwd",
            FieldClass::Location,
            settings.cwd.display().to_string(),
        ),
    ];
    fields.extend(
        settings
            .effort
            .as_ref()
            .map(|effort| text("effort", effort)),
    );
    fields
}

fn activity_fields(activity: &ToolActivity) -> Vec<Field> {
    match activity {
        ToolActivity::Command {
            command,
            cwd,
            output,
            exit_code,
            status,
            ..
        } => {
            let mut fields = vec![
                text("activity", "command"),
                text("status", status_text(*status)),
                classed("command", FieldClass::Content, command.join(" ")),
                classed("cwd", FieldClass::Location, cwd.display().to_string()),
                classed("output", FieldClass::Content, output.clone()),
            ];
            fields.extend(exit_code.map(|code| Field {
                name: "exit_code",
                class: FieldClass::Basic,
                value: FieldValue::Int(i64::from(code)),
            }));
            fields
        }
        ToolActivity::Patch { changes, status } => vec![
            text("activity", "patch"),
            text("status", status_text(*status)),
            int("files", changes.len() as u64),
            classed(
                "paths",
                FieldClass::Location,
                changes
                    .iter()
                    .map(|change| change.path.display().to_string())
                    .collect::<Vec<_>>()
                    .join("\n"),
            ),
            classed(
                "diff",
                FieldClass::Content,
                changes
                    .iter()
                    .map(|change| change.diff.as_str())
                    .collect::<Vec<_>>()
                    .join("\n"),
            ),
        ],
        ToolActivity::Server {
            server,
            tool,
            arguments,
            result,
            error,
            status,
        } => {
            let mut fields = vec![
                text("activity", "server"),
                text("status", status_text(*status)),
                text("server", server),
                text("tool", tool),
                json("arguments", arguments),
            ];
            fields.extend(result.as_ref().map(|result| json("result", result)));
            fields.extend(
                error
                    .as_ref()
                    .map(|error| classed("error", FieldClass::Content, error.clone())),
            );
            fields
        }
        ToolActivity::Plan { steps, .. } => {
            vec![text("activity", "plan"), int("steps", steps.len() as u64)]
        }
        ToolActivity::Image { path } => vec![
            text("activity", "image"),
            classed("path", FieldClass::Location, path.display().to_string()),
        ],
    }
}

/// A review that did not come to an end has no fields but what it used.
fn review_fields(output: Option<&ReviewOutput>, usage: &TokenUsage) -> Vec<Field> {
    let mut fields = usage_fields(usage);
    if let Some(output) = output {
        fields.push(int("findings", output.findings.len() as u64));
        fields.push(classed("text", FieldClass::Content, output.text()));
    }
    fields
}

fn hook_fields(run: &HookRun) -> Vec<Field> {
    let (result, why) = match &run.result {
        HookResult::Passed => ("passed", None),
        HookResult::Denied(why) => ("denied", Some(why)),
        HookResult::Rewrote => ("rewrote", None),
        HookResult::Failed { why, closed: true } => ("failed_closed", Some(why)),
        HookResult::Failed { why, closed: false } => ("failed_open", Some(why)),
    };
    let mut fields = vec![
        text("plugin", run.plugin.as_str()),
        text("event", run.event),
        text("result", result),
        int(
            "duration_us",
            u64::try_from(run.duration.as_micros()).unwrap_or(u64::MAX),
        ),
        classed("subject", FieldClass::Content, run.subject.clone()),
    ];
    fields.extend(why.map(|why| classed("why", FieldClass::Content, why.clone())));
    fields
}

fn usage_fields(usage: &TokenUsage) -> Vec<Field> {
    vec![
        int("input_tokens", usage.input_tokens),
        int("cached_input_tokens", usage.cached_input_tokens),
        int("output_tokens", usage.output_tokens),
        int("reasoning_output_tokens", usage.reasoning_output_tokens),
        int("total_tokens", usage.total_tokens),
    ]
}

fn status_text(status: ActivityStatus) -> &'static str {
    match status {
        ActivityStatus::InProgress => "in_progress",
        ActivityStatus::Completed => "completed",
        ActivityStatus::Failed => "failed",
        ActivityStatus::Declined => "declined",
    }
}

fn text(name: &'static str, value: &str) -> Field {
    classed(name, FieldClass::Basic, value.to_owned())
}

fn classed(name: &'static str, class: FieldClass, value: String) -> Field {
    Field {
        name,
        class,
        value: FieldValue::Text(value),
    }
}

fn json(name: &'static str, value: &serde_json::Value) -> Field {
    Field {
        name,
        class: FieldClass::Content,
        value: FieldValue::Json(value.clone()),
    }
}

fn bool(name: &'static str, value: bool) -> Field {
    Field {
        name,
        class: FieldClass::Basic,
        value: FieldValue::Bool(value),
    }
}

fn int(name: &'static str, value: u64) -> Field {
    Field {
        name,
        class: FieldClass::Basic,
        value: FieldValue::Int(i64::try_from(value).unwrap_or(i64::MAX)),
    }
}

fn millis(name: &'static str, value: Duration) -> Field {
    int(name, u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
}

/// A record that several sinks share.
pub type SharedRecord = Arc<EventRecord>;
