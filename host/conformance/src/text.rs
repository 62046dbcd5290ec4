//! What a case expects of a text.

use serde::Deserialize;

/// A whole text, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Text {
    /// The text as a whole.
    Whole(String),
    /// Something in it.
    Part(Part),
}

/// `{ contains = "…" }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    contains: String,
}

impl Text {
    /// Says how a text differs from what is expected, if it does.
    pub(crate) fn differs(&self, what: &str, found: &str) -> Option<String> {
        match self {
            Self::Whole(expected) if expected != found => {
                Some(format!("{what} is {found:?}, expected {expected:?}"))
            }
            Self::Part(part) if !found.contains(&part.contains) => Some(format!(
                "{what} is {found:?}, expected something with {:?}",
                part.contains
            )),
            Self::Whole(_) | Self::Part(_) => None,
        }
    }
}

/// Compares a text that may be absent with what is expected of it, if anything is.
pub(crate) fn differs(expected: Option<&Text>, what: &str, found: Option<&str>) -> Option<String> {
    match (expected, found) {
        (None, _) => None,
        (Some(expected), Some(found)) => expected.differs(what, found),
        (Some(_), None) => Some(format!("there is no {what}, and one is expected")),
    }
}
