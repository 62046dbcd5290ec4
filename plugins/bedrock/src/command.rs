//! Programs that the user names: what they are, and what they printed.

use std::time::Duration;

use dovetail_plugin_api::process::Output;
use dovetail_plugin_api::{Error, TableReader};
use serde_json::{Map, Value};

use crate::outside::Outside;
use crate::trouble::Trouble;

/// As much of a program's standard error as fits a message.
const LONGEST_EXCERPT: usize = 300;

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandLine {
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) timeout: Duration,
}

impl CommandLine {
    /// Reads `{ command, args, cwd, timeout_ms }` at `path`.
    pub(crate) fn parse(
        path: &str,
        table: &Map<String, Value>,
        default_timeout: Duration,
    ) -> Result<Self, Error> {
        let reader = TableReader::new(path, table);
        let program = reader.text("command")?.unwrap_or_default();
        if program.trim().is_empty() {
            return Err(reader.error("command must not be blank"));
        }
        let timeout = match reader.number("timeout_ms")? {
            None => default_timeout,
            Some(0) => return Err(reader.error("timeout_ms must be more than zero")),
            Some(ms) => Duration::from_millis(ms),
        };
        Ok(Self {
            program,
            args: reader.texts("args")?.unwrap_or_default(),
            cwd: reader.text("cwd")?,
            timeout,
        })
    }

    /// Runs it and gives what it printed. `what` names it in errors; whatever goes wrong may be a sign-in that is over.
    pub(crate) fn output(&self, outside: &impl Outside, what: &str) -> Result<Vec<u8>, Trouble> {
        let subject = format!("{what} `{}`", self.program);
        let output = match outside.run(self) {
            Ok(output) => output,
            // Whoever waits for something that does not come would wait as long for it again.
            Err(Error::Retryable { .. }) => {
                return Err(Trouble::signed_out(format!(
                    "{subject} did not end within {} ms",
                    self.timeout.as_millis()
                )));
            }
            Err(error) => return Err(Trouble::from(error).while_doing(&subject)),
        };
        let ended = match output.exit_code {
            Some(0) => return Ok(output.stdout),
            Some(code) => format!("ended with exit code {code}"),
            None => "was ended by a signal".to_owned(),
        };
        Err(Trouble::signed_out(format!(
            "{subject} {ended}{}",
            complaint(&output)
        )))
    }
}

/// The end of the standard error, where programs put what went wrong, on one line behind a colon.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    let surplus = line.chars().count().saturating_sub(LONGEST_EXCERPT);
    match (line.is_empty(), surplus) {
        (true, _) => String::new(),
        (false, 0) => format!(": {line}"),
        (false, _) => format!(": …{}", line.chars().skip(surplus).collect::<String>()),
    }
}
