//! What is known of the models of a session: the catalogue, the provider's own list, what its plugin offers, and what the
//! user's configuration says over it.

mod kept_file;
mod known;
mod listening;
mod online;
mod owner;
pub(crate) mod source;

use std::sync::Arc;

use dovetail_config::Config;
use dovetail_core::model::ModelClient;
use dovetail_core::plugin::ProviderModel;
use dovetail_models::{List, MatchRule, Matched, Origin};
use serde_json::{Value, json};

pub(crate) use self::known::{Known, Model, Said};
use self::listening::Listening;
pub(crate) use self::online::{Online, Strategy, look};
pub(crate) use self::source::{Serving, Source, catalog_url};
use crate::config_cmd::{place_json, place_text};

/// The model used where the user names none.
pub(crate) const DEFAULT_MODEL: &str = "gpt-5.5";

/// The same of the two services of Amazon Bedrock, which have other names for models.
const DEFAULT_BEDROCK_MODEL: &str = "openai.gpt-6.1-sol";
const DEFAULT_RUNTIME_MODEL: &str = "global.openai.gpt-6.1-sol";

/// The model that is used where a command names none.
pub(crate) fn chosen(config: &Config) -> &str {
    let usual = match config.model_provider.as_str() {
        "amazon-bedrock" => DEFAULT_BEDROCK_MODEL,
        "amazon-bedrock-runtime" => DEFAULT_RUNTIME_MODEL,
        _ => DEFAULT_MODEL,
    };
    config.model.as_deref().unwrap_or(usual)
}

/// Everything that is known of a model without asking anybody.
///
/// # Errors
/// The catalogue cannot be used.
pub(crate) fn resolve(config: &Config, slug: &str) -> anyhow::Result<Model> {
    Ok(Known::of(config)?.resolve(config, slug))
}

/// What a plugin says of its models. It is asked at each start, and what it cannot say is done without.
pub(crate) async fn offer(serving: &Serving) -> Vec<ProviderModel> {
    match serving.provider.list_models(&serving.scope).await {
        Ok(models) => models,
        Err(error) => {
            tracing::warn!(plugin = %serving.provider.plugin(), %error, "the models that a plugin offers cannot be had");
            Vec::new()
        }
    }
}

/// A client that tells whoever keeps the list what answers say of it; the client itself where nobody does.
pub(crate) fn listen<C: ModelClient + 'static>(
    client: C,
    online: Option<&Online>,
) -> Arc<dyn ModelClient> {
    match online {
        Some(online) => Arc::new(Listening::new(client, online)),
        None => Arc::new(client),
    }
}

/// What a person should know of a model before it is used.
pub(crate) fn warnings(config: &Config, known: &Known, model: &Model) -> Vec<String> {
    let mut warnings = Vec::new();
    if !known.knows(config, &model.slug) {
        warnings.push(format!(
            "Model metadata for `{}` not found. Defaulting to fallback metadata; this can degrade performance and cause issues.",
            model.slug
        ));
    }
    let window = model.info.context_window;
    if let (Some(max), Origin::Said(Said::User(place))) = (
        model.info.max_context_window,
        model.origin("context_window"),
    ) && window > max
    {
        warnings.push(format!(
            "a context window of {window} tokens, set in {place}, is more than the {max} that `{}` has",
            model.slug
        ));
    }
    warnings
}

/// Where a fact comes from, for people.
pub(crate) fn origin_text(config: &Config, model: &Model, origin: &Origin<Said>) -> String {
    match origin {
        Origin::Fallback => "default".to_owned(),
        Origin::Derived => "follows from other fields".to_owned(),
        Origin::Catalogue => model
            .matched
            .as_ref()
            .map_or_else(String::new, |matched| entry_text(config, matched)),
        Origin::Said(Said::Plugin(plugin)) => format!("plugin {plugin}"),
        Origin::Said(Said::User(place)) => place_text(place),
    }
}

/// The entry that a model was found under, for people: the list, and its name there where that is another.
pub(crate) fn entry_text(config: &Config, matched: &Matched) -> String {
    let list = list_text(config, matched.list);
    match matched.rule {
        MatchRule::Exact => list,
        MatchRule::Prefix | MatchRule::Namespaced => format!("{list}: {}", matched.slug),
    }
}

fn list_text(config: &Config, list: List) -> String {
    match list {
        List::Bundled | List::File => "catalogue".to_owned(),
        List::Online => format!("online list of {}", config.model_provider),
    }
}

/// Where a fact comes from, for programs.
pub(crate) fn origin_json(config: &Config, model: &Model, origin: &Origin<Said>) -> Value {
    match origin {
        Origin::Fallback => json!({ "layer": "default" }),
        Origin::Derived => json!({ "layer": "derived" }),
        Origin::Catalogue => model
            .matched
            .as_ref()
            .map_or(Value::Null, |matched| list_json(config, matched.list)),
        Origin::Said(Said::Plugin(plugin)) => {
            json!({ "layer": "plugin", "plugin": plugin.as_str() })
        }
        Origin::Said(Said::User(place)) => place_json(place),
    }
}

/// A list, for programs.
pub(crate) fn list_json(config: &Config, list: List) -> Value {
    match (list, &config.model_catalog) {
        (List::Bundled, _) | (List::File, None) => json!({ "layer": "catalogue" }),
        (List::File, Some(path)) => json!({ "layer": "catalogue", "file": path }),
        (List::Online, _) => json!({ "layer": "online", "provider": config.model_provider }),
    }
}
