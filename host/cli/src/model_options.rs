//! What requests ask of the model: effort, summary, verbosity, queue, web search. Each option is decided once, with
//! the reason for its value.

use dovetail_config::{Config, ReasoningSummary, SandboxMode, ServiceTier, WebSearchMode};
use dovetail_core::model::{ModelTraits, NodeRepl, Reasoning, WebSearch};
use dovetail_models::WebSearchToolType;

use crate::config_cmd::place_text;
use crate::models::{Model, origin_text};

/// What a model that takes its tools as input is told of its past reasoning.
const LITE_REASONING: &str = "all_turns";

/// A value and who decided it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The value; none where the key is left out.
    pub(crate) value: Option<String>,
    /// Who decided it.
    pub(crate) from: String,
}

/// The options of a turn's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelOptions {
    /// Reasoning effort.
    pub(crate) effort: Chosen,
    /// Reasoning summary.
    pub(crate) summary: Chosen,
    /// Verbosity.
    pub(crate) verbosity: Chosen,
    /// The queue of the service.
    pub(crate) service_tier: Chosen,
    /// The hosted web search, as a word of the configuration.
    pub(crate) web_search: Chosen,
    /// What has no effect although somebody asked for it.
    pub(crate) warnings: Vec<String>,
}

/// Decides the options. `thread_tier` is what a conversation that is taken up asked for before.
pub(crate) fn decide(
    config: &Config,
    model: &Model,
    sandbox: SandboxMode,
    thread_tier: Option<&str>,
) -> ModelOptions {
    let decider = Decider { config, model };
    let mut warnings = Vec::new();
    ModelOptions {
        effort: decider.effort(),
        summary: decider.summary(&mut warnings),
        verbosity: decider.verbosity(&mut warnings),
        service_tier: decider.service_tier(thread_tier, &mut warnings),
        web_search: decider.web_search(sandbox, &mut warnings),
        warnings,
    }
}

fn nowhere(from: String) -> Chosen {
    Chosen { value: None, from }
}

struct Decider<'d> {
    config: &'d Config,
    model: &'d Model,
}

