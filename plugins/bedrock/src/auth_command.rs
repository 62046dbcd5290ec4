//! A bearer token that a command prints, for gateways before Bedrock that want one.

use std::fmt;
use std::time::Duration;

use dovetail_plugin_api::provider::Prepared;
use dovetail_plugin_api::{Error, Header, TableReader, is_token};
use serde_json::{Map, Value};

use crate::command::CommandLine;
use crate::outside::Outside;
use crate::trouble::Trouble;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_REFRESH_INTERVAL_MS: u64 = 300_000;

/// The `auth` block.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AuthCommand {
    command: CommandLine,
    /// The age at which a token is fetched again; none to wait until it is refused.
    refresh_interval_ms: Option<u64>,
}

/// A token. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl AuthCommand {
    pub(crate) fn parse(path: &str, table: &Map<String, Value>) -> Result<Self, Error> {
        let interval = TableReader::new(path, table).number("refresh_interval_ms")?;
        let interval = interval.unwrap_or(DEFAULT_REFRESH_INTERVAL_MS);
        Ok(Self {
            command: CommandLine::parse(path, table, DEFAULT_TIMEOUT)?,
            refresh_interval_ms: (interval > 0).then_some(interval),
        })
    }

    /// What is run, for people.
    pub(crate) fn program(&self) -> &str {
        &self.command.program
    }

    /// Runs the command.
    pub(crate) fn fetch(&self, outside: &impl Outside) -> Result<Token, Trouble> {
        let printed = self.command.output(outside, "auth command")?;
        let wrong = |what: &str| {
            Trouble::lasting(format!(
                "auth command `{}` printed {what}",
                self.command.program
            ))
        };
        let text = String::from_utf8(printed).map_err(|_| wrong("a token that is not UTF-8"))?;
        match text.trim() {
            "" => Err(wrong("no token")),
            text if !is_token(text) => {
                Err(wrong("more than one word, or characters that no token has"))
            }
            text => Ok(Token(text.to_owned())),
        }
    }

    /// The header, until the token is to be fetched again.
    pub(crate) fn prepared(&self, token: &Token, now_unix_ms: u64) -> Prepared {
        Prepared {
            headers: vec![Header::bearer(token.0.as_str()).sensitive()],
            expires_at_unix_ms: self
                .refresh_interval_ms
                .map(|interval| now_unix_ms.saturating_add(interval)),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
