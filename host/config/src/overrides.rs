//! Settings from the command line.

use serde_json::Value;

use crate::error::ConfigError;
use crate::layer::{self, Origin};
use crate::tree::{Entry, Node, Table};

/// One setting from the command line.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    flag: String,
    path: Vec<String>,
    value: Assigned,
}

#[derive(Debug, Clone, PartialEq)]
enum Assigned {
    Toml(toml::Value),
    Json(Value),
}

impl Override {
    /// Reads the text after `-c`: a dotted key (parts may be quoted), `=`, and a TOML value. What is not TOML is
    /// taken as a string, so that `-c model=gpt-5.5` needs no quotes.
    ///
    /// # Errors
    /// There is no `=`, or the key is not a key.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let (key, value) = split_at_assignment(text).ok_or_else(|| bad(text, "there is no `=`"))?;
        let path = match toml_edit::Key::parse(key) {
            Ok(keys) => keys.iter().map(|key| key.get().to_owned()).collect(),
            Err(_) => split_plainly(key)
                .ok_or_else(|| bad(key, "the part before `=` is not a dotted key"))?,
        };
        let value = value.trim();
        let parsed = value
            .parse()
            .unwrap_or_else(|_| toml::Value::String(without_quotes(value).to_owned()));
        Ok(Self {
            flag: format!("-c {}", key.trim()),
            path,
            value: Assigned::Toml(parsed),
        })
    }

    /// What another flag stands for.
    pub fn flag(flag: &str, path: &[&str], value: impl Into<Value>) -> Self {
        Self {
            flag: flag.to_owned(),
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            value: Assigned::Json(value.into()),
        }
    }

    /// The keys that lead to what it sets, the outermost first.
    pub(crate) fn path(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// What it is called in messages: never with its value.
    pub(crate) fn label(&self) -> &str {
        &self.flag
    }

    /// The override as a table with a single path in it.
    pub(crate) fn into_table(self, origin: Origin) -> Table {
        let leaf = match self.value {
            Assigned::Toml(value) => layer::convert_value(value, origin),
            Assigned::Json(value) => Node::Leaf(value),
        };
        let mut node = leaf;
        for key in self.path.into_iter().rev() {
            node = Node::Table(Table::from([(key, Entry { node, origin })]));
        }
        match node {
            Node::Table(table) => table,
            // A path has at least one part, so the loop above has run.
            Node::Leaf(_) => Table::new(),
        }
    }
}

/// Splits at the first `=` outside quotes.
fn split_at_assignment(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'=') => return Some((&text[..at], &text[at + 1..])),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            (None | Some(_), _) => {}
        }
    }
    None
}

/// The parts of a key whose quotes a shell has taken away, such as `projects./work/app.trust_level`.
fn split_plainly(key: &str) -> Option<Vec<String>> {
    let fits = |part: &str| {
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'');
        !part.is_empty() && !part.contains(odd)
    };
    let parts = key.trim().split('.');
    parts
        .map(|part| fits(part).then(|| part.to_owned()))
        .collect()
}

/// Plain text as it was meant. A quote at its beginning that TOML could make nothing of is one that a shell left over.
fn without_quotes(text: &str) -> &str {
    let quotes = ['"', '\''];
    match text.strip_prefix(quotes) {
        Some(rest) => rest.strip_suffix(quotes).unwrap_or(rest),
        None => text,
    }
}

fn bad(text: &str, problem: &str) -> ConfigError {
    // Without an `=` all of it could be a value that slipped in: show no more than a key's length.
    ConfigError::BadOverride {
        text: text.chars().take(40).collect(),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Value) {
        let parsed = Override::parse(text).expect("an override");
        let table = parsed.into_table(Origin { layer: 0, line: 1 });
        assert_eq!(Node::Table(table).to_json(), expected, "{text}");
    }

    #[test]
    fn values_are_toml_or_else_text() {
        check("model=gpt-5.5", json!({"model": "gpt-5.5"}));
        check("model=\"o3\"", json!({"model": "o3"}));
        check(
            "model_context_window = 1000",
            json!({"model_context_window": 1000}),
        );
        check("features.a=true", json!({"features": {"a": true}}));
        check(
            "project_root_markers=[\".git\", \".hg\"]",
            json!({"project_root_markers": [".git", ".hg"]}),
        );
        check(
            "sandbox_workspace_write={network_access=true}",
            json!({"sandbox_workspace_write": {"network_access": true}}),
        );
        check(
            "developer_instructions=a=b",
            json!({"developer_instructions": "a=b"}),
        );
        check("notify=", json!({"notify": ""}));
    }

    #[test]
    fn quotes_that_a_shell_left_over_or_took_away_do_no_harm() {
        check("model=\"gpt-5.4", json!({"model": "gpt-5.4"}));
        check("model='a' b'", json!({"model": "a' b"}));
        check("model=say \"hi\"", json!({"model": "say \"hi\""}));
        check(
            "projects./work/app.trust_level=trusted",
            json!({"projects": {"/work/app": {"trust_level": "trusted"}}}),
        );
    }

    #[test]
    fn quoted_parts_may_hold_dots_and_equals_signs() {
        check(
            "projects.\"/a.b/c=d\".trust_level=trusted",
            json!({"projects": {"/a.b/c=d": {"trust_level": "trusted"}}}),
        );
        check(
            "mcp_servers.'x y'.command=z",
            json!({"mcp_servers": {"x y": {"command": "z"}}}),
        );
    }

    #[test]
    fn what_is_no_override_is_refused() {
        for text in ["model", "=x", "a..b=1", "", "a b=1", "a.\"b=1"] {
            assert!(Override::parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
