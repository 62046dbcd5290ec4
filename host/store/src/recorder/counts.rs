//! Lines that count: what requests used, how full the context is, and how a conversation goes on that was made shorter.

use dovetail_core::event::{Compacted, RateLimits, RecordError, RequestUse};
use dovetail_core::ids::ThreadId;
use dovetail_core::usage::TokenUsage;

use super::RolloutRecorder;
use crate::payload::{Compaction, EventMsg, TokenInfo, TokenUsageRecord};
use crate::turn_item::TurnItem;

impl RolloutRecorder {
    pub(super) fn request_completed(
        &mut self,
        record: &TokenUsageRecord<'_>,
        made_for: RequestUse,
        limits: &RateLimits,
    ) -> Result<(), RecordError> {
        self.release_count()?;
        self.line("token_usage_record", record)?;
        if made_for == RequestUse::Compaction {
            // What the conversation has is counted once it is shorter.
            return Ok(());
        }
        let Some(turn) = &mut self.turn else {
            return Ok(());
        };
        let info = TokenInfo {
            total_token_usage: record.thread_token_usage,
            last_token_usage: record.usage,
            last_usage_includes_reasoning: std::mem::take(&mut turn.reasoned),
            model_context_window: turn.context_window,
        };
        turn.held_count = Some((info, limits.into()));
        if turn.open_calls == 0 {
            self.release_count()
        } else {
            Ok(())
        }
    }

    /// Writes the new beginning of a conversation, and what tells of it as it now is.
    pub(super) fn compacted(
        &mut self,
        thread_id: ThreadId,
        compacted: &Compacted,
    ) -> Result<(), RecordError> {
        self.release_count()?;
        self.line("compacted", &Compaction::new(compacted))?;
        // Whoever reads from here on finds the settings here too.
        self.settings = None;
        self.settings(thread_id, compacted.turn_id, &compacted.settings)?;
        self.event(&EventMsg::TokenCount {
            info: TokenInfo {
                total_token_usage: compacted.thread_total,
                last_token_usage: TokenUsage {
                    total_tokens: compacted.tokens_after,
                    ..TokenUsage::default()
                },
                last_usage_includes_reasoning: true,
                model_context_window: self.turn.as_ref().and_then(|turn| turn.context_window),
            },
            rate_limits: (&compacted.rate_limits).into(),
        })?;
        let id = &compacted.item_id;
        let item = TurnItem::ContextCompaction { id };
        self.completed(thread_id, compacted.turn_id, item, compacted.duration)
    }

    /// Counts the window as full, so that whoever reads the thread makes room before it asks again.
    pub(super) fn context_full(
        &mut self,
        total: TokenUsage,
        limits: &RateLimits,
    ) -> Result<(), RecordError> {
        self.release_count()?;
        let Some(window) = self.turn.as_ref().and_then(|turn| turn.context_window) else {
            return Ok(());
        };
        let info = TokenInfo {
            total_token_usage: TokenUsage {
                total_tokens: total.total_tokens.max(window),
                ..total
            },
            last_token_usage: TokenUsage {
                total_tokens: window,
                ..TokenUsage::default()
            },
            last_usage_includes_reasoning: false,
            model_context_window: Some(window),
        };
        let rate_limits = limits.into();
        self.event(&EventMsg::TokenCount { info, rate_limits })
    }

    pub(super) fn release_count(&mut self) -> Result<(), RecordError> {
        let Some((info, rate_limits)) = self.turn.as_mut().and_then(|turn| turn.held_count.take())
        else {
            return Ok(());
        };
        self.event(&EventMsg::TokenCount { info, rate_limits })
    }
}
