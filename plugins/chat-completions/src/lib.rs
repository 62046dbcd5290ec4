//! Model APIs of the Chat Completions kind: Ollama, LM Studio, vLLM, llama.cpp, Azure and the many gateways.
//!
//! What they have in common is less than it seems. Requests keep to what all of them take; responses are read with all
//! the liberties that servers are known to take.

mod chunk;
mod details;
mod failure;
mod fragments;
mod options;
mod request;
mod stream;
mod thinking;

use std::collections::BTreeMap;

use dovetail_plugin_api::provider::{Description, Endpoint, Failure, Prepared, Scope};
use dovetail_plugin_api::wire::{Answer, Conversation, WireRequest};
use dovetail_plugin_api::{
    Error, Header, PlainHeader, Provider, ProviderTable, Wire, export_provider, export_wire,
    secrets,
};
use serde_json::{Map, Value};

use self::options::Options;
use self::stream::Stream;

/// Where a table without a `base_url` leads, as for every provider.
const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// Serves the tables with `wire_api = "chat"`.
#[derive(Debug, Default)]
struct ChatCompletions {
    tables: BTreeMap<String, ProviderTable>,
    /// Of the table that was configured last: an instance that encodes knows no other.
    options: Options,
    /// To the request that was encoded last.
    answer: Answer,
}

impl Provider for ChatCompletions {
    fn describe(&self) -> Description {
        Description {
            name: "Chat Completions".to_owned(),
            default_endpoint: Some(DEFAULT_BASE_URL.to_owned()),
            ..Description::default()
        }
    }

    fn configure(
        &mut self,
        provider_id: &str,
        table: &Map<String, Value>,
    ) -> Result<Endpoint, Error> {
        self.options = Options::parse(provider_id, table)?;
        let table = ProviderTable::parse(provider_id, table)?;
        let endpoint = table.endpoint(Some(DEFAULT_BASE_URL), secrets::exists)?;
        self.tables.insert(provider_id.to_owned(), table);
        Ok(endpoint)
    }

    fn prepare(&mut self, scope: &Scope) -> Result<Prepared, Error> {
        let id = &scope.provider_id;
        let table = self
            .tables
            .get(id)
            .ok_or_else(|| Error::other(format!("provider `{id}` is not configured")))?;
        let key = table.key(secrets::exists)?;
        Ok(key.map_or_else(Prepared::no_credential, |key| {
            Prepared::header(Header::bearer(key))
        }))
    }

    fn classify(&self, status: u16, headers: &[PlainHeader], excerpt: &str) -> Failure {
        failure::classify(status, headers, excerpt)
    }
}

impl Wire for ChatCompletions {
    type Decoder = Stream;

    fn encode(&mut self, request: &Value) -> Result<WireRequest, Error> {
        let conversation = Conversation::read(request);
        self.answer = Answer::to(&conversation);
        let body = request::body(request, &conversation, self.options);
        Ok(WireRequest::json("/chat/completions", &body))
    }

    fn decoder(&mut self) -> Stream {
        Stream::new(std::mem::take(&mut self.answer))
    }
}

export_provider!(ChatCompletions);
export_wire!(ChatCompletions);
