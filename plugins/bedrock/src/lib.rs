//! The provider for Amazon Bedrock: `amazon-bedrock` and `amazon-bedrock-runtime`.
//!
//! It knows both endpoints, finds AWS credentials where AWS's own tools find them, and signs requests. An API key it
//! never sees: the host fills it in. The secret half of a pair of access keys it has to see, since signing is what it
//! does; where the host let it look for one is all that it was granted.

mod api_key;
mod auth_command;
mod chain;
mod clock_skew;
mod command;
mod credentials;
mod endpoint;
mod explain;
mod failure;
mod form;
mod ini;
mod models;
mod outside;
mod profiles;
mod region;
mod served;
mod sign;
mod source;
mod table;
mod trouble;

use std::collections::BTreeMap;

use dovetail_plugin_api::account::{Beginning, Explanation, Login, Question, Way};
use dovetail_plugin_api::provider::{
    Capabilities, Description, Endpoint, Failure, Model, Prepared, Recovery, RequestHead, Scope,
};
use dovetail_plugin_api::{
    Account, Error, Header, PlainHeader, Provider, clock, export_account, export_provider,
};
use serde_json::{Map, Value};

use clock_skew::ClockSkew;
use endpoint::Service;
use outside::Host;
use served::Served;
use table::Settings;

/// What was configured, by provider id.
#[derive(Debug, Default)]
struct Bedrock {
    served: BTreeMap<String, Served>,
    skew: ClockSkew,
}

impl Provider for Bedrock {
    fn describe(&self) -> Description {
        Description {
            ids: Service::ALL.map(|service| service.id().to_owned()).into(),
            name: "Amazon Bedrock".to_owned(),
            // What is so for one of the two services is said by `configure`.
            capabilities: Capabilities::empty(),
            settable_keys: table::SETTABLE.map(str::to_owned).into(),
            ..Description::default()
        }
    }

    fn configure(
        &mut self,
        provider_id: &str,
        table: &Map<String, Value>,
    ) -> Result<Endpoint, Error> {
        let settings = Settings::parse(provider_id, table)?;
        let region = region::resolve(&Host, &settings)?;
        let endpoint = endpoint::resolve(&settings, region.as_deref())?;
        let served = Served::new(settings, region);
        self.served.insert(provider_id.to_owned(), served);
        Ok(endpoint)
    }

    fn prepare(&mut self, scope: &Scope) -> Result<Prepared, Error> {
        let now = self.skew.corrected(clock::now_unix_ms());
        self.served(scope)?.prepare(&Host, now)
    }

    fn authorize(
        &mut self,
        scope: &Scope,
        head: &RequestHead,
        body_sha256: &[u8; 32],
    ) -> Result<Vec<Header>, Error> {
        let now = self.skew.corrected(clock::now_unix_ms());
        self.served(scope)?.authorize(head, body_sha256, now)
    }

    fn classify(&self, status: u16, headers: &[PlainHeader], excerpt: &str) -> Failure {
        self.skew
            .learn(status, headers, excerpt, clock::now_unix_ms());
        failure::classify(status, headers, excerpt)
    }

    fn recover(&mut self, scope: &Scope, _failure: &Failure) -> Result<Recovery, Error> {
        // The clock was what the service did not accept: signed again with its time, the same credential will do.
        if self.skew.take_news() {
            return Ok(Recovery::Changed);
        }
        let now = self.skew.corrected(clock::now_unix_ms());
        self.served(scope)?.recover(&Host, now)
    }

    fn list_models(&mut self, scope: &Scope) -> Result<Vec<Model>, Error> {
        Ok(models::of(self.served(scope)?.service()))
    }
}

/// People sign in with AWS's own tools; here they are only told which of their credentials would be used.
impl Account for Bedrock {
    fn begin(&mut self, _provider_id: &str, _way: Way) -> Result<Beginning, Error> {
        Err(elsewhere())
    }

    fn poll(&mut self, _provider_id: &str, _state: &str) -> Result<Option<String>, Error> {
        Err(elsewhere())
    }

    fn finish(&mut self, _provider_id: &str, _state: &str, _query: &str) -> Result<String, Error> {
        Err(elsewhere())
    }

    fn status(&mut self, _provider_id: &str) -> Result<Option<Login>, Error> {
        Ok(None)
    }

    fn logout(&mut self, _provider_id: &str) -> Result<Option<String>, Error> {
        Ok(None)
    }

    fn explain(&mut self, question: &Question) -> Result<Explanation, Error> {
        let id = &question.provider_id;
        let served = self.served.get(id);
        served.ok_or_else(|| unconfigured(id))?.explain(&Host)
    }
}

fn elsewhere() -> Error {
    Error::unavailable(
        "people sign in to Amazon Bedrock with AWS's own tools: run `aws sso login` or `aws configure`",
    )
}

fn unconfigured(id: &str) -> Error {
    Error::Other(format!("provider `{id}` is not configured"))
}

impl Bedrock {
    fn served(&mut self, scope: &Scope) -> Result<&mut Served, Error> {
        let id = &scope.provider_id;
        self.served.get_mut(id).ok_or_else(|| unconfigured(id))
    }
}

export_provider!(Bedrock);
export_account!(Bedrock);

#[cfg(test)]
mod testing;
