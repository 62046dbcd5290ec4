//! How a model is asked to think: newer ones decide themselves how much, and refuse a budget; older ones know nothing else.

use dovetail_plugin_api::{Error, TableReader};
use serde_json::{Value, json};

/// The first version that decides itself. The one before refuses to be asked for it.
const FIRST_ADAPTIVE: (u32, u32) = (4, 6);

/// The first version that takes every word for effort.
const FIRST_WITH_ALL_EFFORTS: (u32, u32) = (4, 7);

/// Parts of a version are small; what is larger in a model's name is a date.
const LARGEST_VERSION: u32 = 99;

/// A way to be asked to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// With a number of tokens.
    Budget,
    /// With a word for effort.
    Adaptive,
}

impl Way {
    /// What a table says, if it does.
    pub(crate) fn parse(reader: &TableReader<'_>) -> Result<Option<Self>, Error> {
        match reader.text("thinking")?.as_deref() {
            None => Ok(None),
            Some("budget") => Ok(Some(Self::Budget)),
            Some("adaptive") => Ok(Some(Self::Adaptive)),
            Some(_) => Err(reader.error("thinking must be `adaptive` or `budget`")),
        }
    }

    /// The way of a model, by its name.
    pub(crate) fn of(model: &str) -> Self {
        match version(model) {
            Some(version) if version >= FIRST_ADAPTIVE => Self::Adaptive,
            _ => Self::Budget,
        }
    }
}

/// What a request says to have the model think as it likes, with that effort; none where it is not to think.
pub(crate) fn adaptive(model: &str, effort: Option<&str>) -> Option<(Value, Value)> {
    let all = version(model).is_none_or(|version| version >= FIRST_WITH_ALL_EFFORTS);
    let effort = match effort? {
        "none" | "minimal" => return None,
        "xhigh" if !all => "high",
        effort => effort,
    };
    // Without `display` newer models keep their thoughts to themselves.
    let thinking = json!({ "type": "adaptive", "display": "summarized" });
    Some((thinking, json!({ "effort": effort })))
}

/// The version in a name such as `claude-opus-4-6`, `us.anthropic.claude-sonnet-4.5-v1:0` or `claude-3-7-sonnet-20250219`.
fn version(model: &str) -> Option<(u32, u32)> {
    let lower = model.to_ascii_lowercase();
    let (_, name) = lower.split_once("claude-")?;
    let mut parts = name.split(|c: char| !c.is_ascii_alphanumeric());
    let number = |part: &str| {
        part.parse()
            .ok() // No number: a word of the name.
            .filter(|number| *number <= LARGEST_VERSION)
    };
    let major = parts.find_map(number)?;
    let minor = parts.next().and_then(number);
    Some((major, minor.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_tells_how_it_is_asked_to_think() {
        for model in [
            "claude-opus-4-6",
            "anthropic/claude-opus-4.8",
            "global.anthropic.claude-opus-4-7-v1:0",
            "claude-opus-4-6@20260203",
            "claude-opus-5",
            "Claude-Sonnet-5-20260701",
        ] {
            assert_eq!(Way::of(model), Way::Adaptive, "{model}");
        }
        for model in [
            "claude-3-7-sonnet-20250219",
            "claude-opus-4-20250514",
            "claude-sonnet-4-5",
            "us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "claude-latest",
            "other",
        ] {
            assert_eq!(Way::of(model), Way::Budget, "{model}");
        }
    }

    #[test]
    fn effort_is_a_word_that_the_model_knows() {
        let effort = |model: &str, effort: &str| {
            adaptive(model, Some(effort)).map(|(_, config)| config["effort"].clone())
        };
        assert_eq!(effort("claude-opus-4-6", "xhigh"), Some(json!("high")));
        assert_eq!(effort("claude-opus-4-7", "xhigh"), Some(json!("xhigh")));
        assert_eq!(effort("mine", "low"), Some(json!("low")));
        assert_eq!(effort("claude-opus-5", "none"), None);
        assert_eq!(adaptive("claude-opus-5", None), None);
    }
}
