//! What a request says, and who it says it is from.

use std::sync::Arc;

use super::TurnOptions;
use super::state::Turn;
use super::thread::Thread;
use crate::lineage::Lineage;
use crate::model::ModelRequest;
use crate::snapshot::{Identity, RequestKind, RequestSnapshot, TurnIdentity, sandbox_tag};

impl Thread {
    pub(super) fn request(&self, turn: &Turn) -> ModelRequest {
        let options = &turn.options;
        ModelRequest {
            model: options.settings.model.clone(),
            instructions: Arc::clone(&self.instructions),
            input: self.history.for_request(options.image_input),
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

    fn snapshot(&self, turn: &Turn) -> RequestSnapshot {
        let options = &turn.options;
        RequestSnapshot {
            identity: self.identity(options),
            kind: RequestKind::Turn,
            turn: Some(TurnIdentity {
                id: turn.id,
                parent: options.parent_turn,
                trigger: options.turn_trigger.clone(),
                started_at: turn.started,
            }),
            history_initialization: self.initialization,
            sandbox: sandbox_tag(&options.settings.sandbox_mode),
            sandbox_mode: options.settings.sandbox_mode.clone(),
            workspaces: options.workspaces.facts(),
            analytics_enabled: false,
            model: options.settings.model.clone(),
            reasoning_effort: options
                .reasoning
                .as_ref()
                .and_then(|reasoning| reasoning.effort.clone()),
            extras: options.configured_extras.overlaid(&options.extras),
        }
    }

    fn identity(&self, options: &TurnOptions) -> Identity {
        Identity {
            installation_id: options.installation_id.clone(),
            session_id: self.info.session_id,
            thread_id: self.info.thread_id,
            window_number: self.window_number,
            context_window_id: self.info.window_id,
            lineage: Lineage::of(&self.info),
            thread_source: self.info.thread_source.clone(),
        }
    }
}
