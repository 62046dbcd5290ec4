//! Token counts.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Tokens used, as the provider reports them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Read by the model, cached ones included.
    pub input_tokens: u64,
    /// Of those, read from a cache.
    #[serde(default)]
    pub cached_input_tokens: u64,
    /// Of those, written to a cache.
    #[serde(default)]
    pub cache_write_input_tokens: u64,
    /// Written by the model, reasoning included.
    pub output_tokens: u64,
    /// Of those, reasoning.
    #[serde(default)]
    pub reasoning_output_tokens: u64,
    /// The provider's own sum.
    #[serde(default)]
    pub total_tokens: u64,
}

impl AddAssign for TokenUsage {
    fn add_assign(&mut self, other: Self) {
        // A hostile server may report anything; a wrapped count would be worse than a capped one.
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.cached_input_tokens = self
            .cached_input_tokens
            .saturating_add(other.cached_input_tokens);
        self.cache_write_input_tokens = self
            .cache_write_input_tokens
            .saturating_add(other.cache_write_input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.reasoning_output_tokens = self
            .reasoning_output_tokens
            .saturating_add(other.reasoning_output_tokens);
        self.total_tokens = self.total_tokens.saturating_add(other.total_tokens);
    }
}
