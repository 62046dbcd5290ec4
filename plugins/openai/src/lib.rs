//! The provider for the OpenAI API, and for everything else that speaks Responses with a static credential.
//!
//! It knows where requests go and which secret slot holds the key; it never sees a key. Tokens that a command prints
//! are `command-auth`'s business.

mod credential;
mod endpoint;

use std::collections::BTreeMap;

use dovetail_plugin_api::provider::{Description, Endpoint, Prepared, Scope};
use dovetail_plugin_api::{Error, Provider, ProviderTable, export_provider, secrets};
use serde_json::{Map, Value};

/// The provider id with OpenAI's own defaults.
const OPENAI: &str = "openai";

/// The tables that were configured, by provider id.
#[derive(Debug, Default)]
struct OpenAi {
    tables: BTreeMap<String, ProviderTable>,
}

impl Provider for OpenAi {
    fn describe(&self) -> Description {
        Description {
            // No ids: it serves `openai` and every other id that no plugin claims.
            name: "OpenAI and compatible".to_owned(),
            default_endpoint: Some(endpoint::DEFAULT_BASE_URL.to_owned()),
            // `configure` says more for OpenAI itself.
            capabilities: endpoint::USUAL_CAPABILITIES,
            ..Description::default()
        }
    }

    fn configure(
        &mut self,
        provider_id: &str,
        table: &Map<String, Value>,
    ) -> Result<Endpoint, Error> {
        let mut table = ProviderTable::parse(provider_id, table)?;
        if provider_id == OPENAI {
            table.name.get_or_insert_with(|| "OpenAI".to_owned());
        }
        let endpoint = endpoint::resolve(&table, secrets::exists)?;
        self.tables.insert(provider_id.to_owned(), table);
        Ok(endpoint)
    }

    fn prepare(&mut self, scope: &Scope) -> Result<Prepared, Error> {
        let id = &scope.provider_id;
        let table = self
            .tables
            .get(id)
            .ok_or_else(|| Error::Other(format!("provider `{id}` is not configured")))?;
        credential::choose(table, secrets::exists)
    }
}

export_provider!(OpenAi);
