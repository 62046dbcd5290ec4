//! From TOML text to a script, with errors that name the line.

mod action;
mod expectation;
mod upgrade;
mod value;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use self::action::parse_action;
use self::expectation::parse_expectation;
use self::upgrade::{RawUpgrade, parse_upgrade};
use crate::script::{Action, Script, Step};

/// Why a script cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The file cannot be read.
    #[error("cannot read the script `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML, or has keys that no script has.
    #[error("the script is not valid: {0}")]
    Syntax(#[from] toml::de::Error),
    /// It is TOML, but makes no sense.
    #[error("line {line}: {what}")]
    Invalid {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScript {
    name: Option<String>,
    model: Option<String>,
    #[serde(default)]
    upgrade: Vec<Spanned<RawUpgrade>>,
    response: Vec<Spanned<RawStep>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    times: Option<u32>,
    complete: Option<bool>,
    #[serde(default)]
    expect: Vec<Spanned<toml::Value>>,
    #[serde(default)]
    actions: Vec<Spanned<toml::Value>>,
}

impl Script {
    /// Reads a script from text.
    ///
    /// # Errors
    /// Names the line and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let raw: RawScript = toml::from_str(text)?;
        if raw.response.is_empty() {
            return Err(ScriptError::Invalid {
                line: 1,
                what: "there is no `[[response]]`".to_owned(),
            });
        }
        let steps = raw
            .response
            .into_iter()
            .map(|step| parse_step(text, step))
            .collect::<Result<_, _>>()?;
        let upgrades = raw.upgrade.into_iter();
        Ok(Self {
            name: raw.name,
            model: raw.model.unwrap_or_else(|| "rehearsal".to_owned()),
            steps,
            upgrades: upgrades
                .map(|upgrade| parse_upgrade(text, upgrade))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Reads a script from a file.
    ///
    /// # Errors
    /// Like [`Script::parse`], and where the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, ScriptError> {
        let text = std::fs::read_to_string(path).map_err(|source| ScriptError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text)
    }
}

fn parse_step(text: &str, raw: Spanned<RawStep>) -> Result<Step, ScriptError> {
    let line = line_of(text, raw.span().start);
    let raw = raw.into_inner();
    let at = |start: usize| {
        move |what: String| ScriptError::Invalid {
            line: line_of(text, start),
            what,
        }
    };
    let mut expect = Vec::with_capacity(raw.expect.len());
    for value in raw.expect {
        let start = value.span().start;
        expect.push(parse_expectation(value.into_inner()).map_err(at(start))?);
    }
    let actions = parse_actions(text, raw.actions)?;
    let times = raw.times.unwrap_or(1);
    if times == 0 {
        return Err(ScriptError::Invalid {
            line,
            what: "`times` must be at least 1".to_owned(),
        });
    }
    Ok(Step {
        line,
        times,
        complete: raw.complete.unwrap_or(true),
        expect,
        actions,
    })
}

fn parse_actions(
    text: &str,
    values: Vec<Spanned<toml::Value>>,
) -> Result<Vec<Action>, ScriptError> {
    let mut actions: Vec<Action> = Vec::with_capacity(values.len());
    for value in values {
        let line = line_of(text, value.span().start);
        let action = parse_action(value.into_inner()).and_then(|action| {
            check_place(&actions, &action)?;
            Ok(action)
        });
        actions.push(action.map_err(|what| ScriptError::Invalid { line, what })?);
    }
    Ok(actions)
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

/// Refuses an action that can have no effect where it stands.
fn check_place(before: &[Action], action: &Action) -> Result<(), String> {
    if before.last().is_some_and(Action::is_last) {
        return Err(
            "nothing can follow the action before this one, since it ends the answer".to_owned(),
        );
    }
    let begun = before.iter().any(|action| !action.is_setting());
    match action {
        Action::Headers(_) if begun => Err("`headers` must come before what is sent".to_owned()),
        Action::Status { .. } if begun => {
            Err("`status` cannot follow a stream that has begun".to_owned())
        }
        _ => Ok(()),
    }
}
