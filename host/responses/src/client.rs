//! One request: authenticate, send, and open the stream.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use dovetail_core::model::{
    FailureStage, ModelClient, ModelError, ModelEvent, ModelRequest, ModelStream,
};
use dovetail_core::plugin::{
    Endpoint, Failure, FailureKind, HeaderTemplate, Provider, ProviderCapabilities, Recovery, Scope,
};
use dovetail_core::secret::Egress;
use reqwest::header::HeaderMap;
use reqwest::{Client, Response};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::credential::CredentialCache;
use crate::drain::Drains;
use crate::failure;
use crate::head::{Head, HeadError};
use crate::redact::Redactor;
use crate::refusal::{self, Refusal};
use crate::sse::SseParser;
use crate::stream::Incoming;
use crate::{address, body, limits, proxy, transport};

/// What requests say of this host, and how patient it is.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The `originator` header.
    pub originator: String,
    /// The `user-agent` header, unless the provider's configuration sets its own.
    pub user_agent: String,
    /// The `version` header; none sends none, as existing clients do for all but the built-in `openai` provider.
    pub version: Option<String>,
    /// The longest silence, before the response's head and between two events.
    pub idle_timeout: Duration,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The base URL cannot be used.
    #[error("the base URL of provider `{provider}` cannot be used: {why}")]
    BaseUrl {
        /// The provider's id.
        provider: String,
        /// Why; without the URL, which may hold a password.
        why: String,
    },
}

/// A client for one provider: one endpoint, one credential scope.
pub struct ResponsesClient {
    provider: Arc<dyn Provider>,
    egress: Arc<dyn Egress>,
    scope: Scope,
    options: ClientOptions,
    capabilities: ProviderCapabilities,
    headers: Vec<HeaderTemplate>,
    url: Url,
    shown_url: String,
    credentials: CredentialCache,
    http: OnceLock<Client>,
    drains: Arc<Drains>,
}

impl ResponsesClient {
    /// Makes a client. Connects to nothing and loads no certificates yet.
    ///
    /// `endpoint` is what [`Provider::configure`] resolved for `scope.provider_id`.
    ///
    /// # Errors
    /// When the endpoint's base URL is no URL that requests can go to.
    pub fn new(
        provider: Arc<dyn Provider>,
        endpoint: Endpoint,
        egress: Arc<dyn Egress>,
        scope: Scope,
        options: ClientOptions,
    ) -> Result<Self, ClientError> {
        let url = address::responses_url(&endpoint).map_err(|why| ClientError::BaseUrl {
            provider: scope.provider_id.clone(),
            why,
        })?;
        Ok(Self {
            capabilities: endpoint
                .capabilities
                .unwrap_or(provider.description().capabilities),
            shown_url: address::shown(&url),
            headers: endpoint.headers,
            url,
            provider,
            egress,
            scope,
            options,
            credentials: CredentialCache::default(),
            http: OnceLock::new(),
            drains: Arc::default(),
        })
    }

    /// The HTTP client, made when it is first needed.
    fn http(&self) -> Result<&Client, ModelError> {
        if let Some(client) = self.http.get() {
            return Ok(client);
        }
        let client = transport::build(&self.url).map_err(|error| {
            failure::unsendable(format!("cannot prepare HTTP: {}", transport::cause(error)))
        })?;
        Ok(self.http.get_or_init(|| client))
    }

