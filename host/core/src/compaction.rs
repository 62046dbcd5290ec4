//! Conversations that grew too long: when that is, what is kept of them, and what the model is asked for.
//!
//! Plain values only. Asking the model and putting the result in place is the turn's part.

mod estimate;
mod gauge;
mod replacement;
mod trim;

pub(crate) use estimate::{item_tokens, items_tokens};
pub(crate) use gauge::Gauge;
pub(crate) use replacement::{LOCAL_BUDGET, REMOTE_BUDGET, newest_messages, replacement};
pub(crate) use trim::trimmed;

/// What the model is asked for where the user sets no other prompt.
pub const COMPACT_PROMPT: &str = include_str!("compaction/prompt.md");

/// What stands before a summary in the conversation that goes on from it.
const SUMMARY_PREFIX: &str = include_str!("compaction/summary_prefix.md");

/// What the message of a summary is, in the metadata of items.
pub(crate) const SUMMARY_KIND: &str = "compaction.summary";

/// When and how conversations are compacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionOptions {
    /// Tokens of context after which it happens by itself; none for never.
    pub limit: Option<u64>,
    /// What the limit counts.
    pub scope: LimitScope,
    /// Whether the provider's service does it.
    pub remote: bool,
    /// What the model is asked for where the service does not.
    pub prompt: String,
}

impl Default for CompactionOptions {
    fn default() -> Self {
        Self {
            limit: None,
            scope: LimitScope::Total,
            remote: false,
            prompt: COMPACT_PROMPT.to_owned(),
        }
    }
}

/// What the limit counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LimitScope {
    /// All that the model reads.
    #[default]
    Total,
    /// What came after a window's first request: its instructions, tools and retained messages are free. The context
    /// window itself is a limit too.
    BodyAfterPrefix,
}

impl CompactionOptions {
    /// Whether so many tokens are too many. `prefix` is what a window's first request had, as far as that is known.
    pub(crate) fn is_over(&self, tokens: u64, prefix: Option<u64>, window: Option<u64>) -> bool {
        let reached = |limit: Option<u64>, tokens: u64| limit.is_some_and(|limit| tokens >= limit);
        match self.scope {
            LimitScope::Total => reached(self.limit, tokens),
            LimitScope::BodyAfterPrefix => {
                let body = tokens.saturating_sub(prefix.unwrap_or(tokens));
                reached(self.limit, body) || reached(window, tokens)
            }
        }
    }
}

/// The message that a conversation goes on from.
pub(crate) fn summary_text(summary: &str) -> String {
    format!("{}\n{}", SUMMARY_PREFIX.trim_end(), summary.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(scope: LimitScope, tokens: u64, prefix: Option<u64>, over: bool) {
        let options = CompactionOptions {
            limit: Some(100),
            scope,
            ..CompactionOptions::default()
        };
        assert_eq!(options.is_over(tokens, prefix, Some(500)), over);
    }

    #[test]
    fn a_limit_is_reached_when_it_is_met() {
        check(LimitScope::Total, 99, None, false);
        check(LimitScope::Total, 100, None, true);
        check(LimitScope::Total, 100, Some(90), true);
    }

    #[test]
    fn what_every_request_has_can_be_left_out_of_account() {
        check(LimitScope::BodyAfterPrefix, 189, Some(90), false);
        check(LimitScope::BodyAfterPrefix, 190, Some(90), true);
        check(LimitScope::BodyAfterPrefix, 499, None, false);
        check(LimitScope::BodyAfterPrefix, 500, Some(450), true);
    }

    #[test]
    fn without_a_limit_nothing_is_too_much() {
        let options = CompactionOptions::default();
        assert!(!options.is_over(u64::MAX, None, Some(1)));
    }
}
