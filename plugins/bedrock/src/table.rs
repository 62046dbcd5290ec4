//! `[model_providers.amazon-bedrock]` and `[model_providers.amazon-bedrock-runtime]`, checked.

use std::time::Duration;

use dovetail_plugin_api::{Error, ProviderTable, TableReader};
use serde_json::{Map, Value};

use crate::auth_command::AuthCommand;
use crate::command::CommandLine;
use crate::endpoint::Service;

/// What a user can change of these providers.
pub(crate) const SETTABLE: [&str; 4] = ["base_url", "auth", "http_headers", "aws"];

/// What other providers' tables have besides. Keys that nobody knows are the host's to complain about.
const NOT_SETTABLE: [&str; 14] = [
    "name",
    "env_key",
    "env_key_instructions",
    "experimental_bearer_token",
    "wire_api",
    "query_params",
    "env_http_headers",
    "request_max_retries",
    "stream_max_retries",
    "stream_idle_timeout_ms",
    "websocket_connect_timeout_ms",
    "requires_openai_auth",
    "supports_websockets",
    "model_catalog_url",
];

/// The other ways to authenticate, which signing excludes.
const OTHER_WAYS: [&str; 4] = [
    "env_key",
    "experimental_bearer_token",
    "auth",
    "requires_openai_auth",
];

const EXPORT_TIMEOUT: Duration = Duration::from_secs(30);
/// Signing in takes a person.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(300);

/// A checked table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) service: Service,
    /// The shared part: address and headers.
    pub(crate) table: ProviderTable,
    /// A command that prints a bearer token, in place of everything else.
    pub(crate) auth: Option<AuthCommand>,
    pub(crate) profile: Option<String>,
    pub(crate) region: Option<String>,
    /// A program that prints credentials.
    pub(crate) export: Option<CommandLine>,
    /// A program that signs in again.
    pub(crate) refresh: Option<CommandLine>,
}

impl Settings {
    /// Checks a table.
    ///
    /// # Errors
    /// [`Error::Invalid`] starts with `model_providers.<id>:` and names the key.
    pub(crate) fn parse(id: &str, table: &Map<String, Value>) -> Result<Self, Error> {
        let path = format!("model_providers.{id}");
        let reader = TableReader::new(&path, table);
        let service = Service::of(id)
            .ok_or_else(|| reader.error("the plugin `bedrock` does not serve this provider"))?;
        let aws = reader.table("aws")?;
        if aws.is_some() {
            check_conflicts(&reader, table)?;
        }
        check_settable(&reader, table)?;
        let mut shared: Map<String, Value> = table
            .iter()
            .filter(|(key, _)| key.as_str() != "aws")
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        shared.insert("name".to_owned(), service.name().into());
        service.prepare_headers(&path, &mut shared);
        let shared = ProviderTable::parse(id, &shared)?;
        let auth = shared
            .auth
            .as_ref()
            .map(|auth| AuthCommand::parse(&format!("{path}.auth"), auth))
            .transpose()?;
        let mut settings = Self {
            service,
            table: shared,
            auth,
            profile: None,
            region: None,
            export: None,
            refresh: None,
        };
        settings.read_aws(&path, &aws.unwrap_or_default())?;
        Ok(settings)
    }

    fn read_aws(&mut self, path: &str, aws: &Map<String, Value>) -> Result<(), Error> {
        let reader = TableReader::new(format!("{path}.aws"), aws);
        let filled = |text: &String| !text.trim().is_empty();
        self.profile = reader.text("profile")?.filter(filled);
        self.region = reader.text("region")?.filter(filled);
        if let Some(table) = reader.table("credential_export")? {
            let path = format!("{path}.aws.credential_export");
            self.export = Some(CommandLine::parse(&path, &table, EXPORT_TIMEOUT)?);
            if self.profile.is_some() {
                return Err(reader.error("credential_export cannot be combined with profile"));
            }
        }
        if let Some(table) = reader.table("auth_refresh")? {
            let path = format!("{path}.aws.auth_refresh");
            let command = CommandLine::parse(&path, &table, REFRESH_TIMEOUT)?;
            if command.program != "aws" {
                let text = "command must be `aws`, the command line tool that signs in";
                return Err(TableReader::new(path, &table).error(text));
            }
            self.refresh = Some(command);
        }
        Ok(())
    }
}

fn check_conflicts(reader: &TableReader<'_>, table: &Map<String, Value>) -> Result<(), Error> {
    let is_set = |key: &&str| is_set(table.get(*key));
    if is_set(&"supports_websockets") {
        return Err(reader.error("aws cannot be combined with supports_websockets"));
    }
    let others: Vec<&str> = OTHER_WAYS.into_iter().filter(is_set).collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(reader.error(&format!(
        "aws cannot be combined with {}",
        others.join(", ")
    )))
}

