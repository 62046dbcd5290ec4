//! The calls of a response: what they run with, and their outputs.

use std::sync::Arc;

use super::state::Turn;
use super::thread::Thread;
use crate::event::{RecordError, TurnEvent};
use crate::model::ModelRequest;
use crate::tool::CallContext;
use crate::toolbox::{RunningCalls, output_item};

impl Thread {
    pub(super) fn running_calls(&self, turn: &Turn, request: &ModelRequest) -> RunningCalls {
        let context = CallContext {
            thread_id: self.info.thread_id,
            session_id: self.info.session_id,
            turn_id: turn.id,
            cwd: turn.options.settings.cwd.clone(),
            cancel: turn.cancel.clone(),
            turn_metadata: Arc::new(request.metadata.mcp_metadata(&turn.options.client_version)),
            events: turn.sender.clone(),
        };
        RunningCalls::new(
            self.ports.tools.clone(),
            Arc::clone(&self.ports.hooks),
            self.hook_scope(turn),
            context,
        )
    }

    /// Waits for all calls and records their outputs in call order, in one batch.
    pub(super) async fn finish_calls(
        &mut self,
        turn: &mut Turn,
        mut calls: RunningCalls,
    ) -> Result<(), RecordError> {
        let mut finished = Vec::new();
        loop {
            tokio::select! {
                biased;
                event = turn.events.recv() => {
                    if let Some(event) = event {
                        self.pass_on(turn, event)?;
                    }
                }
                next = calls.next() => match next {
                    Some(call) => finished.push(call),
                    None => break,
                },
            }
        }
        self.pass_all_on(turn)?;
        let mut notes = Vec::new();
        for call in finished {
            if call.given_up
                && let Some(activity) = turn.activities.give_up(&call.call.call_id)
            {
                self.emit(TurnEvent::ToolFinished {
                    call_id: call.call.call_id.clone(),
                    activity,
                    duration: call.duration,
                })?;
            }
            let tool = call.call.namespace.as_ref().map_or_else(
                || call.call.name.clone(),
                |namespace| format!("{namespace}__{}", call.call.name),
            );
            let output = call.outcome.output.text();
            self.record(turn, output_item(&call.call, call.outcome.output))?;
            self.emit(TurnEvent::ToolCalled {
                call_id: call.call.call_id,
                tool,
                success: call.outcome.success,
                duration: call.duration,
                output,
            })?;
            notes.extend(call.context);
        }
        self.record_notes(turn, notes)
    }
}