    async fn exchange(
        &self,
        request: &ModelRequest,
        cancel: &CancellationToken,
    ) -> Result<ModelStream, ModelError> {
        let (plugin, url) = (self.provider.plugin(), self.url.as_str());
        self.egress
            .check_url(plugin, url)
            .map_err(|error| failure::of_credential(&error))?;
        let credential = self
            .credentials
            .get(self.provider.as_ref(), &self.scope)
            .await;
        let credential = credential.map_err(|error| failure::of_credential(&error))?;
        let body = body::encode(request, self.capabilities.item_metadata).map_err(|error| {
            failure::unsendable(format!("the request cannot be written as JSON: {error}"))
        })?;
        let mut head = Head::new(request, &self.headers, &self.options);
        head.add_credential(&credential.headers);
        let mut redactor = Redactor::default();
        let headers = self
            .sign(head, &body, &mut redactor)
            .await
            .map_err(|error| match error {
                HeadError::Secret(error) => failure::of_credential(&error),
                HeadError::Invalid(_) => failure::unsendable(error.to_string()),
            })?;
        let response = self.answer(headers, body, &redactor).await?;
        if let Some(refusal) = Refusal::of(&response) {
            let excerpt = redactor.clean(&refusal::read_excerpt(response).await);
            let error = refusal
                .explain(self.provider.as_ref(), &self.shown_url, &excerpt)
                .await;
            if error.kind == FailureKind::Unauthorized || error.stage == FailureStage::Status(401) {
                self.credentials.refuse(credential.generation);
            }
            return Err(error);
        }
        let incoming = Incoming {
            ready: self.told_by_head(request, response.headers()),
            response,
            provider: Arc::clone(&self.provider),
            redactor,
            cancel: cancel.clone(),
            idle_timeout: self.options.idle_timeout,
            drains: Arc::clone(&self.drains),
            parser: SseParser::default(),
            in_message: false,
        };
        Ok(incoming.into_stream())
    }

    /// Has the provider sign the final request, and fills the secrets in.
    async fn sign(
        &self,
        mut head: Head,
        body: &[u8],
        redactor: &mut Redactor,
    ) -> Result<HeaderMap, HeadError> {
        let url = self.url.as_str();
        head.remove(&self.provider.description().removed_headers);
        let digest: [u8; 32] = Sha256::digest(body).into();
        let signature = self
            .provider
            .authorize(&self.scope, &head.unsigned(url), digest)
            .await?;
        head.add_credential(&signature);
        head.fill(self.egress.as_ref(), self.provider.plugin(), url, redactor)
    }

    /// Sends the request and waits for the response's head.
    async fn answer(
        &self,
        headers: HeaderMap,
        body: Vec<u8>,
        redactor: &Redactor,
    ) -> Result<Response, ModelError> {
        let sent = self
            .http()?
            .post(self.url.clone())
            .headers(headers)
            .body(body)
            .send();
        match tokio::time::timeout(self.options.idle_timeout, sent).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let broken = transport::Broken::of(&error);
                let cause = redactor.clean(&transport::cause(error));
                let variable = |name: &str| std::env::var(name).ok();
                let proxy = proxy::variable(&self.url, variable);
                Err(failure::unanswered(broken, &self.shown_url, proxy, &cause))
            }
            Err(_elapsed) => {
                let limit = self.options.idle_timeout.as_millis();
                Err(failure::silent(&self.shown_url, limit))
            }
        }
    }

    /// What the response's head tells before the stream begins.
    fn told_by_head(&self, request: &ModelRequest, headers: &HeaderMap) -> VecDeque<ModelEvent> {
        let text = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let turn_state = text("x-codex-turn-state").map(ModelEvent::TurnState);
        let model =
            text("openai-model").filter(|model| !model.eq_ignore_ascii_case(&request.model));
        let limits = limits::from_headers(headers).map(ModelEvent::RateLimits);
        let etag = text("x-models-etag").map(ModelEvent::ModelsEtag);
        // Its presence says it; there is no agreed value.
        let reasoning = headers
            .contains_key("x-reasoning-included")
            .then_some(ModelEvent::ReasoningIncluded);
        turn_state
            .into_iter()
            .chain(model.map(ModelEvent::ServerModel))
            .chain(limits)
            .chain(etag)
            .chain(reasoning)
            .collect()
    }
}

#[async_trait]
impl ModelClient for ResponsesClient {
    async fn send(
        &self,
        request: &ModelRequest,
        cancel: &CancellationToken,
    ) -> Result<ModelStream, ModelError> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(failure::cancelled()),
            result = self.exchange(request, cancel) => result,
        }
    }

    async fn recover(&self, failure: &ModelError) -> Recovery {
        let failure = Failure {
            kind: failure.kind,
            message: Some(failure.message.clone()),
            retry_after: failure.retry_after,
        };
        self.credentials
            .recover(self.provider.as_ref(), &self.scope, &failure)
            .await
    }
}

// A provider's own debug output is not under our control.
impl std::fmt::Debug for ResponsesClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponsesClient")
            .field("url", &self.shown_url)
            .field("scope", &self.scope)
            .finish()
    }
}
