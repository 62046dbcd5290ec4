//! `wasi:http`, for guests whose language speaks it: `fetch` in JavaScript, HTTP libraries in Python and Rust.
//!
//! Each request goes the way that one of the contract's `http` goes: the same grant, addresses, proxies, certificates,
//! redirects and bounds. What differs is WASI's: bodies come in pieces, failures are its codes, and its headers have no
//! place for the name of a secret, so none is ever filled in. It is linked without a grant too, and refuses everything
//! then: some languages import it whether a program uses it or not.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dovetail_core::plugin::{CONNECTION_HEADERS, PluginError};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName};
use http::{Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::guest_log::Level;
use crate::net::{MOST_BODY, MOST_HEADERS, MOST_RESPONSE_HEADERS, MOST_TIMEOUT};
use crate::net_failure::{Failed, Stage};
use crate::plugin_context::PluginContext;

/// Exchanges that an instance has going at once. Each may hold a whole request body in the host's memory.
const MOST_EXCHANGES: usize = 8;

/// What `wasi:http` does for the guest of one instance.
pub(crate) struct EgressHooks {
    plugin: Arc<PluginContext>,
    exchanges: Arc<Semaphore>,
}

impl EgressHooks {
    pub(crate) fn new(plugin: Arc<PluginContext>) -> Self {
        Self {
            plugin,
            exchanges: Arc::new(Semaphore::new(MOST_EXCHANGES)),
        }
    }
}

/// What goes on with the connection after the head: nothing that anybody waits for.
type Rest = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(Response<WasiBody>, Rest), Error>;

impl WasiHttpHooks for EgressHooks {
    /// A length may be named: WASI holds the body against it, and the host writes it anew.
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        let reserved = CONNECTION_HEADERS.contains(&name.as_str()) && *name != CONTENT_LENGTH;
        reserved || DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Rest,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let plugin = Arc::clone(&self.plugin);
        let permit = Arc::clone(&self.exchanges).try_acquire_owned();
        Box::new(async move {
            let permit = permit.map_err(|_| Error::ConnectionLimitReached)?;
            let response = send(&plugin, request, options, permit).await?;
            let rest: Rest = Box::new(std::future::ready(Ok(())));
            Ok((response, rest))
        })
    }
}

async fn send(
    plugin: &PluginContext,
    request: Request<WasiBody>,
    options: Option<RequestOptions>,
    permit: OwnedSemaphorePermit,
) -> Result<Response<WasiBody>, Error> {
    let (parts, body) = request.into_parts();
    let egress = plugin.services().http();
    let url = parts.uri.to_string();
    let method = parts.method.as_str();
    let admitted = egress.admit(plugin.id(), plugin.own_grant(), method, &url);
    let admitted = plugin.noted(admitted).map_err(|error| refusal(&error))?;
    let headers = own_headers(parts.headers)?;
    let body = whole(body).await?;
    let patience = patience(options.as_ref());
    let exchange = egress.exchange(plugin.id(), &admitted, headers, body, MOST_TIMEOUT);
    let (response, _) = tokio::time::timeout(patience, exchange)
        .await
        .map_err(|_| Error::HttpResponseTimeout)?
        .map_err(|failed| told(plugin, failed))?;
    Ok(incoming(response, plugin.limits().output_bytes, permit))
}

/// The guest's headers, within bounds.
fn own_headers(mut headers: HeaderMap) -> Result<HeaderMap, Error> {
    headers.remove(CONTENT_LENGTH);
    if headers.len() > MOST_HEADERS {
        return Err(Error::InternalError(Some(format!(
            "the request has more than {MOST_HEADERS} headers"
        ))));
    }
    for value in headers.values_mut() {
        // It may be a credential for all we know.
        value.set_sensitive(true);
    }
    Ok(headers)
}

/// A body, once the guest has finished it.
async fn whole(body: WasiBody) -> Result<Bytes, Error> {
    let collected = Limited::new(body, MOST_BODY).collect().await;
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Error::HttpRequestBodySize(Some(MOST_BODY as u64)))
        }
        // The guest dropped it unfinished, or wrote another length than it had named.
        Err(error) => Err(match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(_) => Error::HttpProtocolError,
        }),
    }
}

/// How long to wait for the response's head.
fn patience(options: Option<&RequestOptions>) -> Duration {
    let chosen = options.and_then(|options| options.first_byte_timeout);
    chosen.unwrap_or(MOST_TIMEOUT).min(MOST_TIMEOUT)
}

/// What a guest gets for a request that is not sent. Why is in its log and told to the user.
fn refusal(error: &PluginError) -> Error {
    match error {
        PluginError::Denied(_) => Error::HttpRequestDenied,
        other => Error::InternalError(Some(other.to_string())),
    }
}

/// What a guest gets for an exchange that failed.
fn told(plugin: &PluginContext, failed: Failed) -> Error {
    let Failed { stage, error } = failed;
    plugin.log().write(Level::Debug, &error.to_string());
    match stage {
        Stage::Refused => {
            // Counted and told like every denial.
            drop(plugin.noted::<()>(Err(error)));
            Error::DestinationIpProhibited
        }
        Stage::Unsendable | Stage::MadeUp => refusal(&error),
        Stage::Timeout => Error::HttpResponseTimeout,
        Stage::Connect => Error::ConnectionRefused,
        Stage::Tls => Error::TlsProtocolError,
        Stage::BrokenOff => Error::ConnectionTerminated,
    }
}

/// A response whose body comes as the guest reads it, and is an error once it is longer than `limit` bytes.
fn incoming(
    response: reqwest::Response,
    limit: usize,
    permit: OwnedSemaphorePermit,
) -> Response<WasiBody> {
    let (mut parts, body) = Response::<reqwest::Body>::from(response).into_parts();
    if parts.headers.len() > MOST_RESPONSE_HEADERS {
        let kept = parts.headers.iter().take(MOST_RESPONSE_HEADERS);
        parts.headers = kept
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
    }
    let body = Held {
        body: Limited::new(body, limit),
        _permit: permit,
    };
    let unreadable = move |error: Box<dyn std::error::Error + Send + Sync>| {
        if error.is::<LengthLimitError>() {
            return Error::HttpResponseBodySize(Some(limit as u64));
        }
        match error.downcast_ref::<reqwest::Error>() {
            Some(error) if error.is_timeout() => Error::HttpResponseTimeout,
            Some(_) | None => Error::HttpResponseIncomplete,
        }
    };
    Response::from_parts(parts, body.map_err(unreadable).boxed_unsync())
}

/// A body that counts as an exchange until it is dropped.
struct Held {
    body: Limited<reqwest::Body>,
    _permit: OwnedSemaphorePermit,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
