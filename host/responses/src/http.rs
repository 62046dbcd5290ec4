//! One request over HTTP: send, and open the stream.

use std::sync::{Arc, OnceLock};

use dovetail_core::model::{ModelError, ModelRequest, ModelStream};
use dovetail_http::proxy;
use reqwest::header::HeaderMap;
use reqwest::{Client, Response};
use tokio_util::sync::CancellationToken;

use crate::body::{self, Form};
use crate::drain::Drains;
use crate::head::Head;
use crate::interpret::Interpreter;
use crate::redact::Redactor;
use crate::refusal::{self, Refusal};
use crate::service::{Service, told_by_head};
use crate::sse::SseParser;
use crate::stream::Incoming;
use crate::{address, failure, transport};

/// What the reference clients use: most of the gain for little time.
const COMPRESSION_LEVEL: i32 = 3;

/// A service asked over HTTP.
pub(crate) struct Http {
    service: Arc<Service>,
    shown_url: String,
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
        let headers = service.sign("POST", head, &body, &mut redactor).await?;
        let response = self.answer(headers, body, &redactor).await?;
        if let Some(refusal) = Refusal::of(&response) {
            let excerpt = redactor.clean(&refusal::read_excerpt(response).await);
            let error = refusal
                .explain(
                    service.provider.as_ref(),
                    &self.shown_url,
                    &excerpt,
                    &redactor,
                )
                .await;
            service.note_refusal(credential.generation, &error);
            return Err(error);
        }
        let incoming = Incoming {
            ready: told_by_head(&request.model, response.headers()),
            response,
            interpreter: Interpreter::new(Arc::clone(&service.provider)),
            redactor,
            cancel: cancel.clone(),
            idle_timeout: service.options.idle_timeout,
            drains: Arc::clone(&self.drains),
            parser: SseParser::default(),
        };
        Ok(incoming.into_stream())
    }

    /// The HTTP client, made when it is first needed.
    fn client(&self) -> Result<&Client, ModelError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = transport::build(&self.service.url).map_err(failure::unprepared)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Sends the request and waits for the response's head.
    async fn answer(
        &self,
        headers: HeaderMap,
        body: Vec<u8>,
        redactor: &Redactor,
    ) -> Result<Response, ModelError> {
        let url = &self.service.url;
        let sent = self
            .client()?
            .post(url.clone())
            .headers(headers)
            .body(body)
            .send();
        let limit = self.service.options.idle_timeout;
        match tokio::time::timeout(limit, sent).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let broken = transport::Broken::of(&error);
                let cause = redactor.clean(&transport::cause(error));
                let proxy = proxy::of_environment(url);
                Err(failure::unanswered(broken, &self.shown_url, proxy, &cause))
            }
            Err(_elapsed) => Err(failure::silent(&self.shown_url, limit.as_millis())),
        }
    }
}
