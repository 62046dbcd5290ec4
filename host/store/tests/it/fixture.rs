//! Captured files, made-up events, and what is left of both when ids and times are taken out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dovetail_core::event::{
    ActivityStatus, RateLimitWindow, RateLimits, Recorder, RequestUse, ThreadInfo, ToolActivity,
    TurnEvent, TurnSettings,
};
use dovetail_core::ids::{CallId, ThreadId, TurnId, WindowId};
use dovetail_core::item::{ItemMetadata, ResponseItem};
use dovetail_core::usage::TokenUsage;
use dovetail_store::RolloutRecorder;
use serde_json::{Value, json};

pub(crate) fn captured(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/rollouts")
        .join(format!("{name}.jsonl"))
}

pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the file is there");
    assert!(text.ends_with('\n'), "the last line has no end");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect()
}

pub(crate) fn thread_info() -> ThreadInfo {
    let thread_id = ThreadId::generate();
    ThreadInfo {
        thread_id,
        session_id: thread_id,
        window_id: WindowId::generate(),
        cwd: "/home/user/proj".into(),
        originator: "codex_exec".into(),
        source: "exec".into(),
        thread_source: Some("user".into()),
        parent_thread_id: None,
        forked_from: None,
        subagent: None,
        provider_id: "mock".into(),
        base_instructions: "Cut text.".into(),
        model: "gpt-5.2-codex".into(),
        created: SystemTime::now(),
    }
}

pub(crate) fn settings() -> TurnSettings {
    TurnSettings {
        model: "gpt-5.2-codex".into(),
        provider_id: "mock".into(),
        cwd: "/home/user/proj".into(),
        approval_policy: "never".into(),
        sandbox_mode: "read-only".into(),
        network_access: false,
        writable_roots: Vec::new(),
        effort: None,
        summary: None,
        service_tier: None,
        output_schema: None,
    }
}

pub(crate) fn item(value: Value) -> ResponseItem {
    serde_json::from_value(value).expect("an item")
}

/// A recorder with its thread, to feed events by hand.
pub(crate) struct Feed {
    pub(crate) recorder: RolloutRecorder,
    pub(crate) thread_id: ThreadId,
    pub(crate) turn_id: TurnId,
    total: TokenUsage,
}

impl Feed {
    pub(crate) fn new(home: &Path) -> Self {
        let info = thread_info();
        Self::of(RolloutRecorder::create(home, info.clone()), info.thread_id)
    }

    pub(crate) fn of(recorder: RolloutRecorder, thread_id: ThreadId) -> Self {
        Self {
            recorder,
            thread_id,
            turn_id: TurnId::generate(),
            total: TokenUsage::default(),
        }
    }

    pub(crate) fn send(&mut self, event: TurnEvent) {
        self.recorder
            .record(self.thread_id, &event)
            .expect("the event is recorded");
    }

    pub(crate) fn start(&mut self) {
        self.turn_id = TurnId::generate();
        let (turn_id, at) = (self.turn_id, SystemTime::now());
        self.send(TurnEvent::TurnStarted {
            trigger: Some("exec".to_owned()),
            parent: None,
            turn_id,
            at,
            context_window: Some(258_400),
        });
    }

    /// Records an item as the conversation does: with its turn, and if the host wrote it, with a time.
    pub(crate) fn item(&mut self, value: Value) {
        let mut item = item(value);
        let host_wrote_it = !matches!(
            &item,
            ResponseItem::Reasoning { .. } | ResponseItem::FunctionCall { .. }
        ) && item.assistant_text().is_none();
        if let Some(slot) = item.metadata_mut() {
            let metadata = slot.get_or_insert_with(ItemMetadata::default);
            metadata.turn_id = Some(self.turn_id.to_string());
            metadata.create_time = host_wrote_it.then_some(1.5);
        }
        self.send(TurnEvent::ItemRecorded {
            turn_id: self.turn_id,
            item: Arc::new(item),
        });
    }

    pub(crate) fn settings(&mut self) {
        self.send(TurnEvent::Settings {
            turn_id: self.turn_id,
            settings: Box::new(settings()),
        });
    }

