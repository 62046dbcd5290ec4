//! What a request says, and who it says it is from.

use std::sync::Arc;

use uuid::Uuid;

use super::TurnOptions;
use super::state::Turn;
use super::thread::Thread;
use crate::history::SharedItems;
use crate::lineage::Lineage;
use crate::model::{ModelRequest, TextOptions};
use crate::snapshot::{
    Compaction, CompactionImplementation, Identity, RequestKind, RequestSnapshot, TurnIdentity,
    sandbox_tag,
};

impl Thread {
    pub(super) fn request(&self, turn: &Turn) -> ModelRequest {
        let input = self.history.for_request(turn.options.image_input);
        let snapshot = self.snapshot(turn);
        self.request_of(turn, input, snapshot)
    }

    /// What every request begins with: the same without conversation, and of no turn.
    pub(super) fn beginning(&self, turn: &Turn) -> ModelRequest {
        let snapshot = RequestSnapshot {
            kind: RequestKind::Prewarm,
            turn: None,
            extras: turn.options.configured_extras.clone(),
            ..self.snapshot(turn)
        };
        self.request_of(turn, Arc::from([]), snapshot)
    }

    fn request_of(
        &self,
        turn: &Turn,
        input: SharedItems,
        snapshot: RequestSnapshot,
    ) -> ModelRequest {
        let options = &turn.options;
        ModelRequest {
            model: options.settings.model.clone(),
            instructions: Arc::clone(&self.instructions),
            input,
            tools: self.ports.tools.specs(),
            tools_item_id: options.model.lite.then(|| self.tools_item_id()),
            web_search: options.web_search.clone(),
            parallel_tool_calls: options.parallel_tool_calls,
            reasoning: options.reasoning.clone(),
            text: options.text.clone(),
            service_tier: options.settings.service_tier.clone(),
            prompt_cache_key: self.info.session_id.to_string(),
            metadata: Arc::new(snapshot),
            turn_state: turn.turn_state.clone(),
        }
    }

    /// A request to make the conversation shorter: `input` says how. The service that does it itself gets all that a turn
    /// has; a model that sums up has nothing to call.
    pub(super) fn compaction_request(
        &self,
        turn: &Turn,
        compaction: Compaction,
        input: SharedItems,
    ) -> ModelRequest {
        let usual = self.request(turn);
        let metadata = RequestSnapshot {
            kind: RequestKind::Compaction(compaction),
            ..self.snapshot(turn)
        };
        let text = usual.text.map(|text| TextOptions {
            output_schema: None,
            ..text
        });
        let request = ModelRequest {
            input,
            metadata: Arc::new(metadata),
            text: text.filter(|text| *text != TextOptions::default()),
            ..usual
        };
        match compaction.implementation {
            CompactionImplementation::ResponsesCompactionV2 => request,
            CompactionImplementation::Responses | CompactionImplementation::ResponsesCompact => {
                ModelRequest {
                    tools: Arc::new([]),
                    web_search: None,
                    parallel_tool_calls: false,
                    turn_state: None,
                    ..request
                }
            }
        }
    }

    /// The same for all requests of a thread, so that caches recognise the item.
    fn tools_item_id(&self) -> String {
        let id = Uuid::new_v5(&self.info.thread_id.uuid(), b"additional_tools");
        format!("at_{}", id.hyphenated())
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
            node_repl: options.model.node_repl,
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
            window_number: self.window.number,
            context_window_id: self.window.id,
            lineage: Lineage::of(&self.info),
            thread_source: self.info.thread_source.clone(),
        }
    }
}
