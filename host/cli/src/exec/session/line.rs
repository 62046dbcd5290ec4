//! What happens, for whoever plays the client: one JSON object per line.

use std::time::Duration;

use dovetail_core::event::{AbortReason, Observer, RequestUse, ThreadInfo, TurnEvent};
use dovetail_core::ids::{ThreadId, TurnId};
use dovetail_core::item::{ResponseItem, SummaryPart};
use serde_json::{Value, json};

use crate::{exec_json, out};

/// Prints the events of a thread.
pub(super) struct Lines;

impl Observer for Lines {
    fn observe(&mut self, thread_id: ThreadId, event: &TurnEvent) {
        if let Some(mut line) = told(event) {
            line["thread_id"] = json!(thread_id);
            print(&line);
        }
    }
}

/// Prints one line.
pub(super) fn print(line: &Value) {
    out::stdout(&format!("{line}\n"));
}

/// A thread is there.
pub(super) fn thread_started(info: &ThreadInfo) -> Value {
    json!({
        "event": "thread.started",
        "thread_id": info.thread_id,
        "session_id": info.session_id,
        "forked_from": info.forked_from.map(|fork| fork.thread_id),
        "source": info.source,
        "thread_source": info.thread_source,
        "originator": info.originator,
        "model": info.model,
        "provider": info.provider_id,
        "cwd": info.cwd.display().to_string(),
    })
}

/// What clients are told of an event; none for what they see otherwise, or not at all.
fn told(event: &TurnEvent) -> Option<Value> {
    Some(match event {
        TurnEvent::TurnStarted {
            turn_id,
            context_window,
            ..
        } => {
            json!({ "event": "turn.started", "turn_id": turn_id, "context_window": context_window })
        }
        TurnEvent::UserMessage {
            turn_id,
            text,
            images,
        } => {
            let images = images.iter().map(|path| path.display().to_string());
            let images: Vec<String> = images.collect();
            json!({ "event": "prompt.submitted", "turn_id": turn_id, "text": text, "images": images })
        }
        TurnEvent::MessageStarted { item_id } => {
            json!({ "event": "message.started", "item_id": item_id })
        }
        TurnEvent::TextDelta { delta } => json!({ "event": "message.delta", "delta": delta }),
        TurnEvent::MessageAbandoned { item_id, text } => {
            json!({ "event": "message.abandoned", "item_id": item_id, "text": text })
        }
        TurnEvent::ReasoningDelta { delta } => {
            json!({ "event": "reasoning.delta", "delta": delta })
        }
        TurnEvent::ItemRecorded { turn_id, item } => return said(*turn_id, item),
        TurnEvent::ToolStarted { call_id, activity } => {
            let item = exec_json::activity(activity)?;
            json!({ "event": "tool.started", "call_id": call_id, "item": item })
        }
        TurnEvent::ToolFinished {
            call_id,
            activity,
            duration,
        } => {
            let item = exec_json::activity(activity)?;
            let ms = milliseconds(*duration);
            json!({ "event": "tool.finished", "call_id": call_id, "item": item, "duration_ms": ms })
        }
        TurnEvent::ApprovalRequested(request) => json!({
            "event": "approval.requested",
            "turn_id": request.turn_id,
            "call_id": request.call_id,
            "command": request.command,
            "cwd": request.cwd.display().to_string(),
            "reason": request.reason,
        }),
        TurnEvent::RequestCompleted {
            turn_id,
            usage,
            thread_total,
            made_for,
            ..
        } => {
            let purpose = match made_for {
                RequestUse::Turn => "turn",
                RequestUse::Compaction => "compaction",
            };
            json!({ "event": "request.completed", "turn_id": turn_id, "purpose": purpose, "usage": usage, "total": thread_total })
        }
        TurnEvent::CompactionStarted {
            turn_id,
            item_id,
            trigger,
        } => {
            json!({ "event": "compaction.started", "turn_id": turn_id, "item_id": item_id, "trigger": trigger })
        }
        TurnEvent::Compacted(compacted) => json!({
            "event": "compaction.completed",
            "turn_id": compacted.turn_id,
            "item_id": compacted.item_id,
            "tokens_after": compacted.tokens_after,
            "total": compacted.thread_total,
        }),
        TurnEvent::CompactionAbandoned { item_id } => {
            json!({ "event": "compaction.abandoned", "item_id": item_id })
        }
        TurnEvent::Warning { message } => warning(message),
        TurnEvent::Reconnecting {
            attempt,
            max,
            reason,
            ..
        } => json!({ "event": "reconnecting", "attempt": attempt, "max": max, "reason": reason }),
        TurnEvent::WaitingForNetwork { reason } => {
            json!({ "event": "waiting_for_network", "reason": reason })
        }
        TurnEvent::TurnCompleted {
            turn_id,
            last_message,
            duration,
            ..
        } => json!({
            "event": "turn.completed",
            "turn_id": turn_id,
            "last_message": last_message,
            "duration_ms": milliseconds(*duration),
        }),
        TurnEvent::TurnFailed {
            turn_id, message, ..
        } => json!({ "event": "turn.failed", "turn_id": turn_id, "message": message }),
        TurnEvent::TurnAborted {
            turn_id, reason, ..
        } => {
            let reason = match reason {
                AbortReason::Interrupted => "interrupted",
                AbortReason::Replaced => "replaced",
            };
            json!({ "event": "turn.aborted", "turn_id": turn_id, "reason": reason })
        }
        TurnEvent::ReviewStarted { .. }
        | TurnEvent::ReviewEnded { .. }
        | TurnEvent::Settings { .. }
        | TurnEvent::ToolCalled { .. }
        | TurnEvent::HookRan(_)
        | TurnEvent::ContextFull { .. } => return None,
    })
}

/// What the model said or thought.
fn said(turn_id: TurnId, item: &ResponseItem) -> Option<Value> {
    if let ResponseItem::Reasoning { id, summary, .. } = item {
        let texts = summary
            .iter()
            .map(|SummaryPart::SummaryText { text }| text.as_str());
        let summary: Vec<&str> = texts.collect();
        return Some(
            json!({ "event": "reasoning.completed", "turn_id": turn_id, "item_id": id, "summary": summary }),
        );
    }
    let text = item.assistant_text()?;
    let phase = match item {
        ResponseItem::Message { phase, .. } => phase.as_deref(),
        _ => None,
    };
    Some(
        json!({ "event": "message.completed", "turn_id": turn_id, "item_id": item.id(), "text": text, "phase": phase }),
    )
}

/// Something to know.
pub(super) fn warning(message: &str) -> Value {
    json!({ "event": "warning", "message": message })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
