//! Facts laid over each other: what holds for any model, what the catalogue says, what a plugin or a person says.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::catalogue::{self, Catalogue, List, MatchRule};
use crate::info::{ModelInfo, ModelPatch};

/// Where a field's value comes from. `S` is how the caller names a plugin or a person's setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin<S> {
    /// Nobody says; it is what holds for a model that nothing is known of.
    Fallback,
    /// It follows from another field.
    Derived,
    /// The entry of the catalogue says so; [`Resolved::matched`] is which.
    Catalogue,
    /// A plugin or a person says so.
    Said(S),
}

/// The catalogue's entry for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// The entry's name.
    pub slug: String,
    /// How the model's name led to it.
    pub rule: MatchRule,
    /// The list that it is from.
    pub list: List,
}

/// A model with all its facts and where they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved<S> {
    /// Its name in requests.
    pub slug: String,
    /// The entry it was found under, and by which rule; none where nothing is known of it.
    pub matched: Option<Matched>,
    /// The facts.
    pub info: ModelInfo,
    origins: BTreeMap<&'static str, Origin<S>>,
}

/// A field as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Field<'r, S> {
    /// Its name.
    pub name: &'static str,
    /// Its value; null where there is none.
    pub value: Value,
    /// Where it comes from.
    pub origin: &'r Origin<S>,
}

/// Resolves a model's facts. Of the overrides, later ones win.
pub fn resolve<S>(
    catalogue: &Catalogue,
    slug: &str,
    overrides: impl IntoIterator<Item = (ModelPatch, S)>,
) -> Resolved<S>
where
    S: Clone,
{
    let mut info = ModelInfo::default();
    let mut origins: BTreeMap<&'static str, Origin<S>> = ModelInfo::FIELDS
        .iter()
        .map(|name| (*name, Origin::Fallback))
        .collect();
    let found = catalogue.find(slug);
    if let Some(found) = found {
        found.entry.facts.clone().lay_over(&mut info, |name| {
            origins.insert(name, Origin::Catalogue);
        });
        // The lite form is of the vendor's own service; clouds take the same models' tools where all others do.
        if info.use_responses_lite && catalogue::without_vendor(slug).is_some() {
            info.use_responses_lite = false;
            origins.insert("use_responses_lite", Origin::Derived);
        }
    }
    for (patch, place) in overrides {
        patch.lay_over(&mut info, |name| {
            origins.insert(name, Origin::Said(place.clone()));
        });
    }
    derive(&mut info, &mut origins);
    Resolved {
        slug: slug.to_owned(),
        matched: found.map(|found| Matched {
            slug: found.entry.slug.clone(),
            rule: found.rule,
            list: found.entry.list,
        }),
        info,
        origins,
    }
}

/// Fills in what follows from other fields, where nobody says it.
fn derive<S>(info: &mut ModelInfo, origins: &mut BTreeMap<&'static str, Origin<S>>) {
    let mut derived = |name: &'static str, apply: &mut dyn FnMut()| {
        if matches!(origins.get(name), Some(Origin::Fallback)) {
            apply();
            origins.insert(name, Origin::Derived);
        }
    };
    let (lite, window) = (info.use_responses_lite, info.context_window);
    derived("supports_parallel_tool_calls", &mut || {
        info.supports_parallel_tool_calls = !lite;
    });
    derived("auto_compact_token_limit", &mut || {
        info.auto_compact_token_limit = Some(nine_tenths(window));
    });
    // However much somebody wants, the conversation has to leave room for its own summary.
    info.auto_compact_token_limit = info
        .auto_compact_token_limit
        .map(|limit| limit.min(nine_tenths(window)));
}

fn nine_tenths(window: u64) -> u64 {
    window.saturating_mul(9) / 10
}

