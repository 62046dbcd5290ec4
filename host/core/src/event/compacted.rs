//! What is to be kept of a compaction.

use std::sync::Arc;
use std::time::Duration;

use super::{RateLimits, TurnSettings};
use crate::ids::{TurnId, WindowId};
use crate::item::ResponseItem;
use crate::usage::TokenUsage;

/// A conversation that was made shorter, and how it goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Compacted {
    /// The turn.
    pub turn_id: TurnId,
    /// What clients know it by, see [`super::TurnEvent::CompactionStarted`].
    pub item_id: String,
    /// The summary with what stands before it; empty where the service keeps it to itself.
    pub message: String,
    /// The whole conversation from here on.
    pub history: Vec<Arc<ResponseItem>>,
    /// How many compactions there were, this one included.
    pub window_number: u64,
    /// The window that begins.
    pub window_id: WindowId,
    /// The window that ends.
    pub previous_window_id: WindowId,
    /// The window that the conversation began in.
    pub first_window_id: WindowId,
    /// The provider's id for the response it came in.
    pub response_id: String,
    /// The settings that the conversation goes on with, which its context tells of.
    pub settings: TurnSettings,
    /// How many tokens the conversation had.
    pub tokens_before: u64,
    /// How many it has now, roughly.
    pub tokens_after: u64,
    /// What the thread used so far.
    pub thread_total: TokenUsage,
    /// Rate limits, as last reported.
    pub rate_limits: RateLimits,
    /// How long it took.
    pub duration: Duration,
}