fn check_settable(reader: &TableReader<'_>, table: &Map<String, Value>) -> Result<(), Error> {
    if reader
        .text("name")?
        .is_some_and(|name| name.trim().is_empty())
    {
        return Err(reader.error("name must not be blank"));
    }
    let set = NOT_SETTABLE.into_iter().find(|key| {
        let usual = *key == "wire_api" && table.get(*key) == Some(&"responses".into());
        is_set(table.get(*key)) && !usual
    });
    let Some(key) = set else { return Ok(()) };
    Err(reader.error(&format!(
        "{key} cannot be set for this provider, only base_url, auth, http_headers, aws.profile, aws.region, \
         aws.credential_export and aws.auth_refresh can"
    )))
}

/// A key that says no more than its absence is not set.
fn is_set(value: Option<&Value>) -> bool {
    !matches!(value, None | Some(Value::Null | Value::Bool(false)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(table: Value) -> Result<Settings, Error> {
        Settings::parse("amazon-bedrock", table.as_object().expect("a table"))
    }

    #[track_caller]
    fn refused(table: Value, expected: &str) {
        let expected = format!("model_providers.amazon-bedrock{expected}");
        let outcome = parse(table).map_err(|error| error.to_string());
        assert_eq!(outcome.err(), Some(expected));
    }

    #[test]
    fn everything_that_can_be_set() {
        let settings = parse(json!({
            "base_url": "https://gateway.example/bedrock/v1",
            "http_headers": { "X-Team": "core", "x_lost": "1" },
            "supports_websockets": false,
            "aws": {
                "region": "eu-west-1",
                "credential_export": { "command": "print-keys", "args": ["a"], "timeout_ms": 5 },
                "auth_refresh": { "command": "aws", "args": ["sso", "login"] },
                "new_key_of_tomorrow": 1,
            },
        }))
        .expect("valid");
        assert_eq!(settings.region.as_deref(), Some("eu-west-1"));
        let (export, refresh) = (
            settings.export.expect("set"),
            settings.refresh.expect("set"),
        );
        assert_eq!(
            (export.program.as_str(), export.timeout.as_millis()),
            ("print-keys", 5)
        );
        assert_eq!((refresh.args.len(), refresh.timeout), (2, REFRESH_TIMEOUT));
        assert_eq!(
            parse(json!({ "aws": { "profile": "dev", "region": " " } }))
                .expect("valid")
                .region,
            None
        );
    }

    #[test]
    fn only_parts_can_be_overridden() {
        for (key, value) in [
            ("name", json!("Mine")),
            ("env_key", json!("K")),
            ("experimental_bearer_token", json!("held by the host")),
            ("query_params", json!({ "a": "b" })),
            ("request_max_retries", json!(3)),
            ("supports_websockets", json!(true)),
            ("wire_api", json!("chat")),
        ] {
            let error = parse(json!({ key: value }))
                .expect_err("refused")
                .to_string();
            let expected = format!(
                "model_providers.amazon-bedrock: {key} cannot be set for this provider, only base_url, auth, \
                 http_headers, aws.profile, aws.region, aws.credential_export and aws.auth_refresh can"
            );
            assert_eq!(error, expected);
        }
        refused(json!({ "name": " " }), ": name must not be blank");
        assert!(parse(json!({ "wire_api": "responses", "requires_openai_auth": false })).is_ok());
    }

    #[test]
    fn contradictions_are_listed_in_order() {
        let aws = json!({ "profile": "dev" });
        refused(
            json!({ "aws": aws, "supports_websockets": true }),
            ": aws cannot be combined with supports_websockets",
        );
        refused(
            json!({ "aws": aws, "auth": { "command": "t" }, "requires_openai_auth": true, "env_key": "K",
                    "experimental_bearer_token": "held by the host" }),
            ": aws cannot be combined with env_key, experimental_bearer_token, auth, requires_openai_auth",
        );
        refused(
            json!({ "aws": { "profile": "dev", "credential_export": { "command": "x" } } }),
            ".aws: credential_export cannot be combined with profile",
        );
    }

    #[test]
    fn commands_are_checked() {
        let refresh = |table: Value| json!({ "aws": { "auth_refresh": table } });
        refused(
            refresh(json!({ "command": " " })),
            ".aws.auth_refresh: command must not be blank",
        );
        refused(
            refresh(json!({})),
            ".aws.auth_refresh: command must not be blank",
        );
        refused(
            refresh(json!({ "command": "/usr/bin/aws" })),
            ".aws.auth_refresh: command must be `aws`, the command line tool that signs in",
        );
        refused(
            refresh(json!({ "command": "aws", "timeout_ms": 0 })),
            ".aws.auth_refresh: timeout_ms must be more than zero",
        );
        refused(
            json!({ "aws": { "credential_export": "print-keys" } }),
            ".aws: credential_export must be a table, not a text",
        );
        refused(
            json!({ "aws": { "profile": 5 } }),
            ".aws: profile must be a text, not a number",
        );
        refused(
            json!({ "auth": { "command": "" } }),
            ".auth: command must not be blank",
        );
    }
}
