//! Expectations: what is looked at, and what must hold of it.

use regex_lite::Regex;
use serde::Deserialize;

use super::value::{keys, to_json};
use crate::script::{Check, Expectation, Subject};

const SUBJECTS: &str =
    "`method`, `path`, `header`, `body`, `input_contains`, `tool_output` or `tool`";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpectation {
    method: Option<String>,
    path: Option<String>,
    header: Option<String>,
    body: Option<String>,
    input_contains: Option<String>,
    tool_output: Option<String>,
    tool: Option<String>,
    present: Option<bool>,
    absent: Option<bool>,
    equals: Option<toml::Value>,
    contains: Option<String>,
    matches: Option<String>,
}

pub(super) fn parse_expectation(value: toml::Value) -> Result<Expectation, String> {
    let mut raw: RawExpectation = keys(value)?;
    let mut subjects = Vec::new();
    // These two say at once what they look at and what it must be.
    if let Some(method) = raw.method.take() {
        subjects.push(Subject::Method);
        raw.equals = Some(toml::Value::String(method));
    }
    if let Some(path) = raw.path.take() {
        subjects.push(Subject::Path);
        raw.equals = Some(toml::Value::String(path));
    }
    if let Some(text) = raw.input_contains.take() {
        subjects.push(Subject::Input);
        raw.contains = Some(text);
    }
    subjects.extend(raw.header.take().map(Subject::Header));
    subjects.extend(raw.body.take().map(Subject::Body));
    subjects.extend(raw.tool_output.take().map(Subject::ToolOutput));
    subjects.extend(raw.tool.take().map(Subject::Tool));
    match <[Subject; 1]>::try_from(subjects) {
        Ok([subject]) => Ok(Expectation {
            check: parse_check(raw)?,
            subject,
        }),
        Err(_) => Err(format!("an expectation names exactly one of {SUBJECTS}")),
    }
}

fn parse_check(raw: RawExpectation) -> Result<Check, String> {
    let mut checks = Vec::new();
    if let Some(present) = raw.present {
        checks.push(if present {
            Check::Present
        } else {
            Check::Absent
        });
    }
    if let Some(absent) = raw.absent {
        checks.push(if absent {
            Check::Absent
        } else {
            Check::Present
        });
    }
    checks.extend(raw.equals.map(|value| Check::Equals(to_json(value))));
    checks.extend(raw.contains.map(Check::Contains));
    if let Some(pattern) = raw.matches {
        let regex = Regex::new(&pattern).map_err(|error| format!("`matches`: {error}"))?;
        checks.push(Check::Matches(regex));
    }
    match checks.len() {
        0 => Ok(Check::Present),
        1 => Ok(checks.remove(0)),
        _ => Err(
            "an expectation has one of `present`, `absent`, `equals`, `contains`, `matches`"
                .to_owned(),
        ),
    }
}
