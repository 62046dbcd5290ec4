//! Ids of providers that exist without a table.

/// Ids of `model_providers` that a user cannot define.
pub const RESERVED_PROVIDERS: &[&str] = &["openai", "ollama", "lmstudio"];

/// Ids that are known without a table: plugins that come with the host serve or will serve them.
pub(crate) const BUILT_IN_PROVIDERS: &[&str] = &[
    "openai",
    "amazon-bedrock",
    "amazon-bedrock-runtime",
    "gcp",
    "ollama",
    "lmstudio",
];

/// Whether a text can be the id of a provider that a command makes: what needs no quotes anywhere. Tables that people write
/// may have any name.
pub fn is_provider_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let first = text.bytes().next();
    text.len() <= 64
        && first.is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(plain)
}
