//! What a request says, and who it says it is from.

use std::sync::Arc;

use super::state::Turn;
use super::thread::Thread;
use crate::model::ModelRequest;
use crate::snapshot::{RequestKind, RequestSnapshot};

impl Thread {
    pub(super) fn request(&self, turn: &Turn) -> ModelRequest {
        let options = &turn.options;
        ModelRequest {
            model: options.settings.model.clone(),
            instructions: Arc::clone(&self.instructions),
            input: self.history.for_request(),
            tools: self.ports.tools.specs(),
            web_search: options.web_search.clone(),
            parallel_tool_calls: options.parallel_tool_calls,
            reasoning: options.reasoning.clone(),
            text: options.text.clone(),
            service_tier: options.service_tier.clone(),
            prompt_cache_key: self.info.session_id.to_string(),
            metadata: Arc::new(self.snapshot(turn)),
            turn_state: turn.turn_state.clone(),
        }
    }

    pub(super) fn snapshot(&self, turn: &Turn) -> RequestSnapshot {
        let options = &turn.options;
        RequestSnapshot {
            installation_id: options.installation_id.clone(),
            session_id: self.info.session_id,
            thread_id: self.info.thread_id,
            turn_id: turn.id,
            window_number: self.window_number,
            context_window_id: self.info.window_id,
            request_kind: RequestKind::Turn,
            history_initialization: self.initialization,
            thread_source: self.info.thread_source.clone(),
            turn_trigger: options.turn_trigger.clone(),
            sandbox: if options.settings.sandbox_mode == "danger-full-access" {
                "none"
            } else {
                "seccomp"
            },
            sandbox_mode: options.settings.sandbox_mode.clone(),
            workspaces: options.workspaces.clone(),
            turn_started_at: turn.started,
            model: options.settings.model.clone(),
            reasoning_effort: options
                .reasoning
                .as_ref()
                .and_then(|reasoning| reasoning.effort.clone()),
            extras: options.extras.clone(),
        }
    }
}
