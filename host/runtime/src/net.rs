//! HTTP on behalf of plugins: one request, one bounded response, to granted origins only.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{HeaderTemplate, PluginError, ValuePart};
use dovetail_core::secret::{Egress as _, SecretText};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use url::Url;

use crate::address::CheckedResolver;
use crate::egress::EgressPolicy;
use crate::grant::Grant;
use crate::host_env::HostEnv;
use crate::net_failure::{cause, failure};
use crate::outside::{Outside, OutsideRequest};

/// Where a plugin sets no time, and the most it can set.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const MOST_TIMEOUT: Duration = Duration::from_secs(120);
/// A connection takes milliseconds or never happens.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// As much as a guest with the default memory can reasonably build.
const MOST_BODY: usize = 16 << 20;
const MOST_HEADERS: usize = 64;
/// Of a response: more is dropped, as a guest has to hold it all.
const MOST_RESPONSE_HEADERS: usize = 128;

/// Headers that decide where a request goes or where it ends. They are the host's.
const RESERVED: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// A request from a plugin.
#[derive(Debug)]
pub struct HttpRequest {
    /// The method.
    pub method: String,
    /// An absolute URL.
    pub url: String,
    /// Headers; secret parts are filled in here.
    pub headers: Vec<HeaderTemplate>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// Time for the whole exchange; capped at two minutes, half a minute where it is not set.
    pub timeout: Option<Duration>,
}

/// A response, read to its end or to the limit.
#[derive(Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// Headers with names in lower case; bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the body was longer.
    pub truncated: bool,
}

/// Sends requests for all plugins.
#[derive(Debug)]
pub struct HttpEgress {
    policy: Arc<EgressPolicy>,
    proxies: BTreeSet<String>,
    outside: Option<Arc<dyn Outside>>,
    /// One client per set of addresses that a grant names, which nearly always is the empty set. A client costs
    /// milliseconds (it loads the platform's certificates), so none is built before a plugin needs it; and they do
    /// not share connections, so no plugin gets one that only another was allowed to open.
    clients: Mutex<HashMap<BTreeSet<IpAddr>, Client>>,
}

impl HttpEgress {
    /// Starts without a client.
    pub fn new(policy: Arc<EgressPolicy>, env: &HostEnv) -> Self {
        Self {
            policy,
            proxies: proxies(env),
            outside: None,
            clients: Mutex::default(),
        }
    }

    /// Has requests answered by a made-up world instead.
    #[must_use]
    pub fn answered_by(self, outside: Option<Arc<dyn Outside>>) -> Self {
        Self { outside, ..self }
    }

    /// Sends a request and reads at most `body_limit` bytes of the response.
    ///
    /// # Errors
    /// `Denied` for an origin or address outside the grant, `Retryable` for connection failures and timeouts,
    /// `Unavailable` for a slot that cannot be filled, `Invalid` for a malformed request.
    pub async fn send(
        &self,
        plugin: &PluginId,
        request: HttpRequest,
        body_limit: usize,
    ) -> Result<HttpResponse, PluginError> {
        let grant = self.policy.grant(plugin)?;
        let method = method(&request.method)?;
        let url = self
            .policy
            .checked_request(plugin, &grant, method.as_str(), &request.url)?;
        if request.body.len() > MOST_BODY {
            return Err(PluginError::Invalid(format!(
                "the request body is longer than {MOST_BODY} bytes"
            )));
        }
        let headers = self.headers(plugin, &url, request.headers).await?;
        if let Some(outside) = &self.outside {
            let asked = outside_request(&method, &url, &headers, request.body);
            return Ok(cut(outside.http(asked).await?, body_limit));
        }
        let timeout = request.timeout.unwrap_or(DEFAULT_TIMEOUT).min(MOST_TIMEOUT);
        let client = self.client(&grant)?;
        let sending = client
            .request(method, url.clone())
            .headers(headers)
            .body(request.body)
            .timeout(timeout)
            .send();
        let response = sending
            .await
            .map_err(|error| failure(plugin, &url, timeout, error))?;
        read(response, body_limit)
            .await
            .map_err(|error| failure(plugin, &url, timeout, error))
    }

