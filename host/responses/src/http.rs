//! One request over HTTP: send, and open the stream.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use dovetail_core::model::{ModelError, ModelRequest, ModelStream};
use dovetail_http::proxy;
use reqwest::header::HeaderMap;
use reqwest::{Client, Response};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::body::{self, Form};
use crate::drain::Drains;
use crate::head::Head;
use crate::interpret::Interpreter;
use crate::redact::Redactor;
use crate::refusal::{self, Refusal};
use crate::service::{Service, told_by_head};
use crate::sse::SseParser;
use crate::stream::{Body, Incoming, Source};
use crate::{address, failure, transport};

/// What the reference clients use: most of the gain for little time.
const COMPRESSION_LEVEL: i32 = 3;

/// A request that is ready to go, but for its body.
pub(crate) struct Sent {
    pub(crate) url: Url,
    /// As it may be shown.
    pub(crate) shown_url: String,
    pub(crate) headers: HeaderMap,
    /// Knows the secrets in them.
    pub(crate) redactor: Redactor,
    /// Of the credential.
    pub(crate) generation: u64,
    /// Whether an answer may be JSON.
    pub(crate) takes_json: bool,
}

/// A service asked over HTTP.
pub(crate) struct Http {
    pub(crate) service: Arc<Service>,
    shown_url: String,
    /// Whether the last answer was one JSON document.
    pub(crate) in_one_piece: AtomicBool,
    client: OnceLock<Client>,
    drains: Arc<Drains>,
}

/// A body as small as it gets, and the header that says so. One that cannot be compressed is sent as it is.
fn compressed(plain: Vec<u8>, head: &mut Head) -> Vec<u8> {
    match zstd::encode_all(plain.as_slice(), COMPRESSION_LEVEL) {
        Ok(compressed) => {
            head.set_encoding("zstd");
            compressed
        }
        Err(_) => plain,
    }
}

impl Http {
    /// Connects to nothing and loads no certificates yet.
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self {
            shown_url: address::shown(&service.url),
            service,
            in_one_piece: AtomicBool::new(false),
            client: OnceLock::new(),
            drains: Arc::default(),
        }
    }

    /// Sends a request, and answers with its stream once the response has begun.
    pub(crate) async fn ask(
        &self,
        request: &ModelRequest,
        cancel: &CancellationToken,
    ) -> Result<ModelStream, ModelError> {
        let service = &self.service;
        let credential = service.credential().await?;
        let plain = body::encode(request, service.capabilities.item_metadata, Form::Http)
            .map_err(|error| failure::unwritable(&error))?;
        let mut head = Head::new(request, &service.headers, &service.options);
        let body = match service.capabilities.request_compression {
            true => compressed(plain, &mut head),
            false => plain,
        };
        head.add_credential(&credential.headers);
        let mut redactor = Redactor::default();
        let sent = Sent {
            headers: service.sign("POST", head, &body, &mut redactor).await?,
            url: service.url.clone(),
            shown_url: self.shown_url.clone(),
            redactor,
            generation: credential.generation,
            takes_json: false,
        };
        let (response, redactor) = self.answer(sent, body).await?;
        let source = Source::Responses(SseParser::default());
        Ok(self.stream(&request.model, response, redactor, source, cancel))
    }

    /// The stream of a response that has begun; `model` is the one that was asked for.
    pub(crate) fn stream(
        &self,
        model: &str,
        response: Response,
        redactor: Redactor,
        source: Source,
        cancel: &CancellationToken,
    ) -> ModelStream {
        let incoming = Incoming {
            ready: told_by_head(model, response.headers()),
            interpreter: Interpreter::new(Arc::clone(&self.service.provider)),
            body: Body {
                response,
                redactor,
                cancel: cancel.clone(),
                idle_timeout: self.service.options.idle_timeout,
            },
            source,
            drains: Arc::clone(&self.drains),
        };
        incoming.into_stream()
    }

    /// Sends a request and waits for the response's head. One that is no stream is a failure.
    pub(crate) async fn answer(
        &self,
        sent: Sent,
        body: Vec<u8>,
    ) -> Result<(Response, Redactor), ModelError> {
        let Sent {
            url,
            shown_url,
            headers,
            redactor,
            generation,
            takes_json,
        } = sent;
        let response = self
            .begin(url, &shown_url, headers, body, &redactor)
            .await?;
        let Some(refusal) = Refusal::of(&response, takes_json) else {
            return Ok((response, redactor));
        };
        let excerpt = redactor.clean(&refusal::read_excerpt(response).await);
        let provider = self.service.provider.as_ref();
        let error = refusal
            .explain(provider, &shown_url, &excerpt, &redactor)
            .await;
        self.service.note_refusal(generation, &error);
        Err(error)
    }

    /// The HTTP client, made when it is first needed.
    pub(crate) fn client(&self) -> Result<&Client, ModelError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = transport::build(&self.service.url).map_err(failure::unprepared)?;
        Ok(self.client.get_or_init(|| client))
    }

    async fn begin(
        &self,
        url: Url,
        shown_url: &str,
        headers: HeaderMap,
        body: Vec<u8>,
        redactor: &Redactor,
    ) -> Result<Response, ModelError> {
        let proxy = proxy::of_environment(&url);
        let sent = self.client()?.post(url).headers(headers).body(body).send();
        let limit = self.service.options.idle_timeout;
        match tokio::time::timeout(limit, sent).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let broken = transport::Broken::of(&error);
                let cause = redactor.clean(&transport::cause(error));
                Err(failure::unanswered(broken, shown_url, proxy, &cause))
            }
            Err(_elapsed) => Err(failure::silent(shown_url, limit.as_millis())),
        }
    }
}
