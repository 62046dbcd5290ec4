//! A provider whose credential is one plugin's and whose API is another's: a token that a command prints, for a service
//! that does not speak Responses.

use std::sync::Arc;

use async_trait::async_trait;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{
    Endpoint, Failure, FailureKind, HeaderTemplate, PluginError, Prepared, Provider,
    ProviderDescription, ProviderModel, Recovery, RequestHead, Scope,
};
use serde_json::Value;

/// Both.
pub(super) struct Spoken {
    /// Has the credential, and is granted where it goes.
    pub(super) credential: Arc<dyn Provider>,
    /// Knows the API, and so what its failures mean.
    pub(super) speaker: Arc<dyn Provider>,
}

#[async_trait]
impl Provider for Spoken {
    fn plugin(&self) -> &PluginId {
        self.credential.plugin()
    }

    fn description(&self) -> &ProviderDescription {
        self.credential.description()
    }

    async fn configure(&self, provider_id: &str, table: &Value) -> Result<Endpoint, PluginError> {
        self.credential.configure(provider_id, table).await
    }

    async fn prepare(&self, scope: &Scope) -> Result<Prepared, PluginError> {
        self.credential.prepare(scope).await
    }

    async fn authorize(
        &self,
        scope: &Scope,
        head: &RequestHead,
        body_sha256: [u8; 32],
    ) -> Result<Vec<HeaderTemplate>, PluginError> {
        self.credential.authorize(scope, head, body_sha256).await
    }

    async fn classify(
        &self,
        status: u16,
        headers: &[(String, String)],
        excerpt: &str,
    ) -> Result<Failure, PluginError> {
        let told = self.speaker.classify(status, headers, excerpt).await?;
        if told.kind != FailureKind::Forbidden {
            return Ok(told);
        }
        // Whether a credential may be to blame is for whoever has it to say.
        let own = self.credential.classify(status, headers, excerpt).await?;
        Ok(match own.kind {
            FailureKind::Unauthorized => Failure {
                kind: own.kind,
                ..told
            },
            _ => told,
        })
    }

    async fn recover(&self, scope: &Scope, failure: &Failure) -> Result<Recovery, PluginError> {
        self.credential.recover(scope, failure).await
    }

    async fn list_models(&self, scope: &Scope) -> Result<Vec<ProviderModel>, PluginError> {
        self.credential.list_models(scope).await
    }
}
