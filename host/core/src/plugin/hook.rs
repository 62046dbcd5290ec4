//! Hooks: who is asked about what is going to happen.

use async_trait::async_trait;
use serde_json::Value;

use super::PluginError;
use crate::ids::{CallId, PluginId, ThreadId, TurnId};

/// Whether a hook decides or watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookMode {
    /// It decides.
    Gate,
    /// It watches.
    Observer,
}

/// What to do when a hook fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// What it guards does not happen.
    Deny,
    /// Work goes on.
    Allow,
}

/// What a hook wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookSubscription {
    /// `PreToolUse`, `UserPromptSubmit`, …
    pub event: String,
    /// Which tools; see the contract for its forms.
    pub matcher: String,
    /// Whether it decides.
    pub mode: HookMode,
}

/// A tool call as hooks see it.
#[derive(Debug, Clone, PartialEq)]
pub struct HookToolUse {
    /// The model's id for the call.
    pub call_id: CallId,
    /// `Bash`, `apply_patch`, `mcp__<server>__<tool>` or the tool's own name.
    pub name: String,
    /// The input object.
    pub input: Value,
    /// After the call: the output as the model would see it.
    pub output: Option<String>,
    /// After the call: whether it succeeded.
    pub success: Option<bool>,
}

/// Something that happens, as hooks see it.
#[derive(Debug, Clone, PartialEq)]
pub struct HookEvent {
    /// Its name.
    pub name: &'static str,
    /// The thread.
    pub thread_id: ThreadId,
    /// The turn; none at session start.
    pub turn_id: Option<TurnId>,
    /// The working directory.
    pub cwd: String,
    /// The model in use.
    pub model: String,
    /// UserPromptSubmit: the prompt.
    pub prompt: Option<String>,
    /// Tool events: the call.
    pub tool: Option<HookToolUse>,
    /// The same in the form of the existing hooks' standard input.
    pub payload: Value,
}

/// What a hook answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookDecision {
    /// No opinion.
    None,
    /// No objection.
    Allow,
    /// A person should decide.
    Ask(String),
    /// It must not happen.
    Deny(String),
    /// Go on with this instead: a JSON object for tools, text for prompts.
    Rewrite(String),
}

/// A hook's whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookOutcome {
    /// What to do.
    pub decision: HookDecision,
    /// Text for the model.
    pub context: Option<String>,
    /// Text for the user.
    pub message: Option<String>,
}

/// A hook handler.
#[async_trait]
pub trait Hook: Send + Sync {
    /// The plugin behind it.
    fn plugin(&self) -> &PluginId;
    /// What it wants to see.
    fn subscriptions(&self) -> &[HookSubscription];
    /// What happens to a gate's event when the hook fails.
    fn on_failure(&self) -> OnFailure;
    /// Asks it about an event.
    async fn handle(&self, event: &HookEvent) -> Result<HookOutcome, PluginError>;
}
