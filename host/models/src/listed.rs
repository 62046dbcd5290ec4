//! Lists of models that servers give. Servers are newer or older than this host, so a list is read entry by entry and, where
//! that fails, field by field: what is not understood is left out and named, and the rest counts.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::catalogue::{Catalogue, CatalogueError, Entry, List};
use crate::info::{ModelInfo, ModelPatch};

/// A list that nobody could choose from is not a list of models.
const MOST_ENTRIES: usize = 1000;
/// Names go into requests and onto terminals.
const LONGEST_SLUG: usize = 200;

/// A server's answer: `{"models": [{"slug": …}, …]}`.
#[derive(Deserialize)]
struct Answer {
    models: Vec<Value>,
}

/// The answer of most other servers: `{"data": [{"id": …}, …]}`; some that have no model say null.
#[derive(Deserialize)]
struct CommonAnswer {
    data: Value,
}

/// The entries of a server's answer: as they came, or made of the names that a list for other clients has.
///
/// # Errors
/// It is not JSON, or has no such list.
pub fn entries(body: &[u8]) -> Result<Vec<Value>, CatalogueError> {
    let error = match serde_json::from_slice(body) {
        Ok(Answer { models }) => return Ok(models),
        Err(error) => error,
    };
    match serde_json::from_slice(body).map(|CommonAnswer { data }| data) {
        Ok(Value::Array(data)) => Ok(data.iter().map(common_entry).collect()),
        Ok(Value::Null) => Ok(Vec::new()),
        Ok(_) | Err(_) => Err(error.into()),
    }
}

/// Where servers say how much a model reads at once.
const WINDOWS: [&str; 5] = [
    "context_window",
    "context_length",
    "max_model_len",
    "max_context_length",
    "max_input_tokens",
];

/// An entry for other clients, which has little more than a name: what is known of a model by its name stays known.
fn common_entry(entry: &Value) -> Value {
    let mut facts = Catalogue::written_of(entry["id"].as_str().unwrap_or_default());
    if facts.get("slug") != Some(&entry["id"]) {
        facts.shift_remove("display_name");
        facts.insert("slug".to_owned(), entry["id"].clone());
    }
    let title = ["display_name", "name"].iter().map(|key| &entry[key]);
    if let Some(title) = title.into_iter().find(|title| title.is_string()) {
        facts.insert("display_name".to_owned(), title.clone());
    }
    let mut windows = WINDOWS.iter().filter_map(|key| entry[key].as_u64());
    if let Some(window) = windows.find(|tokens| *tokens > 0) {
        facts.insert("context_window".to_owned(), window.into());
    }
    Value::Object(facts)
}

/// What could be read of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The entries that were understood.
    pub catalogue: Catalogue,
    /// What was left out and why, a sentence each.
    pub left_out: Vec<String>,
}

/// Reads the entries of a server's list.
pub fn read(models: &[Value]) -> Listed {
    let (mut entries, mut left_out): (Vec<Entry>, _) = (Vec::new(), Vec::new());
    let mut slugs = BTreeSet::new();
    for value in models.iter().take(MOST_ENTRIES) {
        match entry(value, &mut left_out) {
            Ok(entry) if slugs.insert(entry.slug.clone()) => entries.push(entry),
            Ok(entry) => left_out.push(format!("a second entry for `{}`", entry.slug)),
            Err(why) => left_out.push(why),
        }
    }
    if let Some(more) = models
        .len()
        .checked_sub(MOST_ENTRIES)
        .filter(|more| *more > 0)
    {
        left_out.push(format!("{more} entries behind the first {MOST_ENTRIES}"));
    }
    Listed {
        catalogue: Catalogue::of(entries, List::Online),
        left_out,
    }
}

/// One entry, without the fields that are not understood.
fn entry(value: &Value, left_out: &mut Vec<String>) -> Result<Entry, String> {
    let Some(fields) = value.as_object() else {
        return Err("an entry that is no object".to_owned());
    };
    let slug = fields.get("slug").and_then(Value::as_str);
    let slug = slug
        .filter(|slug| is_slug(slug))
        .ok_or("an entry without a usable `slug`")?;
    let facts = facts(fields).unwrap_or_else(|fields| {
        let (understood, strange) = sorted(fields);
        for name in strange {
            left_out.push(format!(
                "`{name}` of `{slug}`, whose value is not understood"
            ));
        }
        understood
    });
    Ok(Entry::new(slug.to_owned(), facts))
}

fn is_slug(slug: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    !slug.is_empty() && slug.len() <= LONGEST_SLUG && slug.chars().all(plain)
}

/// The facts of an entry that is understood as a whole; else its fields, for a closer look.
fn facts(fields: &Map<String, Value>) -> Result<ModelPatch, &Map<String, Value>> {
    let whole = serde_json::from_value::<ModelPatch>(Value::Object(fields.clone()));
    whole.ok().filter(is_sane).ok_or(fields)
}

