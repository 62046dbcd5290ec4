//! The turn loop: prompt in, answer out, tools in between.
//!
//! It reads like the protocol. Everything that waits is under the turn's cancellation, everything that happens is
//! recorded before anybody else sees it, and a failure ends the turn, never the thread.

mod activities;
mod calls;
mod closing;
mod compact;
mod drive;
mod handle;
mod hooks;
mod input;
mod prompt;
mod request;
mod review;
mod sampling;
mod server;
mod state;
mod thread;

use std::sync::Arc;

use crate::compaction::CompactionOptions;
use crate::context::ContextFacts;
use crate::event::{Observer, RecordError, Recorder, TurnSettings};
use crate::lineage::ParentTurn;
use crate::model::{ModelClient, ModelTraits, Reasoning, TextOptions, WebSearch};
use crate::retry::RetryLimits;
use crate::snapshot::{Extras, Workspaces};
use crate::toolbox::Toolbox;
use crate::verdict::HookChain;

pub use handle::{NotRunning, Start, Steer, ThreadHandle, TurnTicket};
pub use prompt::{Prompt, PromptImage};
pub use review::Review;
pub use server::ServerFacts;
pub use thread::{Resumed, Thread};

/// What a turn needs from outside.
pub struct Ports {
    /// The model.
    pub model: Arc<dyn ModelClient>,
    /// The tools.
    pub tools: Toolbox,
    /// The hooks.
    pub hooks: Arc<HookChain>,
    /// Keeps the thread.
    pub recorder: Box<dyn Recorder>,
    /// Watch the thread.
    pub observers: Vec<Box<dyn Observer>>,
}

/// How a turn is to run.
#[derive(Debug, Clone)]
pub struct TurnOptions {
    /// For the record and the model's context.
    pub settings: TurnSettings,
    /// The surroundings.
    pub facts: ContextFacts,
    /// Reasoning options; none leaves the key out.
    pub reasoning: Option<Reasoning>,
    /// Text options.
    pub text: Option<TextOptions>,
    /// What requests to the model differ in.
    pub model: ModelTraits,
    /// The hosted web search, where offered.
    pub web_search: Option<WebSearch>,
    /// Whether the model may ask for several calls at once.
    pub parallel_tool_calls: bool,
    /// Whether the model can look at images; where not, it is told that one was there.
    pub image_input: bool,
    /// Tokens of context that may be used.
    pub context_window: Option<u64>,
    /// When and how the conversation is made shorter.
    pub compaction: CompactionOptions,
    /// Stable per home directory.
    pub installation_id: String,
    /// What made the turn, such as `exec`.
    pub turn_trigger: Option<String>,
    /// The turn of another thread that it works for.
    pub parent_turn: Option<ParentTurn>,
    /// Git work trees, by root.
    pub workspaces: Workspaces,
    /// Extras for the metadata blob that hold for every turn.
    pub configured_extras: Extras,
    /// Extras of the client for this turn, which win over those. A steer can replace them.
    pub extras: Extras,
    /// How often to try.
    pub retries: RetryLimits,
    /// The client version that MCP calls carry.
    pub client_version: String,
    /// The rollout file, where one is kept.
    pub transcript_path: Option<String>,
}

/// How a turn ended.
#[derive(Debug)]
pub enum TurnOutcome {
    /// Well; with the answer, if there was one.
    Completed(Option<String>),
    /// With an error for the user.
    Failed(String),
    /// A person stopped it.
    Interrupted,
    /// The thread could not be written any more.
    Unrecorded(RecordError),
}
