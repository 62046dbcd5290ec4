//! Where in a manifest each thing that it asks for is written.

use toml_edit::{Document, Item, Value};

use crate::argv::ArgvPattern;
use crate::fs_rule::{Access, FsRule};
use crate::origin::OriginPattern;

/// One line of `[request]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLine {
    /// The key, such as `net`.
    pub key: String,
    /// The rule, as lists show it.
    pub rule: String,
    /// The line, from 1.
    pub line: usize,
}

/// The lines of a manifest's `[request]`. Empty for a text that is no manifest.
pub fn request_lines(text: &str) -> Vec<RequestLine> {
    let Ok(document) = Document::parse(text) else {
        return Vec::new();
    };
    let Some(request) = document.get("request").and_then(Item::as_table_like) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (key, item) in request.iter() {
        for (rule, start) in rules(key, item) {
            let before = text.as_bytes().get(..start).unwrap_or_default();
            lines.push(RequestLine {
                key: key.to_owned(),
                rule,
                line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            });
        }
    }
    lines
}

/// The rules under a key, each with where it starts.
fn rules(key: &str, item: &Item) -> Vec<(String, usize)> {
    if let Some(tables) = item.as_array_of_tables() {
        let rule = |table: &toml_edit::Table| Some((fs_rule(table)?, table.span()?.start));
        return tables.iter().filter_map(rule).collect();
    }
    if let Some(values) = item.as_array() {
        let rule = |value: &Value| Some((rule_text(key, value)?, value.span()?.start));
        return values.iter().filter_map(rule).collect();
    }
    let Some(start) = item.span().map(|span| span.start) else {
        return Vec::new();
    };
    match item.as_integer() {
        Some(bytes) => vec![(format!("{bytes} bytes"), start)],
        None => vec![(key.to_owned(), start)],
    }
}

fn rule_text(key: &str, value: &Value) -> Option<String> {
    match key {
        "net" => Some(OriginPattern::parse(value.as_str()?).ok()?.to_string()),
        "process" => {
            let parts: Option<Vec<&str>> = value.as_array()?.iter().map(Value::as_str).collect();
            Some(ArgvPattern::parse(&parts?).ok()?.to_string())
        }
        "fs" => fs_rule(value.as_inline_table()?),
        _ => value.as_str().map(str::to_owned),
    }
}

fn fs_rule(table: &dyn toml_edit::TableLike) -> Option<String> {
    let text = |key: &str| table.get(key)?.as_str();
    let rule = FsRule::new(
        text("path")?,
        text("mount")?,
        Access::named(text("access")?)?,
    );
    Some(rule.ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_line() {
        let text = "id = \"x\"\n[request]\nnet = [\n  \"https://a.example\",\n  \"https://b.example:443\",\n]\n\
            process = [[\"git\", \"*\"]]\nkv = 7\nclient = true\n[[request.fs]]\npath = \"n\"\nmount = \"/n\"\n\
            access = \"read\"\n";
        let found: Vec<(String, String, usize)> = request_lines(text)
            .into_iter()
            .map(|line| (line.key, line.rule, line.line))
            .collect();
        let expected = [
            ("net", "https://a.example", 4),
            ("net", "https://b.example", 5),
            ("process", "git *", 7),
            ("kv", "7 bytes", 8),
            ("client", "client", 9),
            ("fs", "n (read)", 10),
        ];
        assert_eq!(
            found,
            expected.map(|(key, rule, line)| (key.to_owned(), rule.to_owned(), line))
        );
        assert_eq!(request_lines("not = [toml"), []);
    }
}
