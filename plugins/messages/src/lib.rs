//! Model APIs of the Messages kind: Anthropic's own, and the gateways that speak it.

mod block;
mod failure;
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

/// Where a table without a `base_url` leads.
const DEFAULT_BASE_URL: &str = "https://api.anthropic.com/v1";

/// The header that carries the key.
const KEY: &str = "x-api-key";

/// The version of the API that requests are written for.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// Serves the tables with `wire_api = "messages"`.
#[derive(Debug, Default)]
struct Messages {
    tables: BTreeMap<String, ProviderTable>,
    /// Of the table that was configured last: an instance that encodes knows no other.
    options: Options,
    /// To the request that was encoded last.
    answer: Answer,
}

impl Provider for Messages {
    fn describe(&self) -> Description {
        Description {
            name: "Messages".to_owned(),
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
            Prepared::header(Header::secret(KEY, key))
        }))
    }

    fn classify(&self, status: u16, headers: &[PlainHeader], excerpt: &str) -> Failure {
        failure::classify(status, headers, excerpt)
    }
}

impl Wire for Messages {
    type Decoder = Stream;

    fn encode(&mut self, request: &Value) -> Result<WireRequest, Error> {
        let conversation = Conversation::read(request);
        self.answer = Answer::to(&conversation);
        let body = request::body(request, &conversation, &self.options);
        let (name, value) = VERSION;
        let version = PlainHeader {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        Ok(WireRequest {
            headers: vec![version],
            ..WireRequest::json("/messages", &body)
        })
    }

    fn decoder(&mut self) -> Stream {
        Stream::new(std::mem::take(&mut self.answer))
    }
}

export_provider!(Messages);
export_wire!(Messages);
