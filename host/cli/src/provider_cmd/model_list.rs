//! Which models a service lists, and which of them to try.

use std::time::Duration;

use dovetail_core::model::{FailureStage, ModelError};
use dovetail_core::plugin::{Purpose, Scope};
use dovetail_responses::ResponsesClient;
use dovetail_runtime::lock;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::known::Speaks;
use crate::identity::COMPATIBLE_VERSION;
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

/// Asks for the list: the plugin first, which may know it, then the service.
///
/// # Errors
/// The service cannot be reached or asked at all.
pub(super) async fn ask(
    asked: &Asked,
    client: &ResponsesClient,
    speaks: Speaks,
    scope: &Scope,
    cancel: &CancellationToken,
) -> Result<Listed, ModelError> {
    let scope = Scope {
        purpose: Purpose::Models,
        ..scope.clone()
    };
    let own = asked.provider.list_models(&scope).await;
    // A plugin without a list may still have a service with one.
    let own = own.unwrap_or_default();
    if !own.is_empty() {
        return Ok(Listed::Models(
            own.into_iter().map(|model| model.slug).collect(),
        ));
    }
    if asked.plugin.scope() != &lock::Scope::Builtin {
        return Ok(Listed::Nothing("its plugin lists none".to_owned()));
    }
    let path = match scope.provider_id.as_str() {
        "openai" => format!("models?client_version={COMPATIBLE_VERSION}"),
        _ => "models".to_owned(),
    };
    let headers: &[(&str, &str)] = match speaks {
        Speaks::Messages => &[MESSAGES_VERSION],
        Speaks::Responses | Speaks::Chat | Speaks::Own => &[],
    };
    let listing = tokio::time::timeout(PATIENCE, client.get(&path, headers, cancel)).await;
    let Ok(listed) = listing else {
        let why = format!("no answer within {} s", PATIENCE.as_secs());
        return Ok(Listed::Nothing(why));
    };
    match listed {
        Ok(list) => Ok(names(&list).map_or_else(
            || Listed::Nothing("what it answers is no list of models".to_owned()),
            Listed::Models,
        )),
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

/// Which model to try: one that is preferred and listed, else the first that looks as if it talks.
pub(super) fn pick<'m>(models: &'m [String], preferred: &[&str]) -> Option<&'m str> {
    let listed = |name: &&&str| models.iter().any(|model| model == **name);
    if let Some(name) = preferred.iter().find(listed) {
        return models
            .iter()
            .find(|model| model == name)
            .map(String::as_str);
    }
    let talks = |model: &&String| {
        let lower = model.to_ascii_lowercase();
        !NO_TALKERS.iter().any(|part| lower.contains(part))
    };
    let found = models.iter().find(talks).or(models.first());
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
