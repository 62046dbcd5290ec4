//! What whoever plays the client says: one JSON object per line.

use dovetail_core::approval::ApprovalDecision;
use dovetail_core::ids::{CallId, TurnId};
use dovetail_core::snapshot::Extras;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Something to do.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Order {
    /// Says something. While a turn runs, it is said to that one.
    Turn {
        text: String,
        #[serde(default)]
        client_metadata: Map<String, Value>,
    },
    /// Says something to the turn that runs.
    Steer {
        turn_id: Option<TurnId>,
        text: String,
        client_metadata: Option<Map<String, Value>>,
    },
    /// Interrupts the turn that runs.
    Interrupt { turn_id: Option<TurnId> },
    /// Makes the conversation shorter.
    Compact {},
    /// Goes on in a fork of the conversation.
    Fork { thread_source: Option<String> },
    /// Answers whether a command may leave the sandbox.
    Answer { call_id: CallId, decision: Decision },
}

/// An answer.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Decision {
    Accept,
    Decline,
    Cancel,
}

impl From<Decision> for ApprovalDecision {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Accept => Self::Accept,
            Decision::Decline => Self::Decline,
            Decision::Cancel => Self::Cancel,
        }
    }
}

/// What of a client's metadata may go into requests.
pub(super) fn extras(metadata: Map<String, Value>) -> Extras {
    Extras::of_client(metadata)
}
