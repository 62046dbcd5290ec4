//! HTTP on behalf of plugins: one request, one bounded response, to granted origins only.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{CONNECTION_HEADERS, HeaderTemplate, PluginError, ValuePart};
use dovetail_core::secret::SecretText;
use dovetail_http::Way;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response};
use url::Url;

use crate::address::CheckedResolver;
use crate::egress::EgressPolicy;
use crate::grant::Grant;
use crate::host_env::HostEnv;
use crate::net_failure::{Failed, cause};
use crate::outside::{Outside, OutsideRequest};

/// Where a plugin sets no time, and the most it can set.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
pub(crate) const MOST_TIMEOUT: Duration = Duration::from_secs(120);
/// A connection takes milliseconds or never happens.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// As much as a guest with the default memory can reasonably build.
pub(crate) const MOST_BODY: usize = 16 << 20;
pub(crate) const MOST_HEADERS: usize = 64;
/// Of a response, as a guest has to hold it all. Over HTTP/1.1 more is no response to the client; otherwise it is dropped.
pub(crate) const MOST_RESPONSE_HEADERS: usize = 100;

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

/// A request that the grant covers.
#[derive(Debug)]
pub(crate) struct Admitted {
    grant: Arc<Grant>,
    method: Method,
    url: Url,
}

/// Sends requests for all plugins.
#[derive(Debug)]
pub struct HttpEgress {
    policy: Arc<EgressPolicy>,
    proxies: BTreeSet<String>,
    outside: Option<Arc<dyn Outside>>,
    /// One client per way and set of addresses that a grant names, which nearly always is the empty set. A client costs
    /// milliseconds (it loads the platform's certificates), so none is built before a plugin needs it; and they do
    /// not share connections, so no plugin gets one that only another was allowed to open.
    clients: Mutex<HashMap<(Way, BTreeSet<IpAddr>), Client>>,
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

    /// Sends a request of a plugin with this grant, and reads at most `body_limit` bytes of the response.
    ///
    /// # Errors
    /// `Denied` for an origin or address outside the grant, `Retryable` for connection failures and timeouts,
    /// `Unavailable` for a slot that cannot be filled, `Invalid` for a malformed request.
    pub async fn send(
        &self,
        plugin: &PluginId,
        grant: &Arc<Grant>,
        request: HttpRequest,
        body_limit: usize,
    ) -> Result<HttpResponse, PluginError> {
        let admitted = self.admit(plugin, grant, &request.method, &request.url)?;
        if request.body.len() > MOST_BODY {
            return Err(PluginError::Invalid(format!(
                "the request body is longer than {MOST_BODY} bytes"
            )));
        }
        let headers = self.headers(plugin, &admitted, request.headers).await?;
        let timeout = request.timeout.unwrap_or(DEFAULT_TIMEOUT).min(MOST_TIMEOUT);
        let broken = |error| Failed::new(plugin, &admitted.url, timeout, error);
        let (response, cut) = self
            .exchange(plugin, &admitted, headers, request.body.into(), timeout)
            .await?;
        let mut response = read(response, body_limit).await.map_err(broken)?;
        response.truncated |= cut;
        Ok(response)
    }

    /// Decides whether a plugin may send a request, before anything else is done for it.
    ///
    /// # Errors
    /// `Denied` for a method or URL outside the grant, `Invalid` for what is neither.
    pub(crate) fn admit(
        &self,
        plugin: &PluginId,
        grant: &Arc<Grant>,
        method: &str,
        url: &str,
    ) -> Result<Admitted, PluginError> {
        self.policy.check_in_force(plugin)?;
        let method = read_method(method)?;
        let url = self
            .policy
            .checked_request(plugin, grant, method.as_str(), url)?;
        Ok(Admitted {
            grant: Arc::clone(grant),
            method,
            url,
        })
    }

