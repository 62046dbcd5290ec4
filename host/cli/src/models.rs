//! What is known of models without asking anybody.
//!
//! Only what changes a request: the window, the default effort, whether the answer's length can be set, and how a
//! patch is taken. A model that is not here works, with cautious defaults and a warning.

/// What a request to a model may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ModelFacts {
    /// Tokens of context.
    pub(crate) context_window: u64,
    /// The effort sent where the user sets none.
    pub(crate) default_effort: Option<&'static str>,
    /// The summary sent where the user sets none.
    pub(crate) default_summary: Option<&'static str>,
    /// The verbosity sent where the user sets none; none where it cannot be set.
    pub(crate) default_verbosity: Option<&'static str>,
    /// Whether a patch is a freeform call; otherwise it is a function call.
    pub(crate) freeform_patch: bool,
    /// What a web search may return; none leaves it to the service.
    pub(crate) search_content: Option<&'static [&'static str]>,
    /// Whether anything is known at all.
    pub(crate) known: bool,
}

/// The model used where the user names none.
pub(crate) const DEFAULT_MODEL: &str = "gpt-5.5";

/// The share of a window that a conversation may fill, in percent: the rest is for the answer.
const USABLE_PERCENT: u64 = 95;

const TEXT_AND_IMAGE: &[&str] = &["text", "image"];

const fn known(context_window: u64, effort: &'static str, verbosity: &'static str) -> ModelFacts {
    ModelFacts {
        context_window,
        default_effort: Some(effort),
        default_summary: None,
        default_verbosity: Some(verbosity),
        freeform_patch: true,
        search_content: Some(TEXT_AND_IMAGE),
        known: true,
    }
}

const CATALOGUE: &[(&str, ModelFacts)] = &[
    ("gpt-6-astra", known(272_000, "low", "low")),
    ("gpt-6.1-sol", known(272_000, "low", "low")),
    ("gpt-6.1-terra", known(500_000, "low", "low")),
    ("gpt-6-sol", known(272_000, "medium", "low")),
    ("gpt-6-luna", known(272_000, "medium", "low")),
    ("gpt-5.6-sol", known(272_000, "low", "low")),
    ("gpt-5.6-terra", known(272_000, "medium", "low")),
    ("gpt-5.6-luna", known(272_000, "medium", "low")),
    ("gpt-5.5", known(272_000, "medium", "low")),
];

const UNKNOWN: ModelFacts = ModelFacts {
    context_window: 272_000,
    default_effort: None,
    default_summary: Some("auto"),
    default_verbosity: None,
    freeform_patch: false,
    search_content: None,
    known: false,
};

impl ModelFacts {
    /// What is known of a model.
    pub(crate) fn of(slug: &str) -> Self {
        CATALOGUE
            .iter()
            .find(|(name, _)| *name == slug)
            .map_or(UNKNOWN, |(_, facts)| *facts)
    }

    /// The part of a window that a conversation may fill.
    pub(crate) fn usable_window(window: u64) -> u64 {
        window.saturating_mul(USABLE_PERCENT) / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_model_gets_the_window_that_captured_threads_show() {
        let facts = ModelFacts::of("gpt-5.2-codex");
        assert!(!facts.known);
        assert_eq!(ModelFacts::usable_window(facts.context_window), 258_400);
    }
}
