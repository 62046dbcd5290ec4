//! What the lines of a thread's file hold, in the key order of existing files. Only written; reading is in `parse`.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dovetail_core::event::{
    AbortReason, Compacted, RateLimitWindow, RateLimits, ThreadInfo, TurnSettings,
};
use dovetail_core::ids::{ThreadId, TurnId, WindowId};
use dovetail_core::item::ResponseItem;
use dovetail_core::usage::TokenUsage;
use serde::Serialize;
use serde_json::Value;

use crate::load::HistoryMode;
use crate::permission;
use crate::place;

/// What threads say that may start no others.
const NO_AGENTS: &str = "disabled";

#[derive(Serialize)]
pub(crate) struct SessionMeta<'a> {
    account_scoped: bool,
    session_id: ThreadId,
    id: ThreadId,
    #[serde(skip_serializing_if = "Option::is_none")]
    forked_from_id: Option<ThreadId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forked_from_ordinal_exclusive: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_thread_id: Option<ThreadId>,
    timestamp: String,
    cwd: &'a Path,
    runtime_workspace_roots: [&'a Path; 1],
    originator: &'a str,
    cli_version: &'static str,
    source: Source<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_source: Option<&'a str>,
    model_provider: &'a str,
    base_instructions: BaseInstructions<'a>,
    history_mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_agent_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history_base: Option<HistoryBase>,
    context_window: ContextWindow,
}

/// Who started a thread: a word, or a table for one that another thread started.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Source<'a> {
    Subagent(&'a str),
    #[serde(untagged)]
    Word(&'a str),
}

/// Where the history before a file's first line is, written so that every client finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct HistoryBase {
    /// The id of the file.
    pub(crate) thread_id: ThreadId,
    /// The first line that is not shared.
    pub(crate) end_ordinal_exclusive: u64,
    /// Where that line is or will be, in bytes of the unpacked file.
    pub(crate) end_byte_offset: u64,
}

#[derive(Serialize)]
struct BaseInstructions<'a> {
    text: &'a str,
    provenance: Provenance<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Provenance<'a> {
    Model { model: &'a str },
    Custom,
}

#[derive(Serialize)]
struct ContextWindow {
    window_id: WindowId,
}

impl<'a> SessionMeta<'a> {
    pub(crate) fn new(info: &'a ThreadInfo, mode: HistoryMode, base: Option<HistoryBase>) -> Self {
        let subagent = info.subagent.as_ref();
        Self {
            account_scoped: true,
            session_id: info.session_id,
            id: info.thread_id,
            forked_from_id: info.forked_from.map(|fork| fork.thread_id),
            forked_from_ordinal_exclusive: info.forked_from.and_then(|fork| fork.ordinal_exclusive),
            parent_thread_id: info.parent_thread_id,
            timestamp: format!("{:.3}", place::timestamp(info.created)),
            cwd: &info.cwd,
            runtime_workspace_roots: [&info.cwd],
            originator: &info.originator,
            cli_version: env!("CARGO_PKG_VERSION"),
            source: match subagent {
                Some(kind) => Source::Subagent(kind.label()),
                None => Source::Word(&info.source),
            },
            thread_source: info.thread_source.as_deref(),
            model_provider: &info.provider_id,
            base_instructions: BaseInstructions {
                text: &info.base_instructions,
                provenance: match subagent {
                    Some(_) => Provenance::Custom,
                    None => Provenance::Model { model: &info.model },
                },
            },
            history_mode: match mode {
                HistoryMode::Paginated => "paginated",
                HistoryMode::Legacy => "legacy",
            },
            multi_agent_version: subagent.map(|_| NO_AGENTS),
            history_base: base,
            context_window: ContextWindow {
                window_id: info.window_id,
            },
        }
    }
}

#[derive(Serialize)]
pub(crate) struct TurnContext<'a> {
    turn_id: TurnId,
    root_turn_id: TurnId,
    disabled_plugin_ids: [(); 0],
    cwd: &'a Path,
    approval_policy: &'a str,
    approvals_reviewer: &'static str,
    permission_profile: Value,
    active_permission_profile: ProfileId,
    model: &'a str,
    collaboration_mode: CollaborationMode<'a>,
    multi_agent_version: &'static str,
    realtime_active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    summary: &'a str,
    sandbox_policy: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    final_output_json_schema: Option<&'a Value>,
}

#[derive(Serialize)]
struct ProfileId {
    id: &'static str,
}

