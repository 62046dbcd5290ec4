//! One API, asked at one address.

use dovetail_core::model::{FailureStage, ModelError};

use super::fix;
use super::known::Speaks;

/// What came of asking one API at one address.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) base_url: String,
    pub(super) speaks: Speaks,
    pub(super) came: Came,
    /// In the server's words, as far as there are any.
    pub(super) words: String,
    pub(super) fix: Vec<String>,
    /// The one that was asked for.
    pub(super) model: String,
}

/// The kinds of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// It answered.
    Works,
    /// There is no such path.
    Absent,
    /// It wants another credential.
    Refused,
    /// It is there, and has no such model.
    NoModel,
    /// It is there, and cannot be used.
    Fails,
}

impl Came {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Absent => "absent",
            Self::Refused => "refused",
            Self::NoModel => "no-model",
            Self::Fails => "fails",
        }
    }

    /// What a failure of asking for this model comes to.
    pub(super) fn of(error: &ModelError, model: &str) -> Self {
        if fix::names_the_model(error, model) {
            return Self::NoModel;
        }
        match error.stage {
            FailureStage::Status(401 | 403) => Self::Refused,
            FailureStage::Status(404 | 405 | 410 | 501) => Self::Absent,
            FailureStage::Stream if error.message.contains("instead of an event stream") => {
                Self::Absent
            }
            _ => Self::Fails,
        }
    }
}

impl Attempt {
    /// What was asked, for people.
    pub(super) fn title(&self) -> String {
        format!("{} at {}", self.speaks.name(), self.base_url)
    }
}
