//! The facts about one model, and partial ones to lay over them.
//!
//! The list of fields stands here once: whole facts, partial facts and the names that people see come from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::{
    PatchToolType, ReasoningLevel, ReasoningSummary, ServiceTierInfo, TruncationPolicy, Upgrade,
    Verbosity, WebSearchToolType,
};

macro_rules! model_fields {
    (
        always { $($(#[$doc:meta])* $name:ident: $type:ty = $fallback:expr,)+ }
        sometimes { $($(#[$some_doc:meta])* $some:ident: $some_type:ty,)+ }
    ) => {
        /// Everything that is known of a model. What nobody says is what holds for a model that nothing is known of.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        pub struct ModelInfo {
            $($(#[$doc])* pub $name: $type,)+
            $($(#[$some_doc])* pub $some: Option<$some_type>,)+
        }

        /// Some facts about a model: an entry of a catalogue, or what a person says.
        #[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub struct ModelPatch {
            $($(#[$doc])* #[serde(default)] pub $name: Option<$type>,)+
            $($(#[$some_doc])* #[serde(default)] pub $some: Option<$some_type>,)+
        }

        impl ModelInfo {
            /// The names of all fields.
            pub const FIELDS: &'static [&'static str] =
                &[$(stringify!($name),)+ $(stringify!($some),)+];
        }

        impl Default for ModelInfo {
            fn default() -> Self {
                Self {
                    $($name: $fallback,)+
                    $($some: None,)+
                }
            }
        }

        impl ModelPatch {
            /// Sets what the patch has, and names each field that it sets.
            pub(crate) fn lay_over(self, info: &mut ModelInfo, mut set: impl FnMut(&'static str)) {
                $(if let Some(value) = self.$name {
                    info.$name = value;
                    set(stringify!($name));
                })+
                $(if self.$some.is_some() {
                    info.$some = self.$some;
                    set(stringify!($some));
                })+
            }
        }
    };
}

model_fields! {
    always {
        /// Tokens of context.
        context_window: u64 = 272_000,
        /// The share of the window that a conversation may fill, in percent; the rest is for the answer.
        effective_context_window_percent: u64 = 95,
        /// The efforts that the model is known to understand. Others are passed on all the same.
        supported_reasoning_levels: Vec<ReasoningLevel> = Vec::new(),
        /// Whether a summary of the reasoning may be asked for.
        supports_reasoning_summaries: bool = true,
        /// The summary asked for where the user sets none.
        default_reasoning_summary: ReasoningSummary = ReasoningSummary::Auto,
        /// Whether the length of answers can be set.
        support_verbosity: bool = false,
        /// Whether the model may ask for several calls at once.
        supports_parallel_tool_calls: bool = true,
        /// What the hosted web search may return.
        web_search_tool_type: WebSearchToolType = WebSearchToolType::Text,
        /// How much of a tool's output the model gets to see.
        truncation_policy: TruncationPolicy = TruncationPolicy::tokens(10_000),
        /// What the model takes: `text`, `image`, ….
        input_modalities: Vec<String> = vec!["text".to_owned(), "image".to_owned()],
        /// Whether images may be sent at their own size.
        supports_image_detail_original: bool = false,
        /// Whether the model can search for tools that are not on offer yet.
        supports_search_tool: bool = false,
        /// Whether the model takes its tools as the first input item, and other parts of a request in a smaller form.
        use_responses_lite: bool = false,
        /// Queues of the service that the model can be asked through.
        service_tiers: Vec<ServiceTierInfo> = Vec::new(),
        /// Names of speeds besides the standard one.
        additional_speed_tiers: Vec<String> = Vec::new(),
        /// Whether the effort may change within a response.
        supports_reasoning_effort_updates: bool = false,
        /// Whether calls of the script interpreter are reviewed; told to the service in every request.
        node_repl_auto_review_required: bool = false,
        /// Whether there is no script interpreter; told to the service in every request.
        node_repl_disabled: bool = false,
        /// Tools that are on trial with this model.
        experimental_supported_tools: Vec<String> = Vec::new(),
        /// The kind of shell tool.
        shell_type: String = "unified_exec".to_owned(),
        /// Whether people are shown it: `list` or `hide`.
        visibility: String = "list".to_owned(),
        /// Whether an API key suffices to use it.
        supported_in_api: bool = true,
        /// Where it stands in lists; lower comes first.
        priority: i64 = 99,
    }
    sometimes {
        /// What people call it.
        display_name: String,
        /// The most tokens of context that the service allows.
        max_context_window: u64,
        /// Tokens of context after which a conversation is compacted; nine tenths of the window where nobody says.
        auto_compact_token_limit: u64,
        /// The effort asked for where the user sets none.
        default_reasoning_level: String,
        /// The verbosity asked for where the user sets none.
        default_verbosity: Verbosity,
        /// How the model takes patches.
        apply_patch_tool_type: PatchToolType,
        /// The queue that the service suggests.
        default_service_tier: String,
        /// How tools are called.
        tool_mode: String,
        /// Which tools for sub-agents it knows.
        multi_agent_version: String,
        /// The effort of sub-agents.
        multi_agent_reasoning_effort: String,
        /// Says which models understand each other's compactions.
        comp_hash: String,
        /// What it is made for, if anything.
        model_specialty: String,
        /// The model that takes its place.
        upgrade: Upgrade,
    }
}

impl ModelInfo {
    /// The part of the window that a conversation may fill.
    pub fn usable_window(&self) -> u64 {
        self.context_window
            .saturating_mul(self.effective_context_window_percent.min(100))
            / 100
    }

    /// Whether the model takes images.
    pub fn takes_images(&self) -> bool {
        self.input_modalities.iter().any(|kind| kind == "image")
    }
}