#[derive(Serialize)]
struct CollaborationMode<'a> {
    mode: &'static str,
    settings: CollaborationSettings<'a>,
}

#[derive(Serialize)]
struct CollaborationSettings<'a> {
    model: &'a str,
    reasoning_effort: Option<&'a str>,
    developer_instructions: Option<&'a str>,
}

impl<'a> CollaborationMode<'a> {
    fn of(settings: &'a TurnSettings) -> Self {
        let (model, reasoning_effort) = (settings.model.as_str(), settings.effort.as_deref());
        let settings = CollaborationSettings {
            model,
            reasoning_effort,
            developer_instructions: None,
        };
        Self {
            mode: "default",
            settings,
        }
    }
}

impl<'a> TurnContext<'a> {
    pub(crate) fn new(
        (turn_id, root_turn_id): (TurnId, TurnId),
        settings: &'a TurnSettings,
        info: &ThreadInfo,
    ) -> Self {
        Self {
            turn_id,
            root_turn_id,
            disabled_plugin_ids: [],
            cwd: &settings.cwd,
            approval_policy: &settings.approval_policy,
            approvals_reviewer: "user",
            permission_profile: permission::profile(settings),
            active_permission_profile: ProfileId {
                id: permission::profile_id(settings),
            },
            model: &settings.model,
            collaboration_mode: CollaborationMode::of(settings),
            multi_agent_version: info.subagent.as_ref().map_or("v1", |_| NO_AGENTS),
            realtime_active: false,
            effort: settings.effort.as_deref(),
            summary: settings.summary.as_deref().unwrap_or("none"),
            sandbox_policy: permission::policy(settings),
            final_output_json_schema: settings.output_schema.as_ref(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct ThreadSettings<'a> {
    model: &'a str,
    model_provider_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    approval_policy: &'a str,
    approvals_reviewer: &'static str,
    requested_approvals_reviewer: &'static str,
    permission_profile: Value,
    active_permission_profile: ProfileId,
    cwd: &'a Path,
    runtime_workspace_roots: [&'a Path; 1],
    collaboration_mode: CollaborationMode<'a>,
    disabled_plugin_ids: [(); 0],
}

impl<'a> ThreadSettings<'a> {
    pub(crate) fn new(settings: &'a TurnSettings) -> Self {
        Self {
            model: &settings.model,
            model_provider_id: &settings.provider_id,
            service_tier: settings.service_tier.as_deref(),
            approval_policy: &settings.approval_policy,
            approvals_reviewer: "user",
            requested_approvals_reviewer: "user",
            permission_profile: permission::profile(settings),
            active_permission_profile: ProfileId {
                id: permission::profile_id(settings),
            },
            cwd: &settings.cwd,
            runtime_workspace_roots: [&settings.cwd],
            collaboration_mode: CollaborationMode::of(settings),
            disabled_plugin_ids: [],
        }
    }
}

#[derive(Serialize)]
pub(crate) struct TokenUsageRecord<'a> {
    pub(crate) thread_id: ThreadId,
    pub(crate) turn_id: TurnId,
    pub(crate) session_id: ThreadId,
    pub(crate) root_turn_id: TurnId,
    pub(crate) response_id: &'a str,
    pub(crate) usage: TokenUsage,
    pub(crate) turn_token_usage: TokenUsage,
    pub(crate) thread_token_usage: TokenUsage,
}

/// A conversation's new beginning.
#[derive(Serialize)]
pub(crate) struct Compaction<'a> {
    message: &'a str,
    replacement_history: Vec<&'a ResponseItem>,
    window_number: u64,
    first_window_id: WindowId,
    previous_window_id: WindowId,
    window_id: WindowId,
    compaction_response_id: &'a str,
}

impl<'a> Compaction<'a> {
    pub(crate) fn new(compacted: &'a Compacted) -> Self {
        Self {
            message: &compacted.message,
            replacement_history: compacted.history.iter().map(|item| &**item).collect(),
            window_number: compacted.window_number,
            first_window_id: compacted.first_window_id,
            previous_window_id: compacted.previous_window_id,
            window_id: compacted.window_id,
            compaction_response_id: &compacted.response_id,
        }
    }
}

/// `event_msg` payloads.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum EventMsg<'a> {
    TaskStarted {
        turn_attribution: TurnAttribution<'a>,
        turn_id: TurnId,
        root_turn_id: TurnId,
        started_at: u64,
        model_context_window: Option<u64>,
        collaboration_mode_kind: &'static str,
    },
    ThreadSettingsApplied {
        thread_id: ThreadId,
        thread_settings: ThreadSettings<'a>,
    },
    ItemCompleted {
        thread_id: ThreadId,
        turn_id: TurnId,
        item: crate::turn_item::TurnItem<'a>,
        started_at_ms: u64,
        completed_at_ms: u64,
    },
    TokenCount {
        info: TokenInfo,
        rate_limits: RateLimitSnapshot,
    },
    TaskComplete {
        root_turn_id: TurnId,
        turn_id: TurnId,
        last_agent_message: Option<&'a str>,
        started_at: u64,
        completed_at: u64,
        duration_ms: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        time_to_first_token_ms: Option<u64>,
    },
    TurnAborted {
        turn_id: TurnId,
        reason: &'static str,
        started_at: u64,
        completed_at: u64,
        duration_ms: u64,
    },
    Error {
        message: &'a str,
        codex_error_info: &'static str,
    },
    /// In files of the older dialect, in the place of `item_completed`.
    UserMessage {
        message: &'a str,
        images: [(); 0],
        local_images: Vec<&'a str>,
        text_elements: [(); 0],
    },
    AgentMessage {
        message: String,
        phase: Option<&'a str>,
        memory_citation: Option<()>,
    },
    AgentReasoning {
        text: &'a str,
    },
    ContextCompacted,
}

#[derive(Serialize)]
pub(crate) struct TurnAttribution<'a> {
    pub(crate) turn_id: TurnId,
    pub(crate) turn_trigger: Option<&'a str>,
    pub(crate) parent_turn_id: Option<TurnId>,
    pub(crate) initiating_agent_path: Option<&'a str>,
    pub(crate) root_turn_id: TurnId,
}