impl Decider<'_> {
    fn effort(&self) -> Chosen {
        match &self.config.model_reasoning_effort {
            Some(effort) => self.set(Some(effort), "model_reasoning_effort"),
            None => self.fact(
                self.model.info.default_reasoning_level.as_deref(),
                "default_reasoning_level",
            ),
        }
    }

    fn summary(&self, warnings: &mut Vec<String>) -> Chosen {
        let asked = self.config.model_reasoning_summary;
        if !self.model.info.supports_reasoning_summaries {
            if asked.is_some_and(|asked| asked != ReasoningSummary::None) {
                warnings.push(self.without_effect(
                    "model_reasoning_summary",
                    "does not support reasoning summaries",
                ));
            }
            return self.fact(None, "supports_reasoning_summaries");
        }
        let said = |summary: ReasoningSummary| {
            (summary != ReasoningSummary::None).then_some(summary.as_str())
        };
        match asked {
            Some(summary) => self.set(said(summary), "model_reasoning_summary"),
            None => self.fact(
                said(self.model.info.default_reasoning_summary),
                "default_reasoning_summary",
            ),
        }
    }

    fn verbosity(&self, warnings: &mut Vec<String>) -> Chosen {
        let asked = self.config.model_verbosity;
        if !self.model.info.support_verbosity {
            if asked.is_some() {
                warnings.push(self.without_effect("model_verbosity", "does not support verbosity"));
            }
            return self.fact(None, "support_verbosity");
        }
        match asked {
            Some(verbosity) => self.set(Some(verbosity.as_str()), "model_verbosity"),
            None => self.fact(
                self.model
                    .info
                    .default_verbosity
                    .map(|level| level.as_str()),
                "default_verbosity",
            ),
        }
    }

    fn service_tier(&self, thread_tier: Option<&str>, warnings: &mut Vec<String>) -> Chosen {
        let (tier, from) = match (self.config.service_tier.as_deref(), thread_tier) {
            (Some(tier), _) => (tier, self.place("service_tier")),
            (None, Some(tier)) => (tier, "thread".to_owned()),
            (None, None) => return nowhere("default".to_owned()),
        };
        let known = ServiceTier::parse(tier);
        let Some(wire) = known.map_or(Some(tier), |known| known.wire()) else {
            return nowhere(from);
        };
        let offered = || {
            let mut tiers = self.model.info.service_tiers.iter();
            tiers.any(|offered| offered.id == wire)
        };
        // Every model can wait. A tier of another client's thread is passed on as it is.
        let foreign = known.is_none() && self.config.service_tier.is_none();
        if known != Some(ServiceTier::Flex) && !foreign && !offered() {
            warnings.push(format!(
                "the service tier `{tier}` ({from}) has no effect: the model `{}` does not have it",
                self.model.slug
            ));
            return nowhere(from);
        }
        if Some(wire) == ServiceTier::Fast.wire() && !self.config.has_feature("fast_mode") {
            warnings.push(format!(
                "the service tier `fast` ({from}) has no effect: the feature `fast_mode` is off"
            ));
            return nowhere("feature fast_mode".to_owned());
        }
        Chosen {
            value: Some(wire.to_owned()),
            from,
        }
    }

    fn web_search(&self, sandbox: SandboxMode, warnings: &mut Vec<String>) -> Chosen {
        let feature = |name| self.config.has_feature(name);
        let (mode, from) = match self.config.web_search {
            Some(mode) => (mode, self.place("web_search")),
            None if feature("web_search_cached") => (
                WebSearchMode::Cached,
                "feature web_search_cached".to_owned(),
            ),
            None if feature("web_search_request") => {
                (WebSearchMode::Live, "feature web_search_request".to_owned())
            }
            None if sandbox == SandboxMode::DangerFullAccess => {
                (WebSearchMode::Live, format!("sandbox {sandbox}"))
            }
            None => (WebSearchMode::Cached, "default".to_owned()),
        };
        if self.model.info.use_responses_lite {
            if self.config.web_search.is_some() && mode != WebSearchMode::Disabled {
                warnings.push(
                    self.without_effect("web_search", "is not offered the hosted web search"),
                );
            }
            return self.fact(None, "use_responses_lite");
        }
        Chosen {
            value: (mode != WebSearchMode::Disabled).then(|| mode.as_str().to_owned()),
            from,
        }
    }

    fn set(&self, value: Option<&str>, key: &str) -> Chosen {
        Chosen {
            value: value.map(str::to_owned),
            from: self.place(key),
        }
    }

    fn fact(&self, value: Option<&str>, field: &str) -> Chosen {
        Chosen {
            value: value.map(str::to_owned),
            from: origin_text(self.config, self.model, self.model.origin(field)),
        }
    }

    fn place(&self, key: &str) -> String {
        let place = self.config.place(&[key]);
        place.map_or_else(|| "default".to_owned(), |place| place_text(&place))
    }

    fn without_effect(&self, key: &str, why: &str) -> String {
        format!(
            "`{key}` has no effect: the model `{}` {why}",
            self.model.slug
        )
    }
}

impl ModelOptions {
    /// `reasoning` of a request. A model that is asked for neither is left alone.
    pub(crate) fn reasoning(&self, model: &Model) -> Option<Reasoning> {
        let info = &model.info;
        let asked = info.supports_reasoning_summaries || self.effort.value.is_some();
        asked.then(|| Reasoning {
            effort: self.effort.value.clone(),
            summary: self.summary.value.clone(),
            context: info.use_responses_lite.then(|| LITE_REASONING.to_owned()),
        })
    }

    /// The hosted web search of a request.
    pub(crate) fn web_search(&self, model: &Model) -> Option<WebSearch> {
        let mode = WebSearchMode::parse(self.web_search.value.as_deref()?)?;
        Some(WebSearch {
            external_web_access: mode == WebSearchMode::Live,
            content_types: match model.info.web_search_tool_type {
                WebSearchToolType::Text => None,
                WebSearchToolType::TextAndImage => {
                    Some(vec!["text".to_owned(), "image".to_owned()])
                }
            },
        })
    }
}

/// What requests to a model differ in.
pub(crate) fn traits(model: &Model) -> ModelTraits {
    let info = &model.info;
    ModelTraits {
        lite: info.use_responses_lite,
        node_repl: NodeRepl {
            auto_review_required: info.node_repl_auto_review_required,
            disabled: info.node_repl_disabled,
        },
    }
}
