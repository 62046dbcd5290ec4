//! The values that fields of a model have.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much of its reasoning the model sums up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReasoningSummary {
    /// As the model likes.
    Auto,
    /// Little.
    Concise,
    /// Much.
    Detailed,
    /// Nothing: the key is left out of requests.
    None,
}

impl ReasoningSummary {
    /// The value as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Concise => "concise",
            Self::Detailed => "detailed",
            Self::None => "none",
        }
    }
}

/// How wordy answers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verbosity {
    /// Short.
    Low,
    /// Middling.
    Medium,
    /// Long.
    High,
}

impl Verbosity {
    /// The value as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// An effort that a model offers. Written as its name alone, or as a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "WrittenLevel")]
#[schemars(with = "WrittenLevel")]
pub struct ReasoningLevel {
    /// The name that requests carry.
    pub effort: String,
    /// What it is good for, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "ReasoningLevel")]
enum WrittenLevel {
    /// Its name alone.
    Name(String),
    /// Its name and what it is good for.
    Table {
        /// The name that requests carry.
        effort: String,
        /// What it is good for, in words.
        description: Option<String>,
    },
}

impl From<WrittenLevel> for ReasoningLevel {
    fn from(written: WrittenLevel) -> Self {
        match written {
            WrittenLevel::Name(effort) => Self {
                effort,
                description: None,
            },
            WrittenLevel::Table {
                effort,
                description,
            } => Self {
                effort,
                description,
            },
        }
    }
}

/// How a model takes patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatchToolType {
    /// As free text, constrained by a grammar.
    Freeform,
    /// As the one text argument of a function.
    Function,
}

/// What the hosted web search may return to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebSearchToolType {
    /// Text; requests leave it to the service.
    Text,
    /// Text and images.
    TextAndImage,
}

/// What the limit of a tool's output counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TruncationMode {
    /// Tokens.
    Tokens,
    /// Bytes.
    Bytes,
}

/// How much of a tool's output a model gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TruncationPolicy {
    /// What is counted.
    pub mode: TruncationMode,
    /// The most of it.
    pub limit: u64,
}

/// Bytes that count as one token where nobody counts them exactly.
const BYTES_PER_TOKEN: u64 = 4;

impl TruncationPolicy {
    /// A limit in tokens.
    pub fn tokens(limit: u64) -> Self {
        Self {
            mode: TruncationMode::Tokens,
            limit,
        }
    }

    /// The limit in tokens, whatever it counts.
    pub fn in_tokens(self) -> u64 {
        match self.mode {
            TruncationMode::Tokens => self.limit,
            TruncationMode::Bytes => self.limit / BYTES_PER_TOKEN,
        }
    }
}

impl fmt::Display for TruncationPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            TruncationMode::Tokens => write!(f, "{} tokens", self.limit),
            TruncationMode::Bytes => write!(f, "{} bytes", self.limit),
        }
    }
}

/// A queue of the service that a model can be asked through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ServiceTierInfo {
    /// The value in requests.
    pub id: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The model that takes another's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Upgrade {
    /// Its name.
    pub model: String,
}
