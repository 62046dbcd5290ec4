//! The service that requests go to, and in whose name: what both transports share.

use std::collections::VecDeque;
use std::sync::Arc;

use dovetail_core::model::{ModelError, ModelEvent};
use dovetail_core::plugin::{
    Endpoint, Failure, HeaderTemplate, Provider, ProviderCapabilities, Recovery, Scope,
};
use dovetail_core::retry::RecoveryStep;
use dovetail_core::secret::Egress;
use reqwest::header::HeaderMap;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::client::{ClientError, ClientOptions};
use crate::credential::Credential;
use crate::head::{Head, HeadError};
use crate::redact::Redactor;
use crate::{address, failure, limits};

/// One endpoint, one credential scope.
pub(crate) struct Service {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) options: ClientOptions,
    pub(crate) capabilities: ProviderCapabilities,
    pub(crate) headers: Vec<HeaderTemplate>,
    /// What paths are appended to.
    pub(crate) base: Url,
    /// Where Responses requests go.
    pub(crate) url: Url,
    pub(crate) scope: Scope,
    egress: Arc<dyn Egress>,
}

impl Service {
    /// See [`ResponsesClient::new`](crate::ResponsesClient::new).
    pub(crate) fn new(
        provider: Arc<dyn Provider>,
        endpoint: Endpoint,
        egress: Arc<dyn Egress>,
        scope: Scope,
        options: ClientOptions,
    ) -> Result<Self, ClientError> {
        let base = address::base_url(&endpoint);
        let urls = base.and_then(|base| Ok((address::below(&base, "responses")?, base)));
        let (url, base) = urls.map_err(|why| ClientError::BaseUrl {
            provider: scope.provider_id.clone(),
            why,
        })?;
        Ok(Self {
            capabilities: endpoint
                .capabilities
                .unwrap_or(provider.description().capabilities),
            headers: endpoint.headers,
            base,
            url,
            provider,
            egress,
            scope,
            options,
        })
    }

    /// The credential for the next request, if its origin may be asked at all.
    pub(crate) async fn credential(&self) -> Result<Credential, ModelError> {
        self.credential_for(&self.url).await
    }

    /// The same for a request to this address.
    pub(crate) async fn credential_for(&self, url: &Url) -> Result<Credential, ModelError> {
        self.egress
            .check_url(self.provider.plugin(), url.as_str())
            .map_err(|error| failure::of_credential(&error))?;
        let credential = self
            .options
            .credentials
            .get(self.provider.as_ref(), &self.scope)
            .await;
        credential.map_err(|error| failure::of_credential(&error))
    }

    /// Notes that the server refused a credential, if that is what an error says.
    pub(crate) fn note_refusal(&self, generation: u64, error: &ModelError) {
        if failure::is_unauthorized(error) {
            self.options.credentials.refuse(generation);
        }
    }

    /// Has the provider recover the refused credential.
    pub(crate) async fn recover(&self, failure: &ModelError, step: RecoveryStep) -> Recovery {
        let failure = Failure {
            kind: failure.kind,
            message: Some(failure.message.clone()),
            retry_after: failure.retry_after,
        };
        self.options
            .credentials
            .recover(self.provider.as_ref(), &self.scope, &failure, step)
            .await
    }

    /// Has the provider sign the final request, and fills the secrets in.
    pub(crate) async fn sign(
        &self,
        method: &str,
        head: Head,
        body: &[u8],
        redactor: &mut Redactor,
    ) -> Result<HeaderMap, ModelError> {
        self.sign_for(&self.url, method, head, body, redactor).await
    }

    /// The same for a request to this address.
    pub(crate) async fn sign_for(
        &self,
        url: &Url,
        method: &str,
        mut head: Head,
        body: &[u8],
        redactor: &mut Redactor,
    ) -> Result<HeaderMap, ModelError> {
        head.remove(&self.provider.description().removed_headers);
        let signed = async {
            let url = url.as_str();
            let digest: [u8; 32] = Sha256::digest(body).into();
            let signature = self
                .provider
                .authorize(&self.scope, &head.unsigned(method, url), digest)
                .await;
            if signature.is_err() {
                self.options.credentials.forget(&self.scope).await;
            }
            head.add_credential(&signature?);
            head.fill(self.egress.as_ref(), self.provider.plugin(), url, redactor)
        };
        signed.await.map_err(|error| match error {
            HeadError::Secret(error) => failure::of_credential(&error),
            HeadError::Invalid(_) | HeadError::Reserved(_) => {
                failure::unsendable(error.to_string())
            }
        })
    }
}

/// What a response's head tells before anything else; `model` is the one that was asked for.
pub(crate) fn told_by_head(model: &str, headers: &HeaderMap) -> VecDeque<ModelEvent> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let turn_state = text("x-codex-turn-state").map(ModelEvent::TurnState);
    let other_model = text("openai-model").filter(|other| !other.eq_ignore_ascii_case(model));
    let limits = limits::from_headers(headers).map(ModelEvent::RateLimits);
    let etag = text("x-models-etag").map(ModelEvent::ModelsEtag);
    // Its presence says it; there is no agreed value.
    let reasoning = headers
        .contains_key("x-reasoning-included")
        .then_some(ModelEvent::ReasoningIncluded);
    turn_state
        .into_iter()
        .chain(other_model.map(ModelEvent::ServerModel))
        .chain(limits)
        .chain(etag)
        .chain(reasoning)
        .collect()
}
