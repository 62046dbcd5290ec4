//! Reads TOML key by key, and knows the line of everything it refuses.
//!
//! Unknown keys are errors: a misspelt limit or grant must not pass for an absent one.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml_edit::{Array, Document, Item, TableLike, Value};

/// What is wrong at a line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.problem)
    }
}

impl std::error::Error for Located {}

/// A file being read.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    file: &'a Path,
    text: &'a str,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text }
    }

    pub(crate) fn parse(self) -> Result<Document<&'a str>, Located> {
        Document::parse(self.text)
            .map_err(|error| self.error(error.span(), error.message().to_owned()))
    }

    pub(crate) fn error(self, span: Option<Range<usize>>, problem: impl Into<String>) -> Located {
        let end = span.map_or(0, |span| span.start).min(self.text.len());
        let line = 1 + self.text.as_bytes()[..end]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        Located {
            file: self.file.to_owned(),
            line,
            problem: problem.into(),
        }
    }
}

/// A table being read.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    source: Source<'a>,
    table: &'a dyn TableLike,
    /// Such as `[request]`, for sentences.
    name: &'a str,
    span: usize,
}

impl<'a> Fields<'a> {
    /// Starts reading a table that may hold `known` keys only.
    pub(crate) fn new(
        source: Source<'a>,
        table: &'a dyn TableLike,
        span: Option<Range<usize>>,
        name: &'a str,
        known: &[&str],
    ) -> Result<Self, Located> {
        for (key, item) in table.iter() {
            if known.contains(&key) {
                continue;
            }
            let at = table
                .key(key)
                .and_then(toml_edit::Key::span)
                .or_else(|| item.span());
            let nearest = nearest(key, known)
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            return Err(source.error(at, format!("unknown key `{key}` in {name}{nearest}")));
        }
        Ok(Self {
            source,
            table,
            name,
            span: span.map_or(0, |span| span.start),
        })
    }

    /// An error at a key, or at the table's head where the key is missing.
    pub(crate) fn error(&self, key: &str, problem: impl Into<String>) -> Located {
        let at = self
            .table
            .get(key)
            .and_then(Item::span)
            .map_or(self.span, |span| span.start);
        self.source.error(Some(at..at), problem)
    }

    fn wrong(&self, key: &str, expected: &str) -> Located {
        self.error(key, format!("`{key}` in {} must be {expected}", self.name))
    }