/// The fields that are understood one by one, and the names of those that are not.
fn sorted(fields: &Map<String, Value>) -> (ModelPatch, Vec<&'static str>) {
    let (mut understood, mut strange) = (Map::new(), Vec::new());
    for name in ModelInfo::FIELDS {
        let Some(value) = fields.get(*name) else {
            continue;
        };
        let alone = Map::from_iter([((*name).to_owned(), value.clone())]);
        match facts(&alone) {
            Ok(_) => understood.extend(alone),
            Err(_) => strange.push(*name),
        }
    }
    let patch = serde_json::from_value(Value::Object(understood));
    (patch.unwrap_or_default(), strange)
}

/// Whether nothing is said that no model can be worked with: a window without room for a word.
fn is_sane(facts: &ModelPatch) -> bool {
    let room = [
        facts.context_window,
        facts.max_context_window,
        facts.effective_context_window_percent,
        facts.auto_compact_token_limit,
    ];
    room.iter().all(|tokens| *tokens != Some(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::values::Verbosity;

    #[test]
    fn lists_for_other_clients_are_read_too() {
        let body = json!({ "object": "list", "data": [
            { "id": "qwen3", "object": "model", "max_model_len": 40960 },
            { "id": "a/b", "name": "B", "context_length": 0, "max_input_tokens": 7 },
            { "object": "model" },
        ] });
        let entries = entries(body.to_string().as_bytes()).expect("a list");
        assert_eq!(
            entries,
            [
                json!({ "slug": "qwen3", "context_window": 40960 }),
                json!({ "slug": "a/b", "display_name": "B", "context_window": 7 }),
                json!({ "slug": null }),
            ]
        );
        let known =
            json!({ "data": [{ "id": "gpt-5.5", "owned_by": "x" }, { "id": "team/gpt-5.5" }] });
        let known = super::entries(known.to_string().as_bytes()).expect("a list");
        let facts = |value: &Value| {
            let listed = read(std::slice::from_ref(value)).catalogue;
            listed.entries()[0].facts.clone()
        };
        let catalogue = Catalogue::bundled();
        let usual = &catalogue.find("gpt-5.5").expect("an entry").entry.facts;
        assert_eq!(&facts(&known[0]), usual);
        assert_eq!(facts(&known[1]).context_window, usual.context_window);
        assert_eq!(
            read(&entries).left_out,
            ["an entry without a usable `slug`"]
        );
        let none = super::entries(b"{\"data\":null}").expect("a list");
        assert!(none.is_empty());
        for other in ["{\"data\":1}", "{}", "[]"] {
            let error = super::entries(other.as_bytes()).expect_err("no list");
            assert!(!error.to_string().is_empty(), "{other}");
        }
    }

    #[test]
    fn what_is_not_understood_is_left_out_and_named() {
        let models = [
            json!({"slug": "whole", "context_window": 5, "from_the_future": {"x": 1}}),
            json!({"slug": "partly", "default_verbosity": "chatty", "context_window": 7, "support_verbosity": true}),
            json!({"slug": "empty-window", "context_window": 0}),
            json!({"display_name": "nameless"}),
            json!("text"),
            json!({"slug": "two words"}),
            json!({"slug": "whole", "context_window": 6}),
        ];
        let listed = read(&models);
        let entries: Vec<(&str, Option<u64>, Option<Verbosity>)> = listed
            .catalogue
            .entries()
            .iter()
            .map(|entry| {
                (
                    entry.slug.as_str(),
                    entry.facts.context_window,
                    entry.facts.default_verbosity,
                )
            })
            .collect();
        assert_eq!(
            entries,
            [
                ("whole", Some(5), None),
                ("partly", Some(7), None),
                ("empty-window", None, None)
            ]
        );
        assert_eq!(
            listed.catalogue.entries()[1].facts.support_verbosity,
            Some(true)
        );
        assert_eq!(
            listed.left_out,
            [
                "`default_verbosity` of `partly`, whose value is not understood",
                "`context_window` of `empty-window`, whose value is not understood",
                "an entry without a usable `slug`",
                "an entry that is no object",
                "an entry without a usable `slug`",
                "a second entry for `whole`",
            ]
        );
    }

    #[test]
    fn an_answer_is_a_list_under_its_key() {
        assert_eq!(
            entries(br#"{"models": [], "more": 1}"#).expect("a list"),
            Vec::<Value>::new()
        );
        for body in [
            "",
            "[]",
            "{}",
            "<html>",
            r#"{"models": {}}"#,
            r#"{"data": {}}"#,
        ] {
            assert!(entries(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_list_without_end_is_cut() {
        let models: Vec<Value> = (0..=MOST_ENTRIES)
            .map(|at| json!({"slug": format!("m-{at}")}))
            .collect();
        let listed = read(&models);
        assert_eq!(listed.catalogue.entries().len(), MOST_ENTRIES);
        assert_eq!(listed.left_out, ["1 entries behind the first 1000"]);
    }
}
