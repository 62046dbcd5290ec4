//! The provider port, filled by a native plugin.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{
    Endpoint, Failure, HeaderTemplate, PluginError, Prepared, Provider, ProviderDescription,
    ProviderModel, Recovery, RequestHead, Scope,
};
use dovetail_native_api::{op, provider as payload};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Native, bytes_of};
use crate::bindings::exports::dovetail::plugin::provider as contract;
use crate::convert;
use crate::manifest::Kind;
use crate::provider::{MOST_EXCERPT, QUICK, is_worth_repeating};

/// A provider.
pub(super) struct NativeProvider {
    id: PluginId,
    native: Arc<Native>,
    description: ProviderDescription,
}

impl NativeProvider {
    /// Asks the plugin what it serves.
    pub(super) async fn load(native: Arc<Native>) -> Result<Self, PluginError> {
        let wall = native.plugin().limits().deadline(Kind::Provider).min(QUICK);
        let described: payload::Description = native.ask(op::PROVIDER_DESCRIBE, wall, &()).await?;
        Ok(Self {
            id: native.plugin().id().clone(),
            description: convert::description(described.into()),
            native,
        })
    }

    /// For what may wait.
    fn waiting(&self) -> Duration {
        self.native.plugin().limits().deadline(Kind::Provider)
    }

    /// For what only computes.
    fn quick(&self) -> Duration {
        self.waiting().min(QUICK)
    }

    /// Calls an operation; after a fault once more.
    async fn ask<A: DeserializeOwned>(
        &self,
        op: op::Op,
        wall: Duration,
        input: &impl Serialize,
    ) -> Result<Option<A>, PluginError> {
        let input = bytes_of(input)?;
        match self.native.ask_bytes(op, wall, input.clone()).await {
            Err(PluginError::Fault(fault)) if is_worth_repeating(&fault) => {
                self.native.ask_bytes(op, wall, input).await
            }
            outcome => outcome,
        }
    }

    fn missing(&self, op: op::Op) -> PluginError {
        PluginError::Other(format!(
            "plugin `{}` does not implement `{}`, which its kind must",
            self.id, op.name
        ))
    }
}

fn for_scope(scope: &Scope) -> payload::ForScope {
    payload::ForScope {
        scope: convert::scope(scope).into(),
    }
}

fn plain(headers: &[(String, String)]) -> Vec<payload::PlainHeader> {
    let headers = convert::plain_headers(headers).into_iter();
    headers.map(Into::into).collect()
}

#[async_trait]
impl Provider for NativeProvider {
    fn plugin(&self) -> &PluginId {
        &self.id
    }

    fn description(&self) -> &ProviderDescription {
        &self.description
    }

    async fn configure(&self, provider_id: &str, table: &Value) -> Result<Endpoint, PluginError> {
        let asked = payload::Configure {
            provider_id: provider_id.to_owned(),
            table_json: table.to_string(),
        };
        let op = op::PROVIDER_CONFIGURE;
        let answer: Option<payload::Endpoint> = self.ask(op, self.quick(), &asked).await?;
        let endpoint = answer.ok_or_else(|| self.missing(op))?;
        let again = bytes_of(&asked)?;
        self.native.0.remember(op, provider_id, again);
        Ok(convert::endpoint(endpoint.into()))
    }

    async fn prepare(&self, scope: &Scope) -> Result<Prepared, PluginError> {
        let op = op::PROVIDER_PREPARE;
        let answer = self.ask(op, self.waiting(), &for_scope(scope)).await?;
        let prepared: payload::Prepared = answer.ok_or_else(|| self.missing(op))?;
        Ok(convert::prepared(prepared.into()))
    }

    async fn authorize(
        &self,
        scope: &Scope,
        head: &RequestHead,
        body_sha256: [u8; 32],
    ) -> Result<Vec<HeaderTemplate>, PluginError> {
        let asked = payload::Authorize {
            scope: convert::scope(scope).into(),
            head: convert::request_head(head).into(),
            body_sha256: body_sha256.to_vec(),
        };
        let answer = self.ask(op::PROVIDER_AUTHORIZE, self.quick(), &asked);
        let headers: Vec<payload::Header> = answer.await?.unwrap_or_default();
        let headers = headers.into_iter().map(Into::into).collect();
        Ok(convert::headers(headers))
    }

    async fn classify(
        &self,
        status: u16,
        headers: &[(String, String)],
        excerpt: &str,
    ) -> Result<Failure, PluginError> {
        let excerpt = &excerpt[..excerpt.floor_char_boundary(MOST_EXCERPT)];
        let asked = payload::Classify {
            status,
            headers: plain(headers),
            excerpt: excerpt.to_owned(),
        };
        let answer = self
            .ask(op::PROVIDER_CLASSIFY, self.quick(), &asked)
            .await?;
        let failure = answer.unwrap_or_else(|| payload::Failure::of_status(status));
        Ok(convert::failure(contract::Failure::from(failure)))
    }

    async fn recover(&self, scope: &Scope, failure: &Failure) -> Result<Recovery, PluginError> {
        let asked = payload::Recover {
            scope: convert::scope(scope).into(),
            failure: convert::to_guest_failure(failure).into(),
        };
        let answer = self
            .ask(op::PROVIDER_RECOVER, self.waiting(), &asked)
            .await?;
        let recovery = answer.unwrap_or(payload::Recovery::Unchanged);
        Ok(convert::recovery(recovery.into()))
    }

    async fn list_models(&self, scope: &Scope) -> Result<Vec<ProviderModel>, PluginError> {
        let asked = for_scope(scope);
        let answer = self.ask(op::PROVIDER_LIST_MODELS, self.waiting(), &asked);
        let models: Vec<payload::Model> = answer.await?.unwrap_or_default();
        let models = models.into_iter().map(Into::into);
        Ok(models.map(convert::model).collect())
    }
}
