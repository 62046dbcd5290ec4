//! What a model is asked to see whether it can be used.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use dovetail_config::{Config, SandboxMode};
use dovetail_core::ids::{ThreadId, TurnId, WindowId};
use dovetail_core::item::{ContentItem, ResponseItem};
use dovetail_core::lineage::Lineage;
use dovetail_core::model::ModelRequest;
use dovetail_core::snapshot::{
    Extras, HistoryInitialization, Identity, RequestKind, RequestSnapshot, TurnIdentity,
    sandbox_tag,
};
use dovetail_core::tool::{ToolInput, ToolSpec};
use serde_json::json;
use uuid::Uuid;

use crate::models::Model;
use crate::{identity, model_options};
/// What the model is told before anything else.
const INSTRUCTIONS: &str =
    "A program checks whether this service can be used. Do exactly what you are asked, briefly.";
/// What it is to say.
pub(super) const SAY: &str = "Reply with the single word `ready`, and nothing else.";
/// What it is to call.
pub(super) const CALL: &str = "Call the tool `dovetail_check` with `word` set to `oak`. When you have its result, reply with that \
                    result and nothing else.";
/// The tool.
pub(super) const TOOL: &str = "dovetail_check";
/// What the tool answers.
pub(super) const RESULT: &str = "acorn";
/// A message.
pub(super) fn text(role: &str, text: &str) -> ResponseItem {
    let content = ContentItem::InputText {
        text: text.to_owned(),
    };
    ResponseItem::message(role, vec![content], &["user.text"])
}

/// The tool that is offered.
pub(super) fn tool() -> ToolSpec {
    ToolSpec {
        name: TOOL.to_owned(),
        namespace: None,
        description: "Answers a word with another one.".to_owned(),
        input: ToolInput::Function {
            parameters: json!({
                "type": "object",
                "properties": { "word": { "type": "string", "description": "The word." } },
                "required": ["word"],
                "additionalProperties": false,
            }),
        },
        parallel_safe: true,
    }
}

/// A request without a conversation, as a turn of this configuration makes it.
pub(super) fn usual(config: &Config, model: &Model) -> ModelRequest {
    let sandbox = config.sandbox_mode.unwrap_or(SandboxMode::ReadOnly);
    let asked = model_options::decide(config, model, sandbox, None);
    let reasoning = asked.reasoning(model);
    let traits = model_options::traits(model);
    let thread = ThreadId::generate();
    let metadata = RequestSnapshot {
        identity: Identity {
            installation_id: installation_id(config),
            session_id: thread,
            thread_id: thread,
            window_number: 0,
            context_window_id: WindowId::generate(),
            lineage: Lineage::default(),
            thread_source: None,
        },
        kind: RequestKind::Turn,
        turn: Some(TurnIdentity {
            id: TurnId::generate(),
            parent: None,
            trigger: Some("exec".to_owned()),
            started_at: SystemTime::now(),
        }),
        history_initialization: HistoryInitialization::New,
        sandbox: sandbox_tag(sandbox.as_str()),
        sandbox_mode: sandbox.as_str().to_owned(),
        workspaces: BTreeMap::new(),
        node_repl: traits.node_repl,
        analytics_enabled: false,
        model: model.slug.clone(),
        reasoning_effort: reasoning
            .as_ref()
            .and_then(|reasoning| reasoning.effort.clone()),
        extras: Extras::default(),
    };
    ModelRequest {
        model: model.slug.clone(),
        instructions: Arc::new(text("developer", INSTRUCTIONS)),
        input: Arc::from([]),
        tools: Arc::from([]),
        tools_item_id: traits
            .lite
            .then(|| format!("at_{}", Uuid::new_v4().hyphenated())),
        web_search: None,
        parallel_tool_calls: model.info.supports_parallel_tool_calls,
        reasoning,
        text: None,
        service_tier: asked.service_tier.value.clone(),
        prompt_cache_key: thread.to_string(),
        metadata: Arc::new(metadata),
        turn_state: None,
    }
}

/// That of this home, if it has one: a look leaves no trace.
fn installation_id(config: &Config) -> String {
    let known = config.home.join(identity::INSTALLATION_ID).exists();
    let id = known.then(|| identity::installation_id(&config.home).ok());
    id.flatten()
        .unwrap_or_else(|| Uuid::new_v4().hyphenated().to_string())
}
