//! Okapi BM25 over a few dozen short texts.

use std::collections::HashMap;

/// How soon more of one word stops to count.
const SATURATION: f64 = 1.2;
/// How much long texts are held back, from 0 to 1.
const LENGTH: f64 = 0.75;

/// Texts, counted for search.
pub(super) struct Index {
    texts: Vec<Counted>,
    /// In how many texts a word is.
    spread: HashMap<String, usize>,
    average_length: f64,
}

struct Counted {
    words: HashMap<String, f64>,
    length: f64,
}

impl Index {
    pub(super) fn new(texts: impl Iterator<Item = String>) -> Self {
        let texts: Vec<Counted> = texts.map(|text| Counted::of(&text)).collect();
        let mut spread = HashMap::new();
        for word in texts.iter().flat_map(|text| text.words.keys()) {
            *spread.entry(word.clone()).or_insert(0) += 1;
        }
        let total: f64 = texts.iter().map(|text| text.length).sum();
        Self {
            average_length: total / texts.len().max(1) as f64,
            texts,
            spread,
        }
    }

    /// The texts that have a word of the query, the best first; of equals the first.
    pub(super) fn best(&self, query: &str, limit: usize) -> Vec<usize> {
        let mut asked = words(query);
        asked.sort_unstable();
        asked.dedup();
        let scores = self.texts.iter().map(|text| self.score(text, &asked));
        let mut found: Vec<(usize, f64)> = scores
            .enumerate()
            .filter(|(_, score)| *score > 0.0)
            .collect();
        // The sort is stable.
        found.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        found.into_iter().take(limit).map(|(at, _)| at).collect()
    }

    fn score(&self, text: &Counted, asked: &[String]) -> f64 {
        let scores = asked.iter().filter_map(|word| {
            let times = *text.words.get(word)?;
            let held_back = 1.0 - LENGTH + LENGTH * text.length / self.average_length;
            Some(self.rarity(word) * times * (SATURATION + 1.0) / (times + SATURATION * held_back))
        });
        scores.sum()
    }

    fn rarity(&self, word: &str) -> f64 {
        let with = self.spread.get(word).copied().unwrap_or(0) as f64;
        (1.0 + (self.texts.len() as f64 - with + 0.5) / (with + 0.5)).ln()
    }
}

impl Counted {
    fn of(text: &str) -> Self {
        let all = words(text);
        let length = all.len() as f64;
        let mut words = HashMap::new();
        for word in all {
            *words.entry(word).or_insert(0.0) += 1.0;
        }
        Self { words, length }
    }
}

/// The words of a text as they are compared: in small letters and without English endings. Names are taken apart:
/// `search_notes` and `searchNotes` are two words.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut last_small = false;
    for c in text.chars() {
        if !word.is_empty() && (!c.is_alphanumeric() || (last_small && c.is_uppercase())) {
            words.push(stem(std::mem::take(&mut word)));
        }
        last_small = c.is_lowercase();
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(stem(word));
    }
    words
}

/// A word without what English adds to it. Crude on purpose: both sides of the comparison go through it.
fn stem(mut word: String) -> String {
    for (ending, instead) in [("ies", "y"), ("s", ""), ("ing", ""), ("ed", ""), ("e", "")] {
        let Some(start) = word.strip_suffix(ending) else {
            continue;
        };
        if start.chars().count() + instead.len() >= 3 && !start.ends_with(ending) {
            word = format!("{start}{instead}");
        }
    }
    let mut ending = word.chars().rev();
    if word.len() > 3 && ending.next() == ending.next() {
        word.pop();
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_are_one() {
        for forms in [
            &["note", "notes", "noted", "noting"][..],
            &["search", "searches", "searched", "searching"],
            &["query", "queries"],
            &["add", "adds", "added", "adding"],
            &["stop", "stops", "stopped", "stopping"],
            &["class", "classes"],
        ] {
            let stems: Vec<String> = forms.iter().map(|form| stem((*form).to_owned())).collect();
            assert!(stems.iter().all(|stem| *stem == stems[0]), "{stems:?}");
        }
        assert_ne!(stem("read".to_owned()), stem("ready".to_owned()));
    }

    #[test]
    fn names_are_taken_apart() {
        let names = [
            "search_files",
            "searchFiles",
            "search-files",
            "Search files!",
        ];
        for name in names {
            assert_eq!(words(name), words("search files"), "{name}");
        }
        assert_eq!(words("ölStand 東京"), ["öl", "stand", "東京"]);
        assert_eq!(words("HTTP2Server"), words("http2server"));
    }

    #[test]
    fn rare_words_and_short_texts_come_first() {
        let texts = [
            "read a file",
            "read a file and write another file somewhere else",
            "write a poem",
        ];
        let index = Index::new(texts.iter().map(|text| (*text).to_owned()));
        assert_eq!(index.best("read", 8), [0, 1]);
        assert_eq!(index.best("a poem", 8), [2, 0, 1]);
        assert_eq!(index.best("a poem", 1), [2]);
        assert_eq!(
            Index::new(std::iter::empty()).best("a", 8),
            Vec::<usize>::new()
        );
    }
}