    /// Sends what was admitted, and waits for the head of the response. Says with it whether the body is known to be cut.
    ///
    /// # Errors
    /// Says what went wrong on the way, an address outside the grant included.
    pub(crate) async fn exchange(
        &self,
        plugin: &PluginId,
        admitted: &Admitted,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<(Response, bool), Failed> {
        let Admitted { grant, method, url } = admitted;
        if let Some(outside) = &self.outside {
            let asked = outside_request(method, url, &headers, body.into());
            let answer = outside.http(asked).await.map_err(Failed::made_up)?;
            return made_up(answer).map_err(Failed::made_up);
        }
        let sending = self
            .client(grant, url)
            .map_err(Failed::unprepared)?
            .request(method.clone(), url.clone())
            .headers(headers)
            .body(body)
            .timeout(timeout)
            .send();
        match sending.await {
            Ok(response) => Ok((response, false)),
            Err(error) => Err(Failed::new(plugin, url, timeout, error)),
        }
    }

    async fn headers(
        &self,
        plugin: &PluginId,
        admitted: &Admitted,
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
            if CONNECTION_HEADERS.contains(&name.as_str()) {
                return Err(invalid("is set by the host"));
            }
            let value = self.render(plugin, admitted, &template).await?;
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
        admitted: &Admitted,
        template: &HeaderTemplate,
    ) -> Result<SecretText, PluginError> {
        let Admitted { grant, url, .. } = admitted;
        let waits = template.value.iter().any(|part| match part {
            ValuePart::Literal(_) => false,
            ValuePart::Secret(slot) => self.policy.secrets().may_wait(plugin, slot),
        });
        if !waits {
            return self
                .policy
                .render_under(plugin, grant, url.as_str(), template);
        }
        let (policy, grant) = (Arc::clone(&self.policy), Arc::clone(grant));
        let (plugin, url, template) = (plugin.clone(), url.clone(), template.clone());
        let rendering = tokio::task::spawn_blocking(move || {
            policy.render_under(&plugin, &grant, url.as_str(), &template)
        });
        rendering.await.unwrap_or_else(|_| {
            Err(PluginError::Other(
                "the secret could not be read".to_owned(),
            ))
        })
    }

    fn client(&self, grant: &Grant, url: &Url) -> Result<Client, PluginError> {
        let named: BTreeSet<IpAddr> = grant
            .capabilities()
            .net
            .iter()
            .filter_map(|origin| origin.address())
            .collect();
        let way = Way::to(url);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&(way, named.clone())) {
            return Ok(client.clone());
        }
        let proxies = match way.ends_here() {
            true => BTreeSet::new(),
            false => self.proxies.clone(),
        };
        let client = build(way, CheckedResolver::new(named.clone(), proxies))?;
        clients.insert((way, named), client.clone());
        Ok(client)
    }
}

#[cfg(test)]
impl HttpEgress {
    /// Has a name lead to these addresses, for grants that name no address.
    pub(crate) fn lead(&self, url: &str, addresses: &[IpAddr]) {
        let way = Way::to(&Url::parse(url).expect("a URL"));
        let resolver = CheckedResolver::new(BTreeSet::new(), BTreeSet::new()).leading_to(addresses);
        let client = build(way, resolver).expect("a client");
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.insert((way, BTreeSet::new()), client);
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

/// A made-up response as if it had come in.
fn made_up(answer: HttpResponse) -> Result<(Response, bool), PluginError> {
    let mut response = http::Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let response = response
        .body(answer.body)
        .map_err(|error| PluginError::Other(format!("the made-up response is none: {error}")))?;
    Ok((response.into(), answer.truncated))
}

fn build(way: Way, resolver: CheckedResolver) -> Result<Client, PluginError> {
    let failed = |why: String| PluginError::Other(format!("cannot set up HTTP: {why}"));
    dovetail_http::builder(way)
        .map_err(|error| failed(error.to_string()))?
        .dns_resolver(resolver)
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("dovetail/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| failed(cause(&error)))
}

async fn read(mut response: Response, limit: usize) -> Result<HttpResponse, reqwest::Error> {
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

fn read_method(text: &str) -> Result<Method, PluginError> {
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
