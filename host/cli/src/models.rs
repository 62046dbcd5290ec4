//! What is known of the chosen model: the catalogue, and what the user's configuration says over it.

use dovetail_config::{Config, Place};
use dovetail_models::{Catalogue, MatchRule, Origin, Resolved};

use crate::config_cmd::place_text;
use crate::fatal::Fatal;

/// The model used where the user names none.
pub(crate) const DEFAULT_MODEL: &str = "gpt-5.5";

/// The same of the two services of Amazon Bedrock, which have other names for models.
const DEFAULT_BEDROCK_MODEL: &str = "openai.gpt-6.1-sol";
const DEFAULT_RUNTIME_MODEL: &str = "global.openai.gpt-6.1-sol";

/// A model's facts, with the user's settings named by their places.
pub(crate) type Model = Resolved<Place>;

/// The catalogue that holds: the built-in one, or the file that `model_catalog_json` names.
///
/// # Errors
/// That file cannot be read or is no catalogue.
pub(crate) fn catalogue(config: &Config) -> anyhow::Result<Catalogue> {
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

/// Everything that is known of a model.
///
/// # Errors
/// The catalogue cannot be used.
pub(crate) fn resolve(config: &Config, slug: &str) -> anyhow::Result<Model> {
    let overrides = config.model_overrides(slug);
    Ok(dovetail_models::resolve(
        &catalogue(config)?,
        slug,
        overrides,
    ))
}

/// The model that is used where a command names none.
pub(crate) fn chosen(config: &Config) -> &str {
    let usual = match config.model_provider.as_str() {
        "amazon-bedrock" => DEFAULT_BEDROCK_MODEL,
        "amazon-bedrock-runtime" => DEFAULT_RUNTIME_MODEL,
        _ => DEFAULT_MODEL,
    };
    config.model.as_deref().unwrap_or(usual)
}

/// What a person should know of a model before it is used.
pub(crate) fn warnings(config: &Config, model: &Model) -> Vec<String> {
    let mut warnings = Vec::new();
    if model.matched.is_none() && !config.describes_model(&model.slug) {
        warnings.push(format!(
            "Model metadata for `{}` not found. Defaulting to fallback metadata; this can degrade performance and cause issues.",
            model.slug
        ));
    }
    let window = model.info.context_window;
    if let (Some(max), Origin::User(place)) = (
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
pub(crate) fn origin_text(model: &Model, origin: &Origin<Place>) -> String {
    match (origin, &model.matched) {
        (Origin::Fallback, _) => "default".to_owned(),
        (Origin::Derived, _) => "follows from other fields".to_owned(),
        (Origin::Catalogue, Some((slug, MatchRule::Prefix | MatchRule::Namespaced))) => {
            format!("catalogue: {slug}")
        }
        (Origin::Catalogue, _) => "catalogue".to_owned(),
        (Origin::User(place), _) => place_text(place),
    }
}
