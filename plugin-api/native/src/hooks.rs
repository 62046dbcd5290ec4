//! Hooks: the interface `hooks` of the contract.

use serde::{Deserialize, Serialize};

use crate::{Error, Plugin};

/// Whether a hook can stop something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It decides. If it fails, what it guards does not happen.
    Gate,
    /// It only watches.
    Observer,
}

/// What a hook wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Subscription {
    /// `PreToolUse`, `UserPromptSubmit`, …
    pub event: String,
    /// For tool events, which tools; empty for all.
    #[serde(default)]
    pub matcher: String,
    /// Whether it decides.
    pub mode: Mode,
}

impl Subscription {
    /// Decides about an event, for the tools that match.
    pub fn gate(event: &str, matcher: &str) -> Self {
        Self {
            event: event.to_owned(),
            matcher: matcher.to_owned(),
            mode: Mode::Gate,
        }
    }
}

/// A tool call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ToolUse {
    /// The model's id for the call.
    pub call_id: String,
    /// `Bash`, `apply_patch`, `mcp__<server>__<tool>` or the tool's own name.
    pub name: String,
    /// The input as a JSON object.
    pub input_json: String,
    /// PostToolUse only: the output as the model would see it.
    #[serde(default)]
    pub output: Option<String>,
    /// PostToolUse only: whether the call succeeded.
    #[serde(default)]
    pub success: Option<bool>,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// Its name, as subscribed.
    pub name: String,
    /// The thread.
    pub thread_id: String,
    /// The turn; empty at session start.
    pub turn_id: String,
    /// The working directory.
    pub cwd: String,
    /// The model in use.
    pub model: String,
    /// UserPromptSubmit: the prompt.
    #[serde(default)]
    pub prompt: Option<String>,
    /// Tool events: the call.
    #[serde(default)]
    pub tool: Option<ToolUse>,
    /// All of it and more, in the form of the existing hooks' standard input.
    pub payload_json: String,
}

/// What to do about an event.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// No opinion.
    #[default]
    None,
    /// No objection.
    Allow,
    /// A person should decide.
    Ask(String),
    /// It must not happen.
    Deny(String),
    /// Go on with this instead.
    Rewrite(String),
}

/// A hook's answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// What to do.
    pub decision: Decision,
    /// Text for the model.
    #[serde(default)]
    pub context: Option<String>,
    /// Text for the user.
    #[serde(default)]
    pub message: Option<String>,
}

impl From<Decision> for Outcome {
    fn from(decision: Decision) -> Self {
        Self {
            decision,
            ..Self::default()
        }
    }
}

/// The parameters of `handle`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    /// What happens.
    pub event: Event,
}

/// Sees what the agent is about to do, and may stop or change it.
pub trait Hooks: Plugin {
    /// What it wants to see. Asked once, after `open`.
    fn subscriptions(&self) -> Vec<Subscription>;

    /// Answers an event.
    ///
    /// # Errors
    /// The hook failed; a gate stays closed.
    fn handle(&self, event: &Event) -> Result<Outcome, Error>;
}
