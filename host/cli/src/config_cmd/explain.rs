//! `dovetail config explain`: each value with its place, and what it overrode.

use dovetail_config::{Config, ExplainError, Explained, Place};
use serde_json::{Value, json};

use super::{place_json, place_text};
use crate::fatal::Fatal;
use crate::terminal_text::visible;

/// Explains all that is set, or one key.
///
/// # Errors
/// There is no such setting.
pub(super) fn text(config: &Config, key: Option<&str>, as_json: bool) -> anyhow::Result<String> {
    let explained = config.explain(key).map_err(unknown)?;
    if as_json {
        let list: Value = explained.iter().map(one_json).collect();
        return Ok(format!("{list:#}\n"));
    }
    // What one key is for is said where somebody asks for it alone.
    let alone = key.is_some() && explained.len() == 1;
    Ok(explained
        .iter()
        .map(|explained| one_text(explained, alone))
        .collect())
}

fn unknown(error: ExplainError) -> Fatal {
    let hint = match &error {
        ExplainError::Unknown {
            nearest: Some(nearest),
            ..
        } => format!("did you mean `{nearest}`?"),
        ExplainError::Unknown { nearest: None, .. } | ExplainError::NotAKey(_) => {
            "`dovetail config explain` lists what is set, docs/config.md all there is".to_owned()
        }
    };
    Fatal::new(error.to_string()).hint(hint)
}

fn one_text(explained: &Explained, alone: bool) -> String {
    let mut text = match &explained.set {
        Some((value, place)) => {
            format!(
                "{} = {value}\n  from      {}\n",
                explained.key,
                place_text(place)
            )
        }
        None => format!("{} is not set\n", explained.key),
    };
    for (value, place) in &explained.overrode {
        text.push_str(&format!("  overrode  {value}  {}\n", place_text(place)));
    }
    if let Some(reason) = &explained.not_supported {
        text.push_str(&format!("  not supported yet: {reason}\n"));
    }
    if let (true, Some(meaning)) = (alone, &explained.meaning) {
        text.push_str(&format!("  meaning   {}\n", meaning.replace('\n', " ")));
    }
    visible(&text)
}

fn one_json(explained: &Explained) -> Value {
    let said =
        |(value, place): &(Value, Place)| json!({"value": value, "origin": place_json(place)});
    json!({
        "key": explained.key,
        "value": explained.set.as_ref().map(|(value, _)| value),
        "origin": explained.set.as_ref().map(|(_, place)| place_json(place)),
        "overrode": explained.overrode.iter().map(said).collect::<Vec<_>>(),
        "supported": explained.not_supported.is_none(),
        "reason": explained.not_supported,
        "meaning": explained.meaning,
    })
}
