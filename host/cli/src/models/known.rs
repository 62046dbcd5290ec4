//! What is known of models in a session: a catalogue, what the provider's plugin offers, and on top what the user says.

use std::collections::BTreeSet;

use dovetail_config::{Config, Place};
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::ProviderModel;
use dovetail_models::{Catalogue, KeptList, List, ModelPatch, ReasoningLevel, Resolved, listed};

use crate::fatal::Fatal;

/// A model's facts, with what was said of it beside the catalogue named by who said it.
pub(crate) type Model = Resolved<Said>;

/// Who says something of a model beside the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// The plugin that serves the provider.
    Plugin(PluginId),
    /// The user, there.
    User(Place),
}

/// What is known of models.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    catalogue: Catalogue,
    offer: Option<Offer>,
}

/// The models that a plugin offers.
#[derive(Debug, Clone)]
struct Offer {
    plugin: PluginId,
    models: Vec<ProviderModel>,
}

impl Known {
    /// What is known without asking anybody: the built-in catalogue, or the file that `model_catalog_json` names.
    ///
    /// # Errors
    /// That file cannot be read or is no catalogue.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            catalogue: catalogue(config)?,
            offer: None,
        })
    }

    /// Adds a server's list; what it does not say of a model that it has, nobody says.
    pub(crate) fn add_list(&mut self, list: &KeptList) {
        self.catalogue
            .replace_with(listed::read(list.models()).catalogue);
    }

    /// Adds what a plugin offers. It says little of a model; the rest is the catalogue's.
    pub(crate) fn add_offer(&mut self, plugin: &PluginId, models: Vec<ProviderModel>) {
        if !models.is_empty() {
            let plugin = plugin.clone();
            self.offer = Some(Offer { plugin, models });
        }
    }

    /// Everything that is known of a model.
    pub(crate) fn resolve(&self, config: &Config, slug: &str) -> Model {
        let offered = self.offered(slug);
        let offered = offered.map(|(plugin, facts)| (facts, Said::Plugin(plugin)));
        let said = config.model_overrides(slug).into_iter();
        let said = said.map(|(facts, place)| (facts, Said::User(place)));
        dovetail_models::resolve(&self.catalogue, slug, offered.into_iter().chain(said))
    }

    /// Whether anything is known of a model.
    pub(crate) fn knows(&self, config: &Config, slug: &str) -> bool {
        self.catalogue.find(slug).is_some()
            || self.offered(slug).is_some()
            || config.describes_model(slug)
    }

    /// The plugin that offers a model.
    pub(crate) fn offered_by(&self, slug: &str) -> Option<&PluginId> {
        let offer = self.offer.as_ref()?;
        let mut models = offer.models.iter();
        models
            .any(|model| model.slug == slug)
            .then_some(&offer.plugin)
    }

    /// The names to choose from: what the plugin offers where it says so, else the catalogue; what the user describes; and
    /// the one that is chosen. With `all`, the catalogue too where there is an offer.
    pub(crate) fn slugs(&self, config: &Config, chosen: &str, all: bool) -> Vec<String> {
        let offered = self.offer.iter().flat_map(|offer| &offer.models);
        let of_catalogue = self.catalogue.entries().iter();
        let of_catalogue = of_catalogue.filter(|entry| {
            // Whoever asked a server asked for its models too.
            all || self.offer.is_none() || entry.list == List::Online
        });
        let mut seen = BTreeSet::new();
        offered
            .map(|model| model.slug.clone())
            .chain(of_catalogue.map(|entry| entry.slug.clone()))
            .chain(config.described_models())
            .chain([chosen.to_owned()])
            .filter(|slug| seen.insert(slug.clone()))
            .collect()
    }

    fn offered(&self, slug: &str) -> Option<(PluginId, ModelPatch)> {
        let offer = self.offer.as_ref()?;
        let model = offer.models.iter().find(|model| model.slug == slug)?;
        Some((offer.plugin.clone(), facts(model)))
    }
}

/// What a plugin says of a model.
fn facts(model: &ProviderModel) -> ModelPatch {
    let efforts = || {
        let level = |effort: &String| ReasoningLevel {
            effort: effort.clone(),
            description: None,
        };
        model.reasoning_efforts.iter().map(level).collect()
    };
    ModelPatch {
        display_name: model.display_name.clone(),
        // A window without room for a word is no window.
        context_window: model.context_window.filter(|tokens| *tokens > 0),
        supported_reasoning_levels: (!model.reasoning_efforts.is_empty()).then(efforts),
        // Yes is what holds for models anyway, unless something else speaks against it.
        supports_parallel_tool_calls: (!model.parallel_tool_calls).then_some(false),
        ..ModelPatch::default()
    }
}

/// The catalogue that holds where nobody is asked.
fn catalogue(config: &Config) -> anyhow::Result<Catalogue> {
    let Some(path) = &config.model_catalog else {
        return Ok(Catalogue::bundled());
    };
    let shown = path.display();
    let unusable = |problem: String| {
        Fatal::new(format!(
            "cannot use the model catalogue `{shown}`: {problem}"
        ))
        .hint("`model_catalog_json` names it; leave that out to use the built-in catalogue")
    };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    Ok(Catalogue::parse(&text).map_err(|error| unusable(error.to_string()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(slug: &str, parallel_tool_calls: bool) -> ProviderModel {
        ProviderModel {
            slug: slug.to_owned(),
            display_name: Some("A".to_owned()),
            context_window: Some(0),
            reasoning_efforts: vec!["low".to_owned()],
            parallel_tool_calls,
        }
    }

    #[test]
    fn a_plugin_says_what_it_knows_and_no_more() {
        let plain = facts(&model("m", true));
        assert_eq!(
            (plain.context_window, plain.supports_parallel_tool_calls),
            (None, None)
        );
        assert_eq!(plain.display_name.as_deref(), Some("A"));
        let efforts = plain.supported_reasoning_levels.expect("efforts");
        assert_eq!(efforts[0].effort, "low");
        let one_by_one = facts(&model("m", false));
        assert_eq!(one_by_one.supports_parallel_tool_calls, Some(false));
    }
}
