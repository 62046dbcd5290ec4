//! A provider's own list of models, asked for over HTTP. Credential, signature, address rules, proxies and certificates
//! are those of requests to a model. What the list says is for the caller to read: nothing here looks into it.

use std::sync::Arc;
use std::time::Duration;

use dovetail_core::model::{FailureStage, ModelError};
use dovetail_core::plugin::{Endpoint, Provider, Purpose, Recovery, Scope};
use dovetail_core::retry::RecoveryStep;
use dovetail_core::secret::Egress;
use dovetail_http::proxy;
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Client, Response, StatusCode};
use url::Url;

use crate::client::ClientOptions;
use crate::credential::Credentials;
use crate::head::Head;
use crate::redact::Redactor;
use crate::refusal::{self, Refusal};
use crate::service::Service;
use crate::{address, failure, transport};

/// The longest list that is read. Entries may hold instructions of tens of kilobytes each; nobody has a thousand of them.
const MOST_BYTES: usize = 8 << 20;
/// A tag is a hash or a version. A longer one is not worth keeping.
const LONGEST_TAG: usize = 256;

/// What a question for a list says, and how long its answer may take.
#[derive(Debug, Clone)]
pub struct ListingOptions {
    /// The `originator` header.
    pub originator: String,
    /// The `user-agent` header.
    pub user_agent: String,
    /// `client_version` in the query, for servers whose list depends on it.
    pub client_version: Option<String>,
    /// Headers that the service's API wants beside the credential.
    pub headers: Vec<(String, String)>,
    /// Where the list is; none is `models` below the base URL.
    pub url: Option<String>,
    /// The tag of the list that the caller has.
    pub known: Option<String>,
    /// The longest wait for the answer, its body included. What a provider needs for a credential is its own to bound.
    pub timeout: Duration,
    /// Shared with the clients of the provider.
    pub credentials: Credentials,
}

/// What a server says of its models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// The list is still the known one.
    Unchanged,
    /// This is the list.
    List {
        /// The tag of this version of it.
        tag: Option<String>,
        /// The body as it came.
        body: Vec<u8>,
    },
}

/// Asks for a list. A refused credential is recovered once.
///
/// # Errors
/// There is no credential or no answer, or the answer is a failure, a redirect, or too long.
pub async fn list_models(
    provider: Arc<dyn Provider>,
    endpoint: Endpoint,
    egress: Arc<dyn Egress>,
    scope: &Scope,
    options: &ListingOptions,
) -> Result<Listing, ModelError> {
    let scope = Scope {
        purpose: Purpose::Models,
        ..scope.clone()
    };
    let client_options = ClientOptions {
        originator: options.originator.clone(),
        user_agent: options.user_agent.clone(),
        version: None,
        idle_timeout: options.timeout,
        websockets: None,
        credentials: options.credentials.clone(),
    };
    let service = Service::new(provider, endpoint, egress, scope, client_options)
        .map_err(|error| failure::unsendable(error.to_string()))?;
    let url = address_of(&service, options)?;
    let asking = Asking {
        client: transport::build(&url).map_err(failure::unprepared)?,
        shown_url: address::shown(&url),
        service: &service,
        options,
        url,
    };
    match asking.ask().await {
        Err(refused) if failure::is_unauthorized(&refused) => {
            match service.recover(&refused, RecoveryStep::First).await {
                Recovery::Changed => asking.ask().await,
                Recovery::Unchanged | Recovery::Permanent(_) | Recovery::Transient(_) => {
                    Err(refused)
                }
            }
        }
        answer => answer,
    }
}

fn address_of(service: &Service, options: &ListingOptions) -> Result<Url, ModelError> {
    let unusable = |why: String| {
        failure::unsendable(format!(
            "the list of models of provider `{}` has no address that can be asked: {why}",
            service.scope.provider_id
        ))
    };
    let mut url = match &options.url {
        Some(url) => address::checked(url).map_err(unusable)?,
        None => address::below(&service.base, "models").map_err(|why| unusable(why.to_owned()))?,
    };
    if let Some(version) = &options.client_version {
        url.query_pairs_mut().append_pair("client_version", version);
    }
    Ok(url)
}

/// One question, which may have to be asked twice.
struct Asking<'a> {
    service: &'a Service,
    options: &'a ListingOptions,
    client: Client,
    url: Url,
    shown_url: String,
}

impl Asking<'_> {
    async fn ask(&self) -> Result<Listing, ModelError> {
        let credential = self.service.credential_for(&self.url).await?;
        let known = self.options.known.as_deref();
        let mut head = Head::of_listing(&self.service.headers, &self.service.options, known);
        for (name, value) in &self.options.headers {
            head.set(name, value.clone());
        }
        head.add_credential(&credential.headers);
        let mut redactor = Redactor::default();
        let signed = self
            .service
            .sign_for(&self.url, "GET", head, &[], &mut redactor);
        let headers = signed.await?;
        let exchange = self.exchange(headers, &redactor);
        let answer = match tokio::time::timeout(self.options.timeout, exchange).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                let limit = self.options.timeout.as_millis();
                Err(failure::silent(&self.shown_url, limit))
            }
        };
        if let Err(error) = &answer {
            self.service.note_refusal(credential.generation, error);
        }
        answer
    }

    async fn exchange(
        &self,
        headers: HeaderMap,
        redactor: &Redactor,
    ) -> Result<Listing, ModelError> {
        let request = self.client.get(self.url.clone()).headers(headers);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                let broken = transport::Broken::of(&error);
                let cause = redactor.clean(&transport::cause(error));
                let proxy = proxy::of_environment(&self.url);
                return Err(failure::unanswered(broken, &self.shown_url, proxy, &cause));
            }
        };
        if response.status() == StatusCode::NOT_MODIFIED && self.options.known.is_some() {
            return Ok(Listing::Unchanged);
        }
        if let Some(refusal) = Refusal::of_listing(&response) {
            let excerpt = redactor.clean(&refusal::read_excerpt(response).await);
            let provider = self.service.provider.as_ref();
            return Err(refusal
                .explain(provider, &self.shown_url, &excerpt, redactor)
                .await);
        }
        let tag = tag(response.headers());
        let body = self.body(response, redactor).await?;
        Ok(Listing::List { tag, body })
    }

    async fn body(
        &self,
        mut response: Response,
        redactor: &Redactor,
    ) -> Result<Vec<u8>, ModelError> {
        let broken = |why: String| {
            let message = format!("no list of models from `{}`: {why}", self.shown_url);
            ModelError::new(FailureStage::Exchange, message)
        };
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(bytes)) if body.len() + bytes.len() > MOST_BYTES => {
                    let limit = MOST_BYTES >> 20;
                    return Err(broken(format!("it is longer than {limit} MiB")));
                }
                Ok(Some(bytes)) => body.extend_from_slice(&bytes),
                Ok(None) => return Ok(body),
                Err(error) => {
                    let cause = redactor.clean(&transport::cause(error));
                    return Err(broken(format!("it broke off: {cause}")));
                }
            }
        }
    }
}

/// The list's version, where the server names one that can be sent back.
fn tag(headers: &HeaderMap) -> Option<String> {
    let tag = headers.get(HeaderName::from_static("etag"))?.to_str();
    tag.ok() // Not ASCII: nothing that can be compared.
        .map(str::trim)
        .filter(|tag| !tag.is_empty() && tag.len() <= LONGEST_TAG)
        .map(str::to_owned)
}
