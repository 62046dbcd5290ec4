//! The list of models that come with the host, or that a person's own file has.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::info::ModelPatch;

/// Regions that some clouds put before a model's name.
const REGIONS: &[&str] = &["global.", "us."];
/// The vendor that some clouds put before a model's name.
const VENDOR: &str = "openai.";

/// The list that comes with the host.
const WRITTEN: &str = include_str!("catalogue.json");

/// A list of models.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Catalogue {
    models: Vec<Entry>,
}

/// The list that an entry is from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum List {
    /// The one that comes with the host.
    #[default]
    Bundled,
    /// A person's own file.
    File,
    /// A server's.
    Online,
}

/// A model and what the catalogue says of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Entry {
    /// Its name in requests.
    pub slug: String,
    /// What is said.
    #[serde(flatten)]
    pub facts: ModelPatch,
    /// Where it is said.
    #[serde(skip)]
    pub list: List,
}

impl Entry {
    /// An entry of no list yet.
    pub(crate) fn new(slug: String, facts: ModelPatch) -> Self {
        Self {
            slug,
            facts,
            list: List::default(),
        }
    }
}

/// Why a text is no catalogue.
#[derive(Debug, thiserror::Error)]
#[error("it is not a list of models: {0}")]
pub struct CatalogueError(#[from] serde_json::Error);

/// The entry that a model's name found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match<'c> {
    /// The entry.
    pub entry: &'c Entry,
    /// By which rule.
    pub rule: MatchRule,
}

/// How a model's name found its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchRule {
    /// It is the entry's name.
    Exact,
    /// It begins with the entry's name, such as `gpt-5.5-2026-01-01`.
    Prefix,
    /// It does so behind a namespace or a cloud's prefix, such as `team/gpt-5.5` or `us.openai.gpt-5.5`.
    Namespaced,
}

impl Catalogue {
    /// The one that comes with the host.
    #[expect(
        clippy::missing_panics_doc,
        reason = "the text is part of the binary, and a test reads it"
    )]
    pub fn bundled() -> Self {
        serde_json::from_str(WRITTEN)
            .expect("the catalogue that comes with the host is a catalogue")
    }

    /// All that the built-in catalogue says of a model, by a name that finds it, as it is written there.
    pub(crate) fn written_of(slug: &str) -> Map<String, Value> {
        let found = Self::bundled().find(slug).map(|it| it.entry.slug.clone());
        let written: Value = serde_json::from_str(WRITTEN).unwrap_or_default();
        let mut entries = written["models"].as_array().into_iter().flatten();
        let entry = entries.find(|entry| entry["slug"].as_str() == found.as_deref());
        let entry = entry.filter(|_| found.is_some());
        entry
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    }

    /// Reads a person's file: `{"models": [{"slug": …}, …]}`. Fields that are not known here are left alone.
    ///
    /// # Errors
    /// The text is not JSON, has no such list, or a field has a value of another type.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        let read: Self = serde_json::from_str(text)?;
        Ok(Self::of(read.models, List::File))
    }

    /// The entries of a list.
    pub(crate) fn of(mut models: Vec<Entry>, list: List) -> Self {
        for entry in &mut models {
            entry.list = list;
        }
        Self { models }
    }

    /// Puts the entries of a newer list in the place of those of the same name; the others come behind. An empty list
    /// changes nothing.
    pub fn replace_with(&mut self, newer: Self) {
        for entry in newer.models {
            match self
                .models
                .iter_mut()
                .find(|known| known.slug == entry.slug)
            {
                Some(known) => *known = entry,
                None => self.models.push(entry),
            }
        }
    }

    /// The models, in the file's order.
    pub fn entries(&self) -> &[Entry] {
        &self.models
    }

    /// Finds the entry for a model's name: the same name, else the longest that it begins with, else the same without
    /// one namespace in front.
    pub fn find(&self, slug: &str) -> Option<Match<'_>> {
        self.find_plain(slug).or_else(|| {
            let found = self.find_plain(without_namespace(slug)?)?;
            Some(Match {
                rule: MatchRule::Namespaced,
                ..found
            })
        })
    }

    fn find_plain(&self, slug: &str) -> Option<Match<'_>> {
        let entry = self
            .models
            .iter()
            .filter(|entry| begins_with(slug, &entry.slug))
            .max_by_key(|entry| entry.slug.len())?;
        let rule = if entry.slug == slug {
            MatchRule::Exact
        } else {
            MatchRule::Prefix
        };
        Some(Match { entry, rule })
    }
}

