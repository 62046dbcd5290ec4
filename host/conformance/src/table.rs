//! Table files: what the made-up host is like, and cases with what is expected of each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use crate::hooks::HookCase;
use crate::outside::{HttpAnswer, ProgramAnswer};
use crate::provider::ProviderCase;
use crate::sink::SinkCase;
use crate::tools::ToolCase;

/// Longer tables are refused unread.
const MOST_BYTES: u64 = 4 << 20;

/// A table file.
#[derive(Debug, Clone)]
pub struct Table {
    /// The file, as it was named.
    pub(crate) file: PathBuf,
    pub(crate) host: Host,
    /// `[request]` for a component that comes without a manifest.
    pub(crate) request: Option<toml::Table>,
    pub(crate) http: Vec<HttpAnswer>,
    pub(crate) process: Vec<ProgramAnswer>,
    pub(crate) hook: Vec<Placed<HookCase>>,
    pub(crate) tool: Vec<Placed<ToolCase>>,
    pub(crate) provider: Vec<Placed<ProviderCase>>,
    pub(crate) sink: Vec<Placed<SinkCase>>,
}

/// What the made-up host is like.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Host {
    /// The plugin's configuration.
    pub(crate) config: Value,
    /// Environment variables.
    pub(crate) env: BTreeMap<String, String>,
    /// Values of secret slots.
    pub(crate) secrets: BTreeMap<String, String>,
    /// Files in the working directory.
    pub(crate) files: BTreeMap<String, String>,
    /// What the clock shows, in RFC 3339.
    pub(crate) now: Option<String>,
}

/// A case, and the line where it starts.
#[derive(Debug, Clone)]
pub(crate) struct Placed<T> {
    pub(crate) line: usize,
    pub(crate) case: T,
}

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be read.
    #[error("cannot read the table `{}`", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// It is larger than any table.
    #[error("the table `{}` is larger than {MOST_BYTES} bytes", .0.display())]
    TooLarge(PathBuf),
    /// Something in it is wrong.
    #[error("{}:{line}: {problem}", file.display())]
    At {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    host: Host,
    request: Option<toml::Table>,
    #[serde(default)]
    http: Vec<HttpAnswer>,
    #[serde(default)]
    process: Vec<ProgramAnswer>,
    #[serde(default)]
    hook: Vec<Spanned<HookCase>>,
    #[serde(default)]
    tool: Vec<Spanned<ToolCase>>,
    #[serde(default)]
    provider: Vec<Spanned<ProviderCase>>,
    #[serde(default)]
    sink: Vec<Spanned<SinkCase>>,
}

impl Table {
    /// Reads a table file.
    ///
    /// # Errors
    /// Names the file, the line and what is wrong there.
    pub fn read(file: &Path) -> Result<Self, TableError> {
        let error = |source| TableError::Read(file.to_owned(), source);
        if std::fs::metadata(file).map_err(error)?.len() > MOST_BYTES {
            return Err(TableError::TooLarge(file.to_owned()));
        }
        Self::parse(&std::fs::read_to_string(file).map_err(error)?, file)
    }

    /// Reads the text of a table; `file` is named in errors.
    ///
    /// # Errors
    /// Names the file, the line and what is wrong there.
    pub fn parse(text: &str, file: &Path) -> Result<Self, TableError> {
        let at = |start: usize, problem: String| TableError::At {
            file: file.to_owned(),
            line: line_of(text, start),
            problem,
        };
        let read: File = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            at(start, error.message().replace('\n', " "))
        })?;
        if let Some(now) = &read.host.now
            && now.parse::<jiff::Timestamp>().is_err()
        {
            let start = text.find("now").unwrap_or_default();
            let problem =
                format!("`now` must be a time such as \"2026-01-31T12:00:00Z\", not {now:?}");
            return Err(at(start, problem));
        }
        Ok(Self {
            file: file.to_owned(),
            host: read.host,
            request: read.request,
            http: read.http,
            process: read.process,
            hook: placed(text, read.hook),
            tool: placed(text, read.tool),
            provider: placed(text, read.provider),
            sink: placed(text, read.sink),
        })
    }

    /// Its `[request]` as text, for a component that comes without a manifest.
    pub fn request_toml(&self) -> Option<String> {
        let request = self.request.as_ref()?;
        let whole = toml::Table::from_iter([("request".to_owned(), request.clone().into())]);
        // What was read from TOML can be written as such.
        toml::to_string(&whole).ok()
    }

    /// How many cases it has.
    pub(crate) fn cases(&self) -> usize {
        self.hook.len() + self.tool.len() + self.provider.len() + self.sink.len()
    }

    /// What the clock shows, in milliseconds since 1970.
    pub(crate) fn now_unix_ms(&self) -> Option<u64> {
        let now: jiff::Timestamp = self.host.now.as_ref()?.parse().ok()?;
        u64::try_from(now.as_millisecond()).ok()
    }
}

fn placed<T>(text: &str, cases: Vec<Spanned<T>>) -> Vec<Placed<T>> {
    let place = |case: Spanned<T>| Placed {
        line: line_of(text, case.span().start),
        case: case.into_inner(),
    };
    cases.into_iter().map(place).collect()
}

fn line_of(text: &str, start: usize) -> usize {
    let before = text.as_bytes().get(..start).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        let error = Table::parse(text, Path::new("t.toml")).expect_err("it is refused");
        error.to_string()
    }

    #[test]
    fn what_is_wrong_has_a_line() {
        for (text, line, words) in [
            (
                "[host]\ncolour = 1\n",
                "t.toml:2: ",
                "unknown field `colour`",
            ),
            (
                "\n\n[[hook]]\nevnt = \"x\"\n",
                "t.toml:4: ",
                "unknown field `evnt`",
            ),
            (
                "[[hook]]\nevent = \"PreToolUse\"\n",
                "t.toml:1: ",
                "missing field `expect`",
            ),
            ("[host\n", "t.toml:1: ", ""),
            (
                "[host]\nnow = \"yesterday\"\n",
                "t.toml:2: ",
                "must be a time",
            ),
            (
                "[[sink]]\nexpect = { ack = \"maybe\" }\n",
                "t.toml:2: ",
                "unknown variant `maybe`",
            ),
        ] {
            let said = problem(text);
            assert!(
                said.starts_with(line) && said.contains(words),
                "{text}: {said}"
            );
        }
    }

    #[test]
    fn cases_know_their_lines() {
        let text = "[[hook]]\nexpect = { decision = \"none\" }\n\n[[hook]]\nexpect = { decision = \"deny\" }\n";
        let table = Table::parse(text, Path::new("t.toml")).expect("a table");
        let lines: Vec<usize> = table.hook.iter().map(|placed| placed.line).collect();
        assert_eq!((lines, table.cases()), (vec![1, 4], 2));
    }
}
