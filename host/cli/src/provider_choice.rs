//! Which plugin serves the chosen provider, and what the user's own table grants it.
//!
//! A table in the user's configuration is a grant to the built-in provider that serves it: of that origin, those
//! variables, that command, and nothing else. Project files cannot set such tables.

mod aws_files;
mod bedrock;
mod token_place;

use std::collections::BTreeMap;

use dovetail_config::Config;
use dovetail_runtime::argv::ArgvPattern;
use dovetail_runtime::capability::{Capabilities, SlotName};
use dovetail_runtime::origin::OriginPattern;
use dovetail_runtime::secret_source::SecretSource;
use serde_json::{Map, Value, json};

pub(crate) use self::bedrock::BEDROCK;
use crate::args::LocalProvider;
use crate::fatal::Fatal;
use crate::provider_wire::BuiltinWire;
use crate::{login_grant, models};

/// The provider id that needs no table.
const OPENAI: &str = "openai";
/// Where `openai` goes unless `openai_base_url` says otherwise.
pub(crate) const OPENAI_URL: &str = "https://api.openai.com/v1";
/// What stands in a table handed to a plugin where the user wrote a token: that it is there, not what it is.
const HELD_BY_HOST: &str = "held by the host";
/// The slot of the token that a command printed, which all processes of the user share.
const SHARED_TOKEN: &str = "token";
/// Billing headers of `openai`.
const BILLING: [&str; 2] = ["env:OPENAI_ORGANIZATION", "env:OPENAI_PROJECT"];

/// The built-in plugin that serves a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuiltinProvider {
    /// Keys, from wherever the table says.
    Openai,
    /// A token that a command prints.
    CommandAuth,
    /// Amazon Bedrock.
    Bedrock,
    /// Keys, for a service that speaks another API.
    Speaking(BuiltinWire),
}

impl BuiltinProvider {
    /// The plugin's id.
    pub(crate) fn plugin(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::CommandAuth => "command-auth",
            Self::Bedrock => "bedrock",
            Self::Speaking(wire) => wire.plugin(),
        }
    }
}

/// The chosen provider's table, ready for a plugin, and what it grants the built-in one that serves it.
#[derive(Debug, Clone)]
pub(crate) struct ProviderTable {
    /// The table without inline credentials.
    pub(crate) table: Value,
    /// The built-in plugin that would serve it.
    pub(crate) builtin: BuiltinProvider,
    /// What its service speaks, if it is not Responses.
    pub(crate) wire: Option<BuiltinWire>,
    /// What that plugin gets.
    pub(crate) grant: Capabilities,
    /// Where its slots are filled from.
    pub(crate) sources: BTreeMap<String, SecretSource>,
    /// What that plugin is told besides the table; none for one that is told what the user writes for it.
    pub(crate) told: Option<Value>,
}

impl ProviderTable {
    /// The same with another authority to sign in with.
    ///
    /// # Errors
    /// As [`ProviderTable::of`].
    pub(crate) fn with_issuer(
        config: &Config,
        issuer: Option<&str>,
    ) -> anyhow::Result<Option<Self>> {
        let mut found = Self::of(config)?;
        if let Some(table) = &mut found {
            login_grant::grant(config, issuer, &mut table.grant, &mut table.sources)?;
            table.told = Some(login_grant::settings(config, issuer));
        }
        Ok(found)
    }

