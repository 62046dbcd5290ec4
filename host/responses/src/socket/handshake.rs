//! From a request to a connection: an HTTP request that asks for an upgrade, on the same paths as all others.

use std::time::Duration;

use dovetail_core::model::{ModelError, ModelRequest};
use dovetail_http::proxy;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::connection::{Connection, Login};
use super::wire::Wire;
use crate::address;
use crate::failure::{self, ErrorResponse};
use crate::head::Head;
use crate::redact::Redactor;
use crate::refusal;
use crate::service::{Service, told_by_head};
use crate::transport::{self, Broken};

/// The version of the protocol, the only one there is.
const VERSION: &str = "13";

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Unopened {
    /// The service asks for HTTP.
    Unwanted,
    /// Something failed.
    Failed(Box<ModelError>),
}

impl From<ModelError> for Unopened {
    fn from(error: ModelError) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// Opens a connection in the name of a request. Nothing is sent without the credential that its provider wants.
pub(super) async fn open(
    service: &Service,
    client: &Client,
    request: &ModelRequest,
    limit: Duration,
) -> Result<Connection, Unopened> {
    let credential = service.credential().await?;
    let mut head = Head::of_upgrade(request, &service.headers, &service.options);
    head.add_credential(&credential.headers);
    let mut redactor = Redactor::default();
    let signed = service.sign("GET", head, b"", &mut redactor).await?;
    let url = address::shown_socket(&service.url);
    let key = generate_key();
    let sent = client
        .get(service.url.clone())
        .headers(upgrade_headers(&key, signed))
        .send();
    let opened = tokio::time::timeout(limit, async {
        let response = sent
            .await
            .map_err(|error| unsent(error, service, &redactor))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let error = refused(service, &url, response, &redactor).await;
            if let Unopened::Failed(error) = &error {
                service.note_refusal(credential.generation, error);
            }
            return Err(error);
        }
        check_agreed(response.headers(), &key)
            .map_err(|what| failure::no_socket(format!("no WebSocket at `{url}`: {what}")))?;
        let told = told_by_head(&request.model, response.headers());
        let upgraded = response.upgrade().await.map_err(|error| {
            let cause = transport::cause(error);
            failure::no_socket(format!("no WebSocket at `{url}`: {cause}"))
        })?;
        Ok((told, upgraded))
    });
    let Ok(opened) = opened.await else {
        let limit = limit.as_millis();
        return Err(
            failure::no_socket(format!("no WebSocket at `{url}` within {limit} ms")).into(),
        );
    };
    let (told, upgraded) = opened?;
    Ok(Connection {
        wire: Wire::new(upgraded).await,
        told,
        login: Login {
            redactor,
            generation: credential.generation,
        },
        answered: None,
    })
}

/// The headers of an upgrade. Those of the connection itself are no part of what a provider signs.
fn upgrade_headers(key: &str, signed: HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(signed.len() + 4);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(
        header::SEC_WEBSOCKET_VERSION,
        HeaderValue::from_static(VERSION),
    );
    let key = HeaderValue::from_str(key).expect("a key is Base64");
    headers.insert(header::SEC_WEBSOCKET_KEY, key);
    headers.extend(signed);
    headers
}

/// Checks that the server has understood what it agreed to.
fn check_agreed(headers: &HeaderMap, key: &str) -> Result<(), &'static str> {
    let is = |name, expected: &str| {
        headers.get(name).is_some_and(|value: &HeaderValue| {
            value.as_bytes().eq_ignore_ascii_case(expected.as_bytes())
        })
    };
    if !is(header::UPGRADE, "websocket") {
        return Err("the server changed to another protocol");
    }
    let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT);
    if accept.map(HeaderValue::as_bytes) != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err("the server's answer belongs to another request");
    }
    if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS)
        || headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL)
    {
        return Err("the server wants an extension that was not offered");
    }
    Ok(())
}

/// What it means that an upgrade got no answer. Where the host cannot be reached or trusted, HTTP would not get there
/// either; where there is no TLS, it may be HTTP/1.1 that the host does not want to speak.
fn unsent(error: reqwest::Error, service: &Service, redactor: &Redactor) -> ModelError {
    let broken = Broken::of(&error);
    let cause = redactor.clean(&transport::cause(error));
    let proxy = proxy::of_environment(&service.url);
    let url = address::shown_socket(&service.url);
    let error = failure::unanswered(broken, &url, proxy, &cause);
    match broken {
        Broken::Unreachable | Broken::Untrusted => error,
        Broken::Unsafe | Broken::Unanswered => failure::no_socket(error.message),
    }
}

/// What an answer means that is no upgrade.
async fn refused(
    service: &Service,
    url: &str,
    response: Response,
    redactor: &Redactor,
) -> Unopened {
    let (status, headers) = (response.status(), response.headers().clone());
    if status == StatusCode::UPGRADE_REQUIRED {
        return Unopened::Unwanted;
    }
    let excerpt = redactor.clean(&refusal::read_excerpt(response).await);
    let response = ErrorResponse {
        url,
        status,
        headers: &headers,
        excerpt: &excerpt,
    };
    let said = failure::of_response(service.provider.as_ref(), &response, redactor).await;
    Unopened::from(ModelError {
        kind: said.kind,
        rate_limits: said.rate_limits,
        ..failure::no_socket(said.message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and its answer from RFC 6455.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], expected: Result<(), &str>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        assert_eq!(check_agreed(&map, KEY), expected, "{headers:?}");
    }

    #[test]
    fn an_upgrade_has_to_be_the_one_that_was_asked_for() {
        let (upgrade, accept) = (("upgrade", "WebSocket"), ("sec-websocket-accept", ACCEPT));
        check(&[upgrade, accept], Ok(()));
        check(
            &[("upgrade", "h2c"), accept],
            Err("the server changed to another protocol"),
        );
        let other = Err("the server's answer belongs to another request");
        check(&[upgrade], other);
        check(&[upgrade, ("sec-websocket-accept", KEY)], other);
        check(
            &[
                upgrade,
                accept,
                ("sec-websocket-extensions", "permessage-deflate"),
            ],
            Err("the server wants an extension that was not offered"),
        );
    }
}
