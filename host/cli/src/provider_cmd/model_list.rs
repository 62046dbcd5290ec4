//! Which models a service lists, and which of them to try.

use std::sync::Arc;
use std::time::Duration;

use dovetail_config::Config;
use dovetail_core::model::{FailureStage, ModelError};
use dovetail_core::plugin::{Purpose, Scope};
use dovetail_core::secret::Egress;
use dovetail_responses::{Listing, ListingOptions, list_models};
use dovetail_runtime::lock;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::known::{self, Speaks};
use crate::identity::{self, COMPATIBLE_VERSION};
use crate::models::source;
use crate::plugins::Asked;
use crate::terminal_text::one_line;

/// What services that speak Messages want to be told before they answer anything.
const MESSAGES_VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// Parts of the names of models that do not talk.
const NO_TALKERS: &[&str] = &[
    "embed",
    "whisper",
    "tts",
    "rerank",
    "moderation",
    "dall-e",
    "image",
    "audio",
    "guard",
    "ocr",
    "clip",
    "transcribe",
    "realtime",
    "diffusion",
    "speech",
    "bge-",
    "vision-encoder",
    "sora",
];

/// Models that are named where there are more.
const MOST_NAMED: usize = 5;
/// Nobody needs the list so much: existing clients wait 5 s for it.
const PATIENCE: Duration = Duration::from_secs(15);
/// A server's words beside a step that did not need them.
const FEW_WORDS: usize = 120;

/// What a service lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listed {
    /// These.
    Models(Vec<String>),
    /// It has no list, for this reason.
    Nothing(String),
}

impl Listed {
    pub(super) fn models(&self) -> &[String] {
        match self {
            Self::Models(models) => models,
            Self::Nothing(_) => &[],
        }
    }
}

/// Asks for the list of the chosen provider: the plugin first, which may know it, then the service.
///
/// # Errors
/// The service cannot be reached or asked at all.
pub(super) async fn ask(
    config: &Config,
    asked: &Asked,
    speaks: Speaks,
    cancel: &CancellationToken,
) -> Result<Listed, ModelError> {
    let scope = Scope {
        purpose: Purpose::Models,
        ..known::scope(config)
    };
    let own = asked.provider.list_models(&scope).await;
    // A plugin without a list may still have a service with one.
    let own = own.unwrap_or_default();
    if !own.is_empty() {
        return Ok(Listed::Models(
            own.into_iter().map(|model| model.slug).collect(),
        ));
    }
    let table = config.model_providers.get(&scope.provider_id);
    let url = table
        .and_then(Value::as_object)
        .and_then(source::catalog_url)
        .filter(|_| config.has_feature(source::DISCOVERY));
    if url.is_none() && asked.plugin.scope() != &lock::Scope::Builtin {
        return Ok(Listed::Nothing("its plugin lists none".to_owned()));
    }
    let options = ListingOptions {
        originator: identity::originator(None),
        user_agent: identity::user_agent(&identity::process_originator()),
        // As a session asks. Others may refuse what they do not know.
        client_version: (url.is_some() || scope.provider_id == "openai")
            .then(|| COMPATIBLE_VERSION.to_owned()),
        headers: match speaks {
            Speaks::Messages => {
                vec![(MESSAGES_VERSION.0.to_owned(), MESSAGES_VERSION.1.to_owned())]
            }
            Speaks::Responses | Speaks::Chat | Speaks::Own => Vec::new(),
        },
        url: url.map(str::to_owned),
        known: None,
        timeout: PATIENCE,
        credentials: asked.whom().credentials.clone(),
    };
    let listing = list_models(
        Arc::clone(&asked.provider),
        asked.endpoint.clone(),
        Arc::clone(asked.services.egress()) as Arc<dyn Egress>,
        &scope,
        &options,
    );
    let listing = tokio::select! {
        biased;
        () = cancel.cancelled() => {
            return Err(ModelError::new(FailureStage::Stream, "interrupted".to_owned()));
        }
        listing = listing => listing,
    };
    match listing {
        Ok(Listing::List { body, .. }) => Ok(serde_json::from_slice(&body)
            .ok() // What is no JSON is no list either.
            .and_then(|list| names(&list))
            .map_or_else(
                || Listed::Nothing("what it answers is no list of models".to_owned()),
                Listed::Models,
            )),
        Ok(Listing::Unchanged) => Ok(Listed::Nothing("it says that nothing changed".to_owned())),
        Err(error) => match error.stage {
            FailureStage::Status(_)
            | FailureStage::Exchange
            | FailureStage::Event
            | FailureStage::Stream => Ok(Listed::Nothing(one_line(&error.message, FEW_WORDS))),
            FailureStage::Auth | FailureStage::Connect | FailureStage::Upgrade => Err(error),
        },
    }
}