    /// Looks up the chosen provider. None where nobody built in serves it: then only a plugin can.
    ///
    /// # Errors
    /// A value in the table has the wrong type, or its `base_url` is no URL.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Option<Self>> {
        let id = config.model_provider.as_str();
        check_command(id, config.model_providers.get(id))?;
        if let Some(service) = bedrock::Service::of(id) {
            return bedrock::table(service, config.model_providers.get(id)).map(Some);
        }
        let mut table = match (config.model_providers.get(id), id) {
            (Some(Value::Object(table)), _) => table.clone(),
            (Some(_), _) => {
                return Err(no_table(id));
            }
            (None, OPENAI) => openai_table(config),
            (None, "ollama") => local_table(&LocalProvider::Ollama.base_url()),
            (None, "lmstudio") => local_table(&LocalProvider::Lmstudio.base_url()),
            (None, _) => return Ok(None),
        };
        let wire = BuiltinWire::of(&table);
        if let Some(wire) = wire {
            wire.complete(&mut table);
        }
        let builtin = match wire {
            _ if table.contains_key("auth") => BuiltinProvider::CommandAuth,
            Some(wire) if !wants_login(id, &table) => BuiltinProvider::Speaking(wire),
            Some(_) | None => BuiltinProvider::Openai,
        };
        let mut grant = Capabilities::default();
        let mut sources = BTreeMap::new();
        let base_url = table
            .get("base_url")
            .and_then(Value::as_str)
            .unwrap_or(OPENAI_URL);
        grant.net.insert(origin(id, "base_url", base_url)?);
        if let Some(url) = models::catalog_url(&table) {
            grant.net.insert(origin(id, "model_catalog_url", url)?);
        }
        if wants_login(id, &table) {
            login_grant::grant(config, None, &mut grant, &mut sources)?;
        }
        grant_slots(id, &table, &mut grant, &mut sources);
        grant_command(&table, &mut grant);
        if let Some(file) = token_place::file(config, &table)
            && builtin == BuiltinProvider::CommandAuth
        {
            grant.owns.extend(SlotName::parse(SHARED_TOKEN).ok());
            sources.insert(SHARED_TOKEN.to_owned(), SecretSource::File(file));
        }
        hold_token(&mut table, &mut sources);
        let told = match builtin {
            BuiltinProvider::Openai => Some(login_grant::settings(config, None)),
            BuiltinProvider::CommandAuth
            | BuiltinProvider::Bedrock
            | BuiltinProvider::Speaking(_) => None,
        };
        Ok(Some(Self {
            table: Value::Object(table),
            builtin,
            wire,
            grant,
            sources,
            told,
        }))
    }
}

fn no_table(id: &str) -> anyhow::Error {
    Fatal::new(format!("`model_providers.{id}` must be a table")).into()
}

fn openai_table(config: &Config) -> Map<String, Value> {
    let mut table = Map::new();
    if let Some(url) = &config.openai_base_url {
        table.insert("base_url".to_owned(), json!(url));
    }
    table
}

fn local_table(url: &str) -> Map<String, Value> {
    let mut table = Map::new();
    table.insert("name".to_owned(), json!("gpt-oss"));
    table.insert("base_url".to_owned(), json!(url));
    table
}

fn origin(id: &str, key: &str, text: &str) -> anyhow::Result<OriginPattern> {
    let url = text
        .parse::<url::Url>()
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
    let Some(url) = url else {
        return Err(Fatal::new(format!(
            "`model_providers.{id}.{key}` is not an http or https URL: `{text}`"
        ))
        .hint("write it like https://llm.example.com/v1")
        .into());
    };
    let origin = url.origin().ascii_serialization();
    OriginPattern::parse(&origin)
        .map_err(|error| Fatal::new(format!("`model_providers.{id}.{key}`: {error}")).into())
}

/// Whether a table asks for the login that providers share.
pub(crate) fn wants_login(id: &str, table: &Map<String, Value>) -> bool {
    let asks = table.get("requires_openai_auth").and_then(Value::as_bool);
    id == OPENAI || asks.unwrap_or(false)
}

