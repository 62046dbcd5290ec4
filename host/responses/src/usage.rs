//! Token counts as services report them.

use dovetail_core::usage::TokenUsage;
use serde::Deserialize;

#[derive(Default, Deserialize)]
struct Wire {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    input_tokens_details: Option<InputDetails>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
    #[serde(default)]
    total_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
struct InputDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default, alias = "cache_creation_tokens")]
    cache_write_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
struct OutputDetails {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

/// Reads the `usage` of a response. Counts that a service leaves out are 0, a missing sum is made.
pub(crate) fn parse(json: &str) -> Result<Option<TokenUsage>, serde_json::Error> {
    let Some(wire) = serde_json::from_str::<Option<Wire>>(json)? else {
        return Ok(None);
    };
    let input = wire.input_tokens_details.unwrap_or_default();
    let output = wire.output_tokens_details.unwrap_or_default();
    let (input_tokens, output_tokens) = (
        wire.input_tokens.unwrap_or(0),
        wire.output_tokens.unwrap_or(0),
    );
    Ok(Some(TokenUsage {
        input_tokens,
        cached_input_tokens: input.cached_tokens.unwrap_or(0),
        cache_write_input_tokens: input.cache_write_tokens.unwrap_or(0),
        output_tokens,
        reasoning_output_tokens: output.reasoning_tokens.unwrap_or(0),
        total_tokens: wire
            .total_tokens
            .unwrap_or_else(|| input_tokens.saturating_add(output_tokens)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_read_and_may_be_missing() {
        let whole = r#"{"input_tokens":9,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},
            "output_tokens":3,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":12}"#;
        let expected = TokenUsage {
            input_tokens: 9,
            cached_input_tokens: 4,
            cache_write_input_tokens: 2,
            output_tokens: 3,
            reasoning_output_tokens: 1,
            total_tokens: 12,
        };
        assert_eq!(parse(whole).expect("valid"), Some(expected));
        let bare = TokenUsage {
            input_tokens: 9,
            total_tokens: 9,
            ..TokenUsage::default()
        };
        let text = r#"{"input_tokens":9,"input_tokens_details":null,"output_tokens":null}"#;
        assert_eq!(parse(text).expect("valid"), Some(bare));
        assert_eq!(parse("null").expect("valid"), None);
        assert!(parse(r#"{"input_tokens":"many"}"#).is_err());
    }
}