    pub(crate) fn string(&self, key: &str) -> Result<Option<&'a str>, Located> {
        let Some(item) = self.table.get(key) else {
            return Ok(None);
        };
        item.as_str()
            .map(Some)
            .ok_or_else(|| self.wrong(key, "a string"))
    }

    pub(crate) fn required(&self, key: &str) -> Result<&'a str, Located> {
        self.string(key)?
            .ok_or_else(|| self.error(key, format!("`{key}` is missing in {}", self.name)))
    }

    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, Located> {
        let Some(item) = self.table.get(key) else {
            return Ok(None);
        };
        item.as_bool()
            .map(Some)
            .ok_or_else(|| self.wrong(key, "true or false"))
    }

    pub(crate) fn number(
        &self,
        key: &str,
        allowed: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, Located> {
        let Some(item) = self.table.get(key) else {
            return Ok(None);
        };
        let number = item
            .as_integer()
            .and_then(|number| u64::try_from(number).ok());
        let fits = number.filter(|number| allowed.contains(number));
        fits.map(Some).ok_or_else(|| {
            self.wrong(
                key,
                &format!(
                    "a whole number from {} to {}",
                    allowed.start(),
                    allowed.end()
                ),
            )
        })
    }

    /// The strings of an array, each read by `parse`, whose error is placed at the string's own line.
    pub(crate) fn strings<T, E: fmt::Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, Located> {
        let one = |value: &Value| {
            let text = value
                .as_str()
                .ok_or_else(|| self.wrong(key, "a list of strings"))?;
            parse(text).map_err(|error| self.source.error(value.span(), error.to_string()))
        };
        self.array(key, "a list of strings")?
            .map_or(Ok(Vec::new()), |array| array.iter().map(one).collect())
    }

    /// The lists of an array of lists of strings.
    pub(crate) fn string_lists<T, E: fmt::Display>(
        &self,
        key: &str,
        parse: impl Fn(&[&str]) -> Result<T, E>,
    ) -> Result<Vec<T>, Located> {
        const EXPECTED: &str = "a list of command lines, each a list of strings";
        let one = |value: &Value| {
            let parts: Option<Vec<&str>> = value
                .as_array()
                .and_then(|parts| parts.iter().map(Value::as_str).collect());
            let parts = parts.ok_or_else(|| self.wrong(key, EXPECTED))?;
            parse(&parts).map_err(|error| self.source.error(value.span(), error.to_string()))
        };
        self.array(key, EXPECTED)?
            .map_or(Ok(Vec::new()), |array| array.iter().map(one).collect())
    }

    /// The tables under a key: `[[key]]` or an array of inline tables.
    pub(crate) fn tables(
        &self,
        key: &str,
        name: &'a str,
        known: &[&str],
    ) -> Result<Vec<Fields<'a>>, Located> {
        let Some(item) = self.table.get(key) else {
            return Ok(Vec::new());
        };
        if let Some(tables) = item.as_array_of_tables() {
            return tables
                .iter()
                .map(|table| Fields::new(self.source, table, table.span(), name, known))
                .collect();
        }
        let array = item
            .as_array()
            .ok_or_else(|| self.wrong(key, "a list of tables"))?;
        let one = |value: &'a Value| {
            let table = value
                .as_inline_table()
                .ok_or_else(|| self.wrong(key, "a list of tables"))?;
            Fields::new(self.source, table, value.span(), name, known)
        };
        array.iter().map(one).collect()
    }

    /// The table under a key.
    pub(crate) fn table(
        &self,
        key: &str,
        name: &'a str,
        known: &[&str],
    ) -> Result<Option<Fields<'a>>, Located> {
        let Some(item) = self.table.get(key) else {
            return Ok(None);
        };
        let table = item
            .as_table_like()
            .ok_or_else(|| self.wrong(key, "a table"))?;
        Fields::new(self.source, table, item.span(), name, known).map(Some)
    }

    /// The strings of a table with free keys.
    pub(crate) fn string_table(&self, key: &str) -> Result<Vec<(&'a str, &'a str)>, Located> {
        let Some(item) = self.table.get(key) else {
            return Ok(Vec::new());
        };
        let table = item
            .as_table_like()
            .ok_or_else(|| self.wrong(key, "a table"))?;
        let pair = |(name, value): (&'a str, &'a Item)| {
            value
                .as_str()
                .map(|text| (name, text))
                .ok_or_else(|| self.wrong(key, "a table of strings"))
        };
        table.iter().map(pair).collect()
    }

    fn array(&self, key: &str, expected: &str) -> Result<Option<&'a Array>, Located> {
        let Some(item) = self.table.get(key) else {
            return Ok(None);
        };
        item.as_array()
            .map(Some)
            .ok_or_else(|| self.wrong(key, expected))
    }
}

/// The known word closest to a misspelt one; none where nothing is close.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let closest = known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .min()?;
    // Two slips, or a third of the word: farther than that a suggestion confuses more than it helps.
    (closest.0 <= 2.max(word.chars().count() / 3)).then_some(closest.1)
}

/// Levenshtein's distance, by rows. Long words are not compared: they are no slips.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    let b: Vec<char> = b.chars().take(LONGEST).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(LONGEST).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_suggested_only_when_it_is_near() {
        let known = ["memory_mb", "deadline_ms", "output_kb"];
        assert_eq!(nearest("memory_md", &known), Some("memory_mb"));
        assert_eq!(nearest("deadline", &known), None);
        assert_eq!(nearest("deadlin_ms", &known), Some("deadline_ms"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn distances_count_single_slips() {
        for (a, b, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("net", "nte", 2),
            ("kinds", "kind", 1),
            ("fs", "sf", 2),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
