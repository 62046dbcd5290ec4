//! Ids of providers that exist without a table.

/// Ids of `model_providers` that a user cannot define.
pub(crate) const RESERVED_PROVIDERS: &[&str] = &["openai", "ollama", "lmstudio"];

/// Ids that are known without a table: plugins that come with the host serve or will serve them.
pub(crate) const BUILT_IN_PROVIDERS: &[&str] = &[
    "openai",
    "amazon-bedrock",
    "amazon-bedrock-runtime",
    "gcp",
    "ollama",
    "lmstudio",
];