    async fn headers(
        &self,
        plugin: &PluginId,
        url: &Url,
        templates: Vec<HeaderTemplate>,
    ) -> Result<HeaderMap, PluginError> {
        if templates.len() > MOST_HEADERS {
            return Err(PluginError::Invalid(format!(
                "the request has more than {MOST_HEADERS} headers"
            )));
        }
        let mut headers = HeaderMap::new();
        for template in templates {
            let invalid = |why| {
                PluginError::Invalid(format!("header `{}` {why}", template.name.escape_debug()))
            };
            let name = HeaderName::from_bytes(template.name.as_bytes())
                .map_err(|_| invalid("is not a header name"))?;
            if RESERVED.contains(&name.as_str()) {
                return Err(invalid("is set by the host"));
            }
            let value = self.render(plugin, url, &template).await?;
            let mut value = HeaderValue::from_str(value.expose())
                .map_err(|_| invalid("has characters that no header can hold"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }

    /// Fills a header, on another thread where a slot's source may take its time.
    async fn render(
        &self,
        plugin: &PluginId,
        url: &Url,
        template: &HeaderTemplate,
    ) -> Result<SecretText, PluginError> {
        let waits = template.value.iter().any(|part| match part {
            ValuePart::Literal(_) => false,
            ValuePart::Secret(slot) => self.policy.secrets().may_wait(plugin, slot),
        });
        if !waits {
            return self.policy.render(plugin, url.as_str(), template);
        }
        let (policy, plugin, url, template) = (
            Arc::clone(&self.policy),
            plugin.clone(),
            url.clone(),
            template.clone(),
        );
        let rendering =
            tokio::task::spawn_blocking(move || policy.render(&plugin, url.as_str(), &template));
        rendering.await.unwrap_or_else(|_| {
            Err(PluginError::Other(
                "the secret could not be read".to_owned(),
            ))
        })
    }

    fn client(&self, grant: &Grant) -> Result<Client, PluginError> {
        let named: BTreeSet<IpAddr> = grant
            .capabilities()
            .net
            .iter()
            .filter_map(|origin| origin.address())
            .collect();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&named) {
            return Ok(client.clone());
        }
        let client = build(CheckedResolver::new(named.clone(), self.proxies.clone()))?;
        clients.insert(named, client.clone());
        Ok(client)
    }
}

/// What a made-up world is shown of a request.
fn outside_request(
    method: &Method,
    url: &Url,
    headers: &HeaderMap,
    body: Vec<u8>,
) -> OutsideRequest {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    };
    OutsideRequest {
        method: method.to_string(),
        url: url.to_string(),
        headers: headers.iter().map(pair).collect(),
        body,
    }
}

/// Keeps a made-up response to the bounds of a real one.
fn cut(mut response: HttpResponse, limit: usize) -> HttpResponse {
    response.headers.truncate(MOST_RESPONSE_HEADERS);
    response.truncated |= response.body.len() > limit;
    response.body.truncate(limit);
    response
}

fn build(resolver: CheckedResolver) -> Result<Client, PluginError> {
    // Another part of the host may have chosen a provider already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .dns_resolver(resolver)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("dovetail/", env!("CARGO_PKG_VERSION")))
        .build();
    client.map_err(|error| PluginError::Other(format!("cannot set up HTTP: {}", cause(&error))))
}

async fn read(
    mut response: reqwest::Response,
    limit: usize,
) -> Result<HttpResponse, reqwest::Error> {
    let status = response.status().as_u16();
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    };
    let headers = response
        .headers()
        .iter()
        .take(MOST_RESPONSE_HEADERS)
        .map(pair)
        .collect();
    let mut body = Vec::new();
    let mut truncated = false;
    while let Some(chunk) = response.chunk().await? {
        let room = limit - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            truncated = true;
            break;
        }
    }
    Ok(HttpResponse {
        status,
        headers,
        body,
        truncated,
    })
}

fn method(text: &str) -> Result<Method, PluginError> {
    let method = Method::from_bytes(text.as_bytes());
    match method {
        // These would make a proxy open a tunnel, or a server repeat the credentials.
        Ok(Method::CONNECT | Method::TRACE) | Err(_) => Err(PluginError::Invalid(format!(
            "`{}` is not a method a plugin can use",
            text.escape_debug()
        ))),
        Ok(method) => Ok(method),
    }
}

/// The hosts of the proxies that the HTTP client takes from the environment.
fn proxies(env: &HostEnv) -> BTreeSet<String> {
    [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ]
    .iter()
    .filter_map(|name| env.get(name)?.to_str())
    .filter_map(|text| {
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        Some(
            Url::parse(&with_scheme)
                .ok()?
                .host_str()?
                .to_ascii_lowercase(),
        )
    })
    .collect()
}

#[cfg(test)]
mod tests;