/// The names in a list, in any of the forms that services have.
fn names(list: &Value) -> Option<Vec<String>> {
    let items = match list {
        Value::Array(items) => items,
        // Some servers without a model say null.
        Value::Object(fields) if fields.get("data").is_some_and(Value::is_null) => {
            return Some(Vec::new());
        }
        other => other["data"].as_array().or(other["models"].as_array())?,
    };
    let name = |item: &Value| {
        let keys = ["slug", "id", "model", "name"].into_iter();
        let mut texts = keys.filter_map(|key| item[key].as_str());
        texts.next().or(item.as_str()).map(str::to_owned)
    };
    Some(items.iter().filter_map(name).collect())
}

/// Models that may be tried in the place of one.
pub(super) fn others(models: &[String], tried: &str) -> Vec<String> {
    let others = models
        .iter()
        .filter(|model| *model != tried && talks(model));
    others.cloned().collect()
}

fn talks(model: &str) -> bool {
    let lower = model.to_ascii_lowercase();
    !NO_TALKERS.iter().any(|part| lower.contains(part))
}

/// Which model to try: one that is preferred and listed, else the first that looks as if it talks.
pub(super) fn pick<'m>(models: &'m [String], preferred: &[&str]) -> Option<&'m str> {
    let listed = |name: &&&str| models.iter().any(|model| model == **name);
    if let Some(name) = preferred.iter().find(listed) {
        return models
            .iter()
            .find(|model| model == name)
            .map(String::as_str);
    }
    let found = models.iter().find(|model| talks(model));
    let found = found.or(models.first());
    found.map(String::as_str)
}

/// Some of them, for people.
pub(super) fn some(models: &[String]) -> String {
    let named: Vec<&str> = models.iter().take(MOST_NAMED).map(String::as_str).collect();
    let more = models.len().saturating_sub(MOST_NAMED);
    match more {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_have_many_forms() {
        for list in [
            json!({ "object": "list", "data": [{ "id": "a" }, { "id": "b" }] }),
            json!({ "models": [{ "slug": "a", "display_name": "A" }, { "slug": "b" }] }),
            json!({ "data": [{ "type": "model", "id": "a" }, { "id": "b" }], "has_more": false }),
            json!([{ "id": "a" }, { "name": "b" }]),
            json!(["a", "b"]),
        ] {
            assert_eq!(
                names(&list),
                Some(vec!["a".to_owned(), "b".to_owned()]),
                "{list}"
            );
        }
        assert_eq!(names(&json!({ "data": null })), Some(vec![]));
        for other in [json!({ "error": "x" }), json!("a"), json!(1)] {
            assert_eq!(names(&other), None, "{other}");
        }
    }

    #[test]
    fn a_model_that_talks_is_tried() {
        let models = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        let some = models(&["text-embedding-3", "whisper-1", "qwen3", "gpt-5.5"]);
        assert_eq!(pick(&some, &["nobody", "gpt-5.5"]), Some("gpt-5.5"));
        assert_eq!(pick(&some, &["nobody"]), Some("qwen3"));
        assert_eq!(pick(&models(&["bge-m3"]), &[]), Some("bge-m3"));
        assert_eq!(pick(&[], &["gpt-5.5"]), None);
    }

    #[test]
    fn long_lists_are_cut() {
        let models: Vec<String> = (1..8).map(|n| n.to_string()).collect();
        assert_eq!(some(&models), "1, 2, 3, 4, 5 and 2 more");
        assert_eq!(some(&models[..2]), "1, 2");
    }
}
