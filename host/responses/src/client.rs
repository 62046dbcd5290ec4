//! The core's port to a model: which way a request goes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dovetail_core::model::{ModelClient, ModelError, ModelRequest, ModelStream};
use dovetail_core::plugin::{Endpoint, Provider, Recovery, Scope, Wire};
use dovetail_core::retry::RecoveryStep;
use dovetail_core::secret::Egress;
use tokio_util::sync::CancellationToken;

use crate::credential::Credentials;
use crate::failure;
use crate::http::Http;
use crate::service::Service;
use crate::socket::{Asked, PlainHosts, Sockets};

/// What requests say of this host, how patient it is, and with whom it shares.
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
    /// WebSockets, for services that have them; none asks everybody over HTTP.
    pub websockets: Option<WebSocketOptions>,
    /// Shared by the clients of a provider.
    pub credentials: Credentials,
}

/// How WebSockets are tried.
#[derive(Debug, Clone)]
pub struct WebSocketOptions {
    /// The longest wait for one.
    pub connect_timeout: Duration,
    /// The hosts that they do not work with.
    pub plain_hosts: PlainHosts,
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
    pub(crate) service: Arc<Service>,
    pub(crate) http: Http,
    /// Where the service has them.
    sockets: Option<Sockets>,
    /// What translates, where the service speaks another API.
    wire: Option<Arc<dyn Wire>>,
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
        let service = Arc::new(Service::new(provider, endpoint, egress, scope, options)?);
        let websockets = service.options.websockets.clone();
        let websockets = websockets.filter(|_| service.capabilities.websockets);
        Ok(Self {
            http: Http::new(Arc::clone(&service)),
            sockets: websockets.map(|options| Sockets::new(Arc::clone(&service), options)),
            service,
            wire: None,
        })
    }

    /// Has a wire translate all requests and responses. They keep to HTTP then, and their bodies are sent as they are.
    pub fn through(self, wire: Arc<dyn Wire>) -> Self {
        Self {
            sockets: None,
            wire: Some(wire),
            ..self
        }
    }

    async fn ask(
        &self,
        request: &ModelRequest,
        cancel: &CancellationToken,
    ) -> Result<ModelStream, ModelError> {
        if let Some(wire) = &self.wire {
            return self.http.ask_through(wire.as_ref(), request, cancel).await;
        }
        if let Some(sockets) = self.sockets.as_ref().filter(|sockets| sockets.in_use()) {
            match sockets.ask(request, cancel).await? {
                Asked::Answered(stream) => return Ok(stream),
                Asked::SentToHttp => {}
            }
        }
        self.http.ask(request, cancel).await
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
            result = self.ask(request, cancel) => result,
        }
    }

    async fn recover(&self, failure: &ModelError, step: RecoveryStep) -> Recovery {
        self.service.recover(failure, step).await
    }

    fn warm_up(&self, beginning: &ModelRequest) {
        if let Some(sockets) = self.sockets.as_ref().filter(|sockets| sockets.in_use()) {
            sockets.warm_up(beginning);
        }
    }

    fn fall_back(&self) -> bool {
        self.sockets.as_ref().is_some_and(Sockets::give_up)
    }
}

// A provider's own debug output is not under our control.
impl std::fmt::Debug for ResponsesClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponsesClient")
            .field("url", &crate::address::shown(&self.service.url))
            .field("scope", &self.service.scope)
            .finish()
    }
}
