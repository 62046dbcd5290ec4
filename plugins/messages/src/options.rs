//! What a table may say besides the standard keys, and what effort means here.

use dovetail_plugin_api::{Error, TableReader};
use serde_json::{Map, Value};

use crate::thinking::Way;

/// What the API insists on knowing, where the table does not say it. All models of the last years take it.
const USUAL_MAX_TOKENS: u64 = 32_000;

/// The least that the API takes for thinking.
const LEAST_BUDGET: u64 = 1_024;

/// Tokens that are left for the answer, whatever is thought before.
const FOR_THE_ANSWER: u64 = 4_096;

/// Settings of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    /// `max_output_tokens`: the longest answer, thinking included.
    pub(crate) max_tokens: u64,
    /// `thinking`: how models are asked to think, where their names do not tell.
    pub(crate) thinking: Option<Way>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_tokens: USUAL_MAX_TOKENS,
            thinking: None,
        }
    }
}

impl Options {
    pub(crate) fn parse(id: &str, table: &Map<String, Value>) -> Result<Self, Error> {
        let reader = TableReader::new(format!("model_providers.{id}"), table);
        let max_tokens = match table.get("max_output_tokens") {
            None => USUAL_MAX_TOKENS,
            Some(value) => value
                .as_u64()
                .filter(|tokens| *tokens > 0)
                .ok_or_else(|| reader.error("max_output_tokens must be a whole number above 0"))?,
        };
        Ok(Self {
            max_tokens,
            thinking: Way::parse(&reader)?,
        })
    }

    /// Tokens to think with; none where the model is not to think, or has no room for it.
    pub(crate) fn budget(self, effort: Option<&str>) -> Option<u64> {
        let wanted = match effort? {
            "none" | "minimal" => return None,
            "low" => 4_096,
            "medium" => 8_192,
            "high" => 16_384,
            _ => 27_904,
        };
        let room = self.max_tokens.checked_sub(FOR_THE_ANSWER)?;
        Some(wanted.min(room)).filter(|budget| *budget >= LEAST_BUDGET)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(table: Value) -> Result<Options, Error> {
        Options::parse("a", table.as_object().expect("a table"))
    }

    #[test]
    fn the_longest_answer_is_a_number() {
        assert_eq!(parsed(json!({})), Ok(Options::default()));
        let own = parsed(json!({ "max_output_tokens": 8192 })).expect("valid");
        assert_eq!(own.max_tokens, 8192);
        for wrong in [json!(0), json!("many"), json!(-1)] {
            let error = parsed(json!({ "max_output_tokens": wrong })).expect_err("refused");
            assert_eq!(
                error.to_string(),
                "model_providers.a: max_output_tokens must be a whole number above 0"
            );
        }
    }

    #[test]
    fn how_to_think_may_be_said() {
        let own = parsed(json!({ "thinking": "adaptive" })).expect("valid");
        assert_eq!(own.thinking, Some(Way::Adaptive));
        let error = parsed(json!({ "thinking": "hard" })).expect_err("refused");
        assert_eq!(
            error.to_string(),
            "model_providers.a: thinking must be `adaptive` or `budget`"
        );
    }

    #[test]
    fn thinking_leaves_room_for_the_answer() {
        let usual = Options::default();
        assert_eq!(usual.budget(None), None);
        assert_eq!(usual.budget(Some("none")), None);
        assert_eq!(usual.budget(Some("high")), Some(16_384));
        assert_eq!(usual.budget(Some("xhigh")), Some(27_904));
        let budget = |max_tokens| {
            let options = Options {
                max_tokens,
                ..Options::default()
            };
            options.budget(Some("high"))
        };
        assert_eq!(
            (budget(8_192), budget(4_096), budget(5_000)),
            (Some(4_096), None, None)
        );
    }
}
