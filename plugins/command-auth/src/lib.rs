//! A provider whose bearer token is printed by a command that the user's table names.
//!
//! The host runs the command and caches the token until it expires; a command that fails, in whatever way, fails the
//! request. The token is the one credential that passes through plugin memory, because the plugin makes it.

mod auth_table;
mod token;

use std::collections::BTreeMap;

use dovetail_plugin_api::provider::{
    Capabilities, Description, Endpoint, Failure, Prepared, Recovery, Scope,
};
use dovetail_plugin_api::{
    Error, Header, Provider, ProviderTable, clock, export_provider, secrets,
};
use serde_json::{Map, Value, json};

use auth_table::AuthTable;
use token::Token;

/// Where a table without a `base_url` leads, as for every provider.
const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// What speaks Responses is offered what existing clients offer it; `web_search = "disabled"` turns it off.
const USUAL_CAPABILITIES: Capabilities = Capabilities::HOSTED_TOOLS;

/// One provider id.
#[derive(Debug)]
struct Served {
    auth: AuthTable,
    /// The token that was last given to the host.
    given: Option<Token>,
    /// A token that `recover` fetched and the host has not asked for yet.
    fetched: Option<Token>,
}

/// What was configured, by provider id.
#[derive(Debug, Default)]
struct CommandAuth {
    served: BTreeMap<String, Served>,
}

impl Provider for CommandAuth {
    fn describe(&self) -> Description {
        Description {
            // No ids: it serves every table with an `auth` block.
            name: "Command auth".to_owned(),
            default_endpoint: Some(DEFAULT_BASE_URL.to_owned()),
            capabilities: USUAL_CAPABILITIES,
            ..Description::default()
        }
    }

    fn configure(
        &mut self,
        provider_id: &str,
        table: &Map<String, Value>,
    ) -> Result<Endpoint, Error> {
        let table = with_inline_token(table, secrets::exists(ProviderTable::INLINE_TOKEN)?);
        let table = ProviderTable::parse(provider_id, &table)?;
        let auth = AuthTable::parse(&table)?;
        let mut endpoint = table.endpoint(Some(DEFAULT_BASE_URL), secrets::exists)?;
        endpoint.capabilities = table.capabilities(USUAL_CAPABILITIES);
        self.served.insert(
            provider_id.to_owned(),
            Served {
                auth,
                given: None,
                fetched: None,
            },
        );
        Ok(endpoint)
    }

    fn prepare(&mut self, scope: &Scope) -> Result<Prepared, Error> {
        let served = self.served(&scope.provider_id)?;
        let token = match served.fetched.take() {
            Some(token) => token,
            None => token::fetch(&served.auth)?,
        };
        let header = Header::bearer(token.text()).sensitive();
        served.given = Some(token);
        Ok(Prepared {
            headers: vec![header],
            expires_at_unix_ms: served
                .auth
                .refresh_interval_ms
                .map(|ms| clock::now_unix_ms().saturating_add(ms)),
        })
    }

    /// Runs the command again, whatever the token's age.
    fn recover(&mut self, scope: &Scope, _failure: &Failure) -> Result<Recovery, Error> {
        let served = self.served(&scope.provider_id)?;
        let token = match token::fetch(&served.auth) {
            Ok(token) => token,
            Err(error) => return Ok(Recovery::Transient(error.to_string())),
        };
        if served.given.as_ref() == Some(&token) {
            return Ok(Recovery::Unchanged);
        }
        served.fetched = Some(token);
        Ok(Recovery::Changed)
    }
}

impl CommandAuth {
    fn served(&mut self, provider_id: &str) -> Result<&mut Served, Error> {
        self.served
            .get_mut(provider_id)
            .ok_or_else(|| Error::Other(format!("provider `{provider_id}` is not configured")))
    }
}

/// Puts back that there is an inline token, which the host keeps for itself: next to `auth` it is a contradiction.
fn with_inline_token(table: &Map<String, Value>, exists: bool) -> Map<String, Value> {
    let mut table = table.clone();
    if exists {
        table.insert(
            "experimental_bearer_token".to_owned(),
            json!("kept by the host"),
        );
    }
    table
}

export_provider!(CommandAuth);

#[cfg(test)]
mod tests {
    use dovetail_plugin_api::provider::Purpose;

    use super::*;

    #[test]
    fn an_inline_token_contradicts_a_command() {
        let table = json!({ "name": "Corp", "auth": { "command": "t" } });
        let table = with_inline_token(table.as_object().expect("a table"), true);
        let error = ProviderTable::parse("corp", &table).expect_err("a contradiction");
        assert_eq!(
            error.to_string(),
            "model_providers.corp: auth cannot be combined with experimental_bearer_token"
        );
    }

    #[test]
    fn an_instance_that_was_not_configured_says_so() {
        let scope = Scope {
            provider_id: "corp".to_owned(),
            purpose: Purpose::Turn,
            session_source: "exec".to_owned(),
            policy: "strict".to_owned(),
        };
        let outcome = CommandAuth::default().prepare(&scope);
        assert_eq!(
            outcome,
            Err(Error::other("provider `corp` is not configured"))
        );
    }
}