impl<S> Resolved<S> {
    /// All fields in their order.
    pub fn fields(&self) -> Vec<Field<'_, S>> {
        // Plain numbers, texts and lists always have a JSON form; an empty list of fields would show in a test.
        let values = serde_json::to_value(&self.info).unwrap_or_default();
        ModelInfo::FIELDS
            .iter()
            .map(|name| Field {
                name,
                value: values.get(name).cloned().unwrap_or_default(),
                origin: self.origin(name),
            })
            .collect()
    }

    /// Where a field's value comes from.
    pub fn origin(&self, field: &str) -> &Origin<S> {
        self.origins.get(field).unwrap_or(&Origin::Fallback)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::values::{ReasoningSummary, TruncationPolicy};

    fn patch(value: Value) -> ModelPatch {
        serde_json::from_value(value).expect("a patch")
    }

    fn resolved(slug: &str, overrides: Vec<(Value, &'static str)>) -> Resolved<&'static str> {
        let overrides = overrides
            .into_iter()
            .map(|(value, place)| (patch(value), place));
        resolve(&Catalogue::bundled(), slug, overrides)
    }

    #[test]
    fn an_unknown_model_has_the_window_that_captured_threads_show() {
        let model = resolved("gpt-5.2-codex", Vec::new());
        assert_eq!(model.matched, None);
        assert_eq!(model.info.usable_window(), 258_400);
        assert_eq!(model.info.default_reasoning_summary, ReasoningSummary::Auto);
        assert!(model.info.supports_parallel_tool_calls);
        assert_eq!(model.origin("context_window"), &Origin::Fallback);
    }

    #[test]
    fn every_field_says_where_it_comes_from() {
        let model = resolved(
            "gpt-6-sol",
            vec![
                (json!({"context_window": 1000, "priority": 5}), "first"),
                (json!({"context_window": 2000}), "second"),
            ],
        );
        assert_eq!(model.info.context_window, 2000);
        for (field, origin) in [
            ("context_window", Origin::Said("second")),
            ("priority", Origin::Said("first")),
            ("default_reasoning_level", Origin::Catalogue),
            ("supports_parallel_tool_calls", Origin::Derived),
            ("supports_reasoning_summaries", Origin::Fallback),
        ] {
            assert_eq!(model.origin(field), &origin, "{field}");
        }
        let names: Vec<&str> = model.fields().iter().map(|field| field.name).collect();
        assert_eq!(names, ModelInfo::FIELDS);
    }

    #[test]
    fn a_cloud_takes_no_lite_requests_unless_somebody_says_so() {
        for slug in ["openai.gpt-6.1-sol", "us.openai.gpt-6-luna"] {
            let model = resolved(slug, Vec::new());
            assert_eq!(
                (
                    model.info.use_responses_lite,
                    model.info.supports_parallel_tool_calls,
                    model.origin("use_responses_lite")
                ),
                (false, true, &Origin::Derived),
                "{slug}"
            );
        }
        let said = vec![(json!({"use_responses_lite": true}), "me")];
        assert!(resolved("openai.gpt-6.1-sol", said).info.use_responses_lite);
    }

    #[test]
    fn what_follows_from_other_fields_gives_way_to_what_is_said() {
        let lite = resolved("gpt-6-sol", Vec::new()).info;
        assert_eq!(
            (
                lite.supports_parallel_tool_calls,
                lite.auto_compact_token_limit
            ),
            (false, Some(244_800))
        );
        let said = resolved(
            "gpt-6-sol",
            vec![(
                json!({"supports_parallel_tool_calls": true, "auto_compact_token_limit": 1000}),
                "me",
            )],
        );
        assert!(said.info.supports_parallel_tool_calls);
        assert_eq!(said.info.auto_compact_token_limit, Some(1000));
        let greedy = resolved(
            "gpt-5.5",
            vec![(
                json!({"context_window": 1000, "auto_compact_token_limit": 5000}),
                "me",
            )],
        );
        assert_eq!(greedy.info.auto_compact_token_limit, Some(900));
    }

    #[test]
    fn limits_in_bytes_are_a_quarter_of_it_in_tokens() {
        let bytes = patch(json!({"truncation_policy": {"mode": "bytes", "limit": 10000}}));
        let policy = bytes.truncation_policy.expect("a policy");
        assert_eq!(
            (policy.in_tokens(), TruncationPolicy::tokens(7).in_tokens()),
            (2500, 7)
        );
    }

    #[test]
    fn every_entry_of_the_catalogue_is_whole() {
        let catalogue = Catalogue::bundled();
        assert_eq!(catalogue.entries().len(), 12);
        for entry in catalogue.entries() {
            let info = resolve::<()>(&catalogue, &entry.slug, []).info;
            let efforts: Vec<&String> = info
                .supported_reasoning_levels
                .iter()
                .map(|level| &level.effort)
                .collect();
            let default = info.default_reasoning_level.as_ref();
            assert!(
                default.is_some_and(|effort| efforts.contains(&effort)),
                "{}: {default:?} is not among {efforts:?}",
                entry.slug
            );
            assert!(
                info.takes_images() && info.support_verbosity,
                "{}",
                entry.slug
            );
            assert!(info.max_context_window >= Some(info.context_window));
        }
    }
}
