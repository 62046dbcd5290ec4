//! `[model_providers.<id>.auth]`, checked.

use std::num::NonZeroU64;

use dovetail_plugin_api::{Error, ProviderTable, TableReader};

const DEFAULT_TIMEOUT_MS: NonZeroU64 = NonZeroU64::new(5_000).unwrap();
const DEFAULT_REFRESH_INTERVAL_MS: u64 = 300_000;

/// How to get a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthTable {
    /// The provider id, for errors.
    pub(crate) provider_id: String,
    /// The program: a path, or a name to be looked up in `PATH`.
    pub(crate) command: String,
    pub(crate) args: Vec<String>,
    pub(crate) timeout_ms: NonZeroU64,
    /// The age at which a token is fetched again; none to wait until it is refused.
    pub(crate) refresh_interval_ms: Option<u64>,
    pub(crate) cwd: Option<String>,
}

impl AuthTable {
    /// Reads the `auth` block of a table.
    pub(crate) fn parse(table: &ProviderTable) -> Result<Self, Error> {
        let path = format!("model_providers.{}.auth", table.id);
        let block = table.auth.as_ref();
        let block = block.ok_or_else(|| Error::Invalid(format!("{path}: the block is missing")))?;
        let reader = TableReader::new(path, block);
        let command = reader.text("command")?.unwrap_or_default();
        if command.trim().is_empty() {
            return Err(reader.error("command must not be blank"));
        }
        let timeout_ms = match reader.number("timeout_ms")? {
            None => DEFAULT_TIMEOUT_MS,
            Some(ms) => NonZeroU64::new(ms)
                .ok_or_else(|| reader.error("timeout_ms must be more than zero"))?,
        };
        let refresh_interval_ms = reader
            .number("refresh_interval_ms")?
            .unwrap_or(DEFAULT_REFRESH_INTERVAL_MS);
        Ok(Self {
            provider_id: table.id.clone(),
            command,
            args: reader.texts("args")?.unwrap_or_default(),
            timeout_ms,
            refresh_interval_ms: (refresh_interval_ms > 0).then_some(refresh_interval_ms),
            cwd: reader.text("cwd")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(auth: Value) -> Result<AuthTable, Error> {
        let table = json!({ "name": "Corp", "auth": auth });
        AuthTable::parse(&ProviderTable::parse(
            "corp",
            table.as_object().expect("a table"),
        )?)
    }

    #[track_caller]
    fn refused(auth: Value, expected: &str) {
        assert_eq!(parse(auth), Err(Error::invalid(expected)));
    }

    #[test]
    fn defaults() {
        let expected = AuthTable {
            provider_id: "corp".to_owned(),
            command: "print-token".to_owned(),
            args: vec![],
            timeout_ms: DEFAULT_TIMEOUT_MS,
            refresh_interval_ms: Some(300_000),
            cwd: None,
        };
        assert_eq!(parse(json!({ "command": "print-token" })), Ok(expected));
    }

    #[test]
    fn everything_set() {
        let auth = parse(json!({
            "command": "./token", "args": ["--for", "corp"], "timeout_ms": 100, "refresh_interval_ms": 0, "cwd": "/opt",
        }))
        .expect("valid");
        assert_eq!(auth.args, ["--for", "corp"]);
        assert_eq!(
            (auth.timeout_ms.get(), auth.refresh_interval_ms),
            (100, None)
        );
        assert_eq!(auth.cwd.as_deref(), Some("/opt"));
    }

    #[test]
    fn mistakes_name_the_key() {
        refused(
            json!({}),
            "model_providers.corp.auth: command must not be blank",
        );
        refused(
            json!({ "command": " " }),
            "model_providers.corp.auth: command must not be blank",
        );
        refused(
            json!({ "command": "t", "timeout_ms": 0 }),
            "model_providers.corp.auth: timeout_ms must be more than zero",
        );
        refused(
            json!({ "command": "t", "timeout_ms": -5 }),
            "model_providers.corp.auth: timeout_ms must be a whole number, not a number",
        );
        refused(
            json!({ "command": "t", "args": "--x" }),
            "model_providers.corp.auth: args must be a list of texts, not a text",
        );
        refused(
            json!("t"),
            "model_providers.corp: auth must be a table, not a text",
        );
    }
}
