//! The turn that is being recorded, and the lines around it.

use std::time::{Duration, SystemTime};

use dovetail_core::event::TurnEvent;
use dovetail_core::ids::TurnId;

use super::review::Review;
use crate::payload::{self, EventMsg, RateLimitSnapshot, TokenInfo, TurnAttribution};

/// What must be remembered between two events of a turn.
pub(super) struct Turn {
    pub(super) id: TurnId,
    /// The turn of the root thread at the beginning of it all.
    pub(super) root: TurnId,
    /// What another thread does in it, where one reviews.
    pub(super) review: Option<Review>,
    pub(super) context_window: Option<u64>,
    /// Calls whose outputs are still to come.
    pub(super) open_calls: usize,
    /// Whether the answer that is coming in has reasoning in it.
    pub(super) reasoned: bool,
    /// Counts that follow the outputs of the answer they belong to.
    pub(super) held_count: Option<(TokenInfo, RateLimitSnapshot)>,
}

impl Turn {
    pub(super) fn new(id: TurnId, root: TurnId) -> Self {
        Self {
            id,
            root,
            review: None,
            context_window: None,
            open_calls: 0,
            reasoned: false,
            held_count: None,
        }
    }
}

/// The line that announces a turn, and its ids.
pub(super) fn task_started(event: &TurnEvent) -> Option<(EventMsg<'_>, (TurnId, TurnId))> {
    let TurnEvent::TurnStarted {
        turn_id,
        at,
        context_window,
        trigger,
        parent,
    } = event
    else {
        return None;
    };
    let root = parent.map_or(*turn_id, |parent| parent.root_turn_id);
    let started = EventMsg::TaskStarted {
        turn_attribution: TurnAttribution {
            turn_id: *turn_id,
            turn_trigger: trigger.as_deref(),
            parent_turn_id: parent.map(|parent| parent.turn_id),
            initiating_agent_path: None,
            root_turn_id: root,
        },
        turn_id: *turn_id,
        root_turn_id: root,
        started_at: payload::seconds(*at),
        model_context_window: *context_window,
        collaboration_mode_kind: "default",
    };
    Some((started, (*turn_id, root)))
}

pub(super) fn task_complete(
    (turn_id, root_turn_id): (TurnId, TurnId),
    last_agent_message: Option<&str>,
    started: SystemTime,
    duration: Duration,
    time_to_first_token: Option<Duration>,
) -> EventMsg<'_> {
    EventMsg::TaskComplete {
        root_turn_id,
        turn_id,
        last_agent_message,
        started_at: payload::seconds(started),
        completed_at: payload::seconds(started + duration),
        duration_ms: payload::whole_ms(duration),
        time_to_first_token_ms: time_to_first_token.map(payload::whole_ms),
    }
}