    pub(crate) fn user(&mut self, text: &str) {
        self.item(json!({
            "type": "message", "id": format!("msg_{}", TurnId::generate()), "role": "user",
            "content": [{"type": "input_text", "text": text}],
            "internal_chat_message_metadata_passthrough": {"content_item_kinds": ["user.text"]},
        }));
        self.send(TurnEvent::UserMessage {
            turn_id: self.turn_id,
            text: text.into(),
            images: Vec::new(),
        });
    }

    pub(crate) fn assistant(&mut self, id: &str, text: &str, phase: &str) {
        self.item(json!({
            "type": "message", "id": id, "role": "assistant", "content": [{"type": "output_text", "text": text}],
            "phase": phase,
            "internal_chat_message_metadata_passthrough": {"content_item_kinds": ["unknown"]},
        }));
    }

    pub(crate) fn completed_request(
        &mut self,
        response_id: &str,
        usage: TokenUsage,
        primary: Option<RateLimitWindow>,
    ) {
        self.total += usage;
        self.send(TurnEvent::RequestCompleted {
            response_id: response_id.into(),
            usage,
            turn_total: self.total,
            thread_total: self.total,
            rate_limits: RateLimits {
                primary,
                ..RateLimits::default()
            },
            turn_id: self.turn_id,
            made_for: RequestUse::Turn,
            time_to_first_event: Duration::from_millis(1),
            duration: Duration::from_millis(2),
        });
    }

    pub(crate) fn command(&mut self, call_id: &str, script: &str, output: &str) {
        let activity = ToolActivity::Command {
            command: ["/bin/bash", "-lc", script].map(str::to_owned).to_vec(),
            cwd: "/home/user/proj".into(),
            process_id: Some(68648),
            output: output.into(),
            exit_code: Some(0),
            status: ActivityStatus::Completed,
        };
        let duration = Duration::from_millis(147);
        self.send(TurnEvent::ToolFinished {
            call_id: CallId::new(call_id),
            activity,
            duration,
        });
    }

    pub(crate) fn end(&mut self, answer: &str) {
        self.send(TurnEvent::TurnCompleted {
            turn_id: self.turn_id,
            last_message: Some(answer.into()),
            started: SystemTime::now(),
            duration: Duration::from_millis(531),
            time_to_first_token: Some(Duration::from_millis(90)),
            thread_total: self.total,
        });
    }

    /// A whole turn with an answer and no tools.
    pub(crate) fn turn(&mut self, prompt: &str, answer: &str) {
        self.start();
        self.settings();
        self.user(prompt);
        self.assistant("msg_1", answer, "final_answer");
        self.completed_request("resp_1", usage(100, 20, 30, 10), None);
        self.end(answer);
    }
}

pub(crate) fn usage(input: u64, cached: u64, output: u64, reasoning: u64) -> TokenUsage {
    TokenUsage {
        input_tokens: input,
        cached_input_tokens: cached,
        cache_write_input_tokens: 0,
        output_tokens: output,
        reasoning_output_tokens: reasoning,
        total_tokens: input + output,
    }
}

/// Lines as text with ids, times and durations taken out; key order is kept.
pub(crate) fn normalised(lines: Vec<Value>) -> Vec<String> {
    lines
        .into_iter()
        .map(|line| normal(line, "").to_string())
        .collect()
}

fn normal(value: Value, key: &str) -> Value {
    const TIMES: &[&str] = &[
        "create_time",
        "started_at",
        "completed_at",
        "started_at_ms",
        "completed_at_ms",
        "duration_ms",
        "nanos",
        "time_to_first_token_ms",
    ];
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| (key.clone(), normal(value, &key)))
                .collect(),
        ),
        Value::Array(items) => items.into_iter().map(|item| normal(item, key)).collect(),
        Value::Number(_) if TIMES.contains(&key) => json!(0),
        Value::String(text) if key == "timestamp" => {
            assert!(
                text.len() == 24 && text.ends_with('Z'),
                "a time to the millisecond: {text}"
            );
            json!("<time>")
        }
        Value::String(text) => match text
            .len()
            .checked_sub(36)
            .and_then(|at| text.split_at_checked(at))
        {
            Some((prefix, id)) if ThreadId::parse(id).is_ok() => json!(format!("{prefix}<id>")),
            Some(_) | None => json!(text),
        },
        other => other,
    }
}