/// Whether a name is another, or goes on behind it with a new part: `gpt-5.55` is no kind of `gpt-5.5`.
fn begins_with(slug: &str, start: &str) -> bool {
    slug.strip_prefix(start)
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()))
}

/// What a cloud calls a model, without what it puts before the name.
pub(crate) fn without_vendor(slug: &str) -> Option<&str> {
    let regional = REGIONS.iter().find_map(|region| slug.strip_prefix(region));
    regional.unwrap_or(slug).strip_prefix(VENDOR)
}

fn without_namespace(slug: &str) -> Option<&str> {
    if let Some(rest) = without_vendor(slug) {
        return Some(rest);
    }
    let (namespace, rest) = slug.split_once('/')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (!namespace.is_empty() && namespace.bytes().all(plain) && !rest.contains('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(slug: &str, expected: Option<(&str, MatchRule)>) {
        let catalogue = Catalogue::bundled();
        let found = catalogue
            .find(slug)
            .map(|found| (found.entry.slug.as_str(), found.rule));
        assert_eq!(found, expected, "{slug}");
    }

    #[test]
    fn a_name_finds_itself_or_the_longest_that_it_begins_with() {
        check("gpt-5.5", Some(("gpt-5.5", MatchRule::Exact)));
        check("gpt-5.5-2026-01-01", Some(("gpt-5.5", MatchRule::Prefix)));
        check("gpt-6-sol-mini", Some(("gpt-6-sol", MatchRule::Prefix)));
        check("gpt-6.1-sol", Some(("gpt-6.1-sol", MatchRule::Exact)));
    }

    #[test]
    fn one_namespace_is_looked_behind() {
        check("team/gpt-5.5", Some(("gpt-5.5", MatchRule::Namespaced)));
        check(
            "openai.gpt-6-sol",
            Some(("gpt-6-sol", MatchRule::Namespaced)),
        );
        check(
            "us.openai.gpt-6-luna",
            Some(("gpt-6-luna", MatchRule::Namespaced)),
        );
        check("a/b/gpt-5.5", None);
        check("/gpt-5.5", None);
    }

    #[test]
    fn other_names_find_nothing() {
        for slug in [
            "gpt-5.55",
            "gpt-5.2-codex",
            "my-gpt-5.5",
            "gpt",
            "",
            "GPT-5.5",
        ] {
            check(slug, None);
        }
    }

    #[test]
    fn a_newer_list_replaces_whole_entries_and_adds_others() {
        let mut catalogue = Catalogue::bundled();
        let before = catalogue.clone();
        catalogue.replace_with(Catalogue::of(Vec::new(), List::Online));
        assert_eq!(catalogue, before);
        let window = |tokens| ModelPatch {
            context_window: Some(tokens),
            ..ModelPatch::default()
        };
        let newer = vec![
            Entry::new("gpt-5.5".to_owned(), window(7)),
            Entry::new("brand-new".to_owned(), window(8)),
        ];
        catalogue.replace_with(Catalogue::of(newer, List::Online));
        let entry = |slug: &str| catalogue.find(slug).map(|found| found.entry.clone());
        let replaced = entry("gpt-5.5").expect("an entry");
        assert_eq!((replaced.list, replaced.facts), (List::Online, window(7)));
        assert_eq!(entry("brand-new").expect("an entry").list, List::Online);
        assert_eq!(entry("gpt-6-sol").expect("an entry").list, List::Bundled);
        assert_eq!(catalogue.entries().len(), before.entries().len() + 1);
    }

    #[test]
    fn what_other_clients_write_is_read() {
        let catalogue = Catalogue::parse(
            r#"{"models": [{"slug": "x", "base_instructions": "…", "default_verbosity": null,
               "supported_reasoning_levels": [{"effort": "low", "description": "quick"}]}]}"#,
        )
        .expect("a catalogue");
        let facts = &catalogue.entries()[0].facts;
        assert_eq!(facts.default_verbosity, None);
        let levels = facts.supported_reasoning_levels.as_ref().expect("levels");
        assert_eq!(levels[0].effort, "low");
        assert!(Catalogue::parse("{}").is_err());
        assert!(Catalogue::parse("[").is_err());
    }
}
