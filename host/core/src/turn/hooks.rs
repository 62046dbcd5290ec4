//! Where a turn asks hooks about something that is no tool call.

use std::sync::Arc;

use serde_json::{Value, json};

use super::state::{Halt, Turn};
use super::thread::{SessionStart, Thread};
use crate::event::{RecordError, TurnEvent};
use crate::item::{ContentItem, ResponseItem};
use crate::snapshot::HistoryInitialization;
use crate::verdict::{HookScope, Ruling};

/// How often Stop hooks may send the model on before they count as never content.
const MAX_STOP_CONTINUATIONS: u32 = 8;

impl Thread {
    pub(super) async fn session_start(&mut self, turn: &mut Turn) -> Result<Vec<String>, Halt> {
        let source = match std::mem::replace(&mut self.session, SessionStart::Told) {
            SessionStart::Told => return Ok(Vec::new()),
            SessionStart::Compacted => "compact",
            SessionStart::Due => match self.initialization {
                HistoryInitialization::New => "startup",
                HistoryInitialization::ColdResume => "resume",
                HistoryInitialization::ColdFork | HistoryInitialization::WarmFork => "fork",
            },
        };
        match self
            .rule(turn, "SessionStart", "", json!({ "source": source }))
            .await?
        {
            Ruling::Proceed { context, .. } => Ok(context),
            Ruling::Stop(reason) => Err(Halt::Failed(format!(
                "a hook stopped the session: {reason}"
            ))),
        }
    }

    /// Asks hooks about something that is no tool call; an interrupt ends the wait.
    pub(super) async fn rule(
        &mut self,
        turn: &mut Turn,
        event: &'static str,
        text: &str,
        extra: Value,
    ) -> Result<Ruling, Halt> {
        let hooks = Arc::clone(&self.ports.hooks);
        let mut scope = self.hook_scope(turn);
        if event == "SessionStart" {
            scope.turn_id = None;
        }
        let sender = turn.sender.clone();
        let mut report = |run| sender.hook_ran(run);
        let ruling = tokio::select! {
            biased;
            () = turn.cancel.cancelled() => return Err(Halt::Interrupted),
            ruling = hooks.rule(event, text, extra, &scope, &mut report) => ruling,
        };
        self.pass_all_on(turn)?;
        Ok(ruling)
    }

    /// Asks Stop hooks, but not for a thread that works for another one; a reason means that the model has to go on.
    pub(super) async fn stop_hooks(
        &mut self,
        turn: &mut Turn,
        last_message: Option<&str>,
        continuations: u32,
    ) -> Result<Option<String>, Halt> {
        if self.info.subagent.is_some() {
            // It is the work of its parent that is to be gone on with.
            return Ok(None);
        }
        let extra = json!({ "stop_hook_active": continuations > 0, "last_assistant_message": last_message });
        match self.rule(turn, "Stop", "", extra).await? {
            Ruling::Proceed { .. } => Ok(None),
            Ruling::Stop(_) if continuations >= MAX_STOP_CONTINUATIONS => {
                self.emit(TurnEvent::Warning {
                    message: format!(
                        "a Stop hook sent the model on {continuations} times; it is not asked again"
                    ),
                })?;
                Ok(None)
            }
            Ruling::Stop(reason) => Ok(Some(reason)),
        }
    }

    pub(super) fn record_notes(
        &mut self,
        turn: &Turn,
        notes: Vec<String>,
    ) -> Result<(), RecordError> {
        if notes.is_empty() {
            return Ok(());
        }
        let kinds = vec!["hooks.additional_context"; notes.len()];
        let content = notes
            .into_iter()
            .map(|text| ContentItem::InputText { text })
            .collect();
        self.record(turn, ResponseItem::message("developer", content, &kinds))?;
        Ok(())
    }

    pub(super) fn hook_scope(&self, turn: &Turn) -> HookScope {
        let settings = &turn.options.settings;
        HookScope {
            thread_id: self.info.thread_id,
            session_id: self.info.session_id,
            turn_id: Some(turn.id),
            cwd: settings.cwd.display().to_string(),
            model: settings.model.clone(),
            transcript_path: turn.options.transcript_path.clone(),
            permission_mode: if settings.approval_policy == "never" {
                "bypassPermissions"
            } else {
                "default"
            }
            .to_owned(),
        }
    }
}
