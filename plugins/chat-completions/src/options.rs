//! What a table may say besides the standard keys.

use dovetail_plugin_api::{Error, TableReader};
use serde_json::{Map, Value};

/// Services that refuse `stream_options`, and say without it what was used.
const WITHOUT_STREAM_OPTIONS: [&str; 1] = ["mistral.ai"];

/// Settings of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    /// `stream_options`: whether requests ask what they use. Most servers say it only then.
    pub(crate) stream_options: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            stream_options: true,
        }
    }
}

impl Options {
    pub(crate) fn parse(id: &str, table: &Map<String, Value>) -> Result<Self, Error> {
        let reader = TableReader::new(format!("model_providers.{id}"), table);
        let said = reader.flag("stream_options")?;
        let base_url = reader.text("base_url")?.unwrap_or_default();
        Ok(Self {
            stream_options: said.unwrap_or_else(|| !refuses(host(&base_url))),
        })
    }
}

fn refuses(host: &str) -> bool {
    WITHOUT_STREAM_OPTIONS.iter().any(|domain| {
        let before = host.strip_suffix(domain);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

/// The host of a URL.
fn host(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    host.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(table: Value, stream_options: bool) {
        let options = Options::parse("a", table.as_object().expect("a table")).expect("valid");
        assert_eq!(options, Options { stream_options }, "{table}");
    }

    #[test]
    fn what_was_used_is_asked_for_where_that_is_not_refused() {
        check(json!({}), true);
        check(json!({ "base_url": "https://api.mistral.ai/v1" }), false);
        check(
            json!({ "base_url": "https://api.mistral.ai:443/v1", "stream_options": true }),
            true,
        );
        check(json!({ "base_url": "https://notmistral.ai/v1" }), true);
        check(json!({ "base_url": "http://localhost:1/mistral.ai" }), true);
        check(json!({ "stream_options": false }), false);
        let wrong = json!({ "stream_options": "no" });
        assert!(Options::parse("a", wrong.as_object().expect("a table")).is_err());
    }
}
