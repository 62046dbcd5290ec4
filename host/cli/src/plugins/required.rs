//! Plugins without which there is no session.

use std::collections::BTreeMap;

use dovetail_core::ids::PluginId;
use dovetail_runtime::catalogue::Catalogue;
use dovetail_runtime::lock::Scope;
use dovetail_runtime::plugin::Plugin;
use dovetail_runtime::plugin_settings::PluginSettings;

use super::sentence;
use crate::fatal::Fatal;

/// The required plugins, each with the reason why it would not be there.
pub(super) struct Required(BTreeMap<PluginId, Missing>);

struct Missing {
    why: String,
    hint: Option<String>,
}

impl Required {
    /// Looks at what was found.
    ///
    /// # Errors
    /// One of them is hidden by a plugin of somebody else.
    pub(super) fn of(settings: &PluginSettings, catalogue: &Catalogue) -> Result<Self, Fatal> {
        let mut required = BTreeMap::new();
        for id in &settings.required {
            let hidden = catalogue
                .shadowed
                .iter()
                .find(|shadowed| shadowed.id == *id && shadowed.hidden == Scope::System);
            if let Some(hidden) = hidden {
                return Err(Fatal::untrusted(format!(
                    "plugin `{id}` is required, and the {} plugin of that name stands in its place",
                    hidden.by.name()
                ))
                .hint(format!("remove that one: dovetail plugin remove {id}")));
            }
            required.insert(id.clone(), missing(catalogue, id));
        }
        Ok(Self(required))
    }

    /// Notes that one could not be loaded.
    pub(super) fn failed(&mut self, id: &PluginId, why: &str, hint: Option<String>) {
        if let Some(missing) = self.0.get_mut(id) {
            missing.why = why.to_owned();
            missing.hint = hint;
        }
    }

    /// Whether a plugin is one of them.
    pub(super) fn has(&self, id: &PluginId) -> bool {
        self.0.contains_key(id)
    }

    /// Fails unless all of them were loaded.
    ///
    /// # Errors
    /// Names those that were not, and why.
    pub(super) fn check(self, loaded: &[Plugin]) -> Result<(), Fatal> {
        let mut absent = self
            .0
            .into_iter()
            .filter(|(id, _)| loaded.iter().all(|plugin| plugin.id() != id));
        let Some((id, first)) = absent.next() else {
            return Ok(());
        };
        let line = |(id, missing): (PluginId, Missing)| {
            (
                format!(
                    "plugin `{id}` is required and does not run: {}",
                    missing.why
                ),
                missing.hint,
            )
        };
        let lines: Vec<_> = std::iter::once((id, first))
            .chain(absent)
            .map(line)
            .collect();
        let sentences: Vec<String> = lines.iter().map(|(words, _)| words.clone()).collect();
        let fatal = Fatal::untrusted(sentences.join("\n"));
        Err(lines
            .into_iter()
            .filter_map(|(_, hint)| hint)
            .fold(fatal, Fatal::hint))
    }
}

fn missing(catalogue: &Catalogue, id: &PluginId) -> Missing {
    let problem = catalogue
        .problems
        .iter()
        .find(|problem| problem.name == id.as_str());
    if let Some(refusal) = catalogue.get(id).and_then(|entry| entry.state.refusal(id)) {
        return Missing {
            why: refusal.sentence,
            hint: Some(refusal.hint),
        };
    }
    match (problem, catalogue.get(id)) {
        (Some(problem), None) => Missing {
            why: sentence(&problem.error),
            hint: problem.error.hint(),
        },
        (_, Some(_)) => Missing {
            why: "the configuration turned it off".to_owned(),
            hint: Some(format!(
                "take out `enabled = false` of `[dovetail.plugins.{id}]`"
            )),
        },
        (None, None) => Missing {
            why: "it is not installed".to_owned(),
            hint: Some("dovetail plugin list".to_owned()),
        },
    }
}