/// The slots that a table names. Slots of built-in providers are called after their source.
fn grant_slots(
    id: &str,
    table: &Map<String, Value>,
    grant: &mut Capabilities,
    sources: &mut BTreeMap<String, SecretSource>,
) {
    let mut slots: Vec<String> = Vec::new();
    slots.extend(
        table
            .get("env_key")
            .and_then(Value::as_str)
            .map(|name| format!("env:{name}")),
    );
    let headers = table.get("env_http_headers").and_then(Value::as_object);
    slots.extend(
        headers
            .into_iter()
            .flat_map(Map::values)
            .filter_map(Value::as_str)
            .map(|name| format!("env:{name}")),
    );
    if id == OPENAI {
        slots.extend(BILLING.map(str::to_owned));
    }
    for slot in slots {
        // A variable name that makes no slot makes no variable either; the plugin reports it as missing.
        let (Ok(name), Ok(source)) = (SlotName::parse(&slot), SecretSource::parse(&slot)) else {
            continue;
        };
        grant.secrets.insert(name);
        sources.insert(slot, source);
    }
    if let Ok(slot) = SlotName::parse("config:experimental_bearer_token") {
        grant.secrets.insert(slot);
    }
}
/// A table that wants a command to be run names one: without it, there is nothing that its plugin could be granted.
fn check_command(id: &str, table: Option<&Value>) -> anyhow::Result<()> {
    let auth = table
        .and_then(|table| table.get("auth"))
        .and_then(Value::as_object);
    let command = auth.map(|auth| {
        auth.get("command")
            .and_then(Value::as_str)
            .unwrap_or_default()
    });
    match command {
        Some(command) if command.trim().is_empty() => Err(Fatal::new(format!(
            "model_providers.{id}.auth: command must not be blank"
        ))
        .into()),
        Some(_) | None => Ok(()),
    }
}

/// The one command that the table names.
fn grant_command(table: &Map<String, Value>, grant: &mut Capabilities) {
    let auth = table.get("auth").and_then(Value::as_object);
    grant.process.extend(auth.and_then(command_line));
}

/// The one command line of a table `{ command, args }`.
fn command_line(table: &Map<String, Value>) -> Option<ArgvPattern> {
    let command = table.get("command").and_then(Value::as_str)?;
    let arguments = table.get("args").and_then(Value::as_array);
    let argv: Vec<String> = std::iter::once(command)
        .chain(arguments.into_iter().flatten().filter_map(Value::as_str))
        .map(str::to_owned)
        .collect();
    ArgvPattern::exact(&argv)
}

/// Takes a token that the user wrote into the table out of it: the plugin learns that there is one.
fn hold_token(table: &mut Map<String, Value>, sources: &mut BTreeMap<String, SecretSource>) {
    if let Some(Value::String(token)) = table.get_mut("experimental_bearer_token") {
        let token = std::mem::replace(token, HELD_BY_HOST.to_owned());
        sources.insert(
            "config:experimental_bearer_token".to_owned(),
            SecretSource::Inline(dovetail_core::secret::SecretText::new(token)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_origin(url: &str, matches: &str) {
        let pattern = origin("x", "base_url", url).expect("an origin");
        assert!(
            pattern.matches(&matches.parse().expect("a URL")),
            "{url} {matches}"
        );
    }

    #[test]
    fn a_base_url_grants_its_own_origin_only() {
        check_origin(
            "https://llm.example/v1/",
            "https://llm.example/v1/responses",
        );
        check_origin(
            "http://127.0.0.1:8080/v1",
            "http://127.0.0.1:8080/v1/responses",
        );
        let pattern = origin("x", "base_url", "https://llm.example/v1").expect("an origin");
        assert!(!pattern.matches(&"https://llm.example:8443/v1".parse().expect("a URL")));
        assert!(origin("x", "base_url", "ftp://llm.example").is_err());
        assert!(origin("x", "base_url", "not a url").is_err());
    }

    #[test]
    fn an_inline_token_leaves_the_table() {
        let mut table = Map::new();
        table.insert("experimental_bearer_token".to_owned(), json!("sk-secret"));
        let mut sources = BTreeMap::new();
        hold_token(&mut table, &mut sources);
        assert!(!Value::Object(table).to_string().contains("sk-secret"));
        assert!(!format!("{sources:?}").contains("sk-secret"));
    }

    #[test]
    fn only_openai_and_tables_that_ask_get_the_shared_login() {
        for (id, table, expected) in [
            ("openai", json!({}), true),
            ("acme", json!({}), false),
            ("acme", json!({ "requires_openai_auth": true }), true),
        ] {
            let table = table.as_object().expect("a table");
            assert_eq!(wants_login(id, table), expected, "{id} {table:?}");
        }
    }
}