#[derive(Clone, Serialize)]
pub(crate) struct TokenInfo {
    pub(crate) total_token_usage: TokenUsage,
    pub(crate) last_token_usage: TokenUsage,
    pub(crate) last_usage_includes_reasoning: bool,
    pub(crate) model_context_window: Option<u64>,
}

#[derive(Clone, Serialize)]
pub(crate) struct RateLimitSnapshot {
    limit_id: String,
    limit_name: Option<String>,
    primary: Option<Window>,
    secondary: Option<Window>,
    credits: Option<CreditsSnapshot>,
    individual_limit: Option<()>,
    spend_control_reached: Option<()>,
    plan_type: Option<String>,
    rate_limit_reached_type: Option<String>,
}

#[derive(Clone, Serialize)]
struct CreditsSnapshot {
    has_credits: bool,
    unlimited: bool,
    balance: Option<String>,
}

#[derive(Clone, Serialize)]
struct Window {
    used_percent: f64,
    window_minutes: Option<u64>,
    resets_at: Option<u64>,
}

impl From<&RateLimits> for RateLimitSnapshot {
    fn from(limits: &RateLimits) -> Self {
        let window = |window: RateLimitWindow| Window {
            used_percent: window.used_percent,
            window_minutes: window.window_minutes,
            resets_at: window.resets_at,
        };
        Self {
            limit_id: limits
                .limit_id
                .clone()
                .unwrap_or_else(|| "codex".to_owned()),
            limit_name: limits.limit_name.clone(),
            primary: limits.primary.map(window),
            secondary: limits.secondary.map(window),
            credits: limits.credits.as_ref().map(|credits| CreditsSnapshot {
                has_credits: credits.has_credits,
                unlimited: credits.unlimited,
                balance: credits.balance.clone(),
            }),
            individual_limit: None,
            spend_control_reached: None,
            plan_type: limits.plan_type.clone(),
            rate_limit_reached_type: limits.reached.clone(),
        }
    }
}

/// The word for a reason.
pub(crate) fn abort_reason(reason: AbortReason) -> &'static str {
    match reason {
        AbortReason::Interrupted => "interrupted",
        AbortReason::Replaced => "replaced",
    }
}

/// Whole seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    since_1970(time).as_secs()
}

/// Milliseconds since 1970.
pub(crate) fn milliseconds(time: SystemTime) -> u64 {
    whole_ms(since_1970(time))
}

/// Whole milliseconds of a duration.
pub(crate) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn since_1970(time: SystemTime) -> Duration {
    // A clock before 1970 is broken; the record says so by itself.
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
