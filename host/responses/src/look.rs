//! Looking at a service without asking its model anything: the credential that requests carry, and what a path answers.

use dovetail_core::model::{FailureStage, ModelError};
use dovetail_http::proxy;
use reqwest::Response;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::client::ResponsesClient;
use crate::head::Head;
use crate::http::Http;
use crate::redact::Redactor;
use crate::refusal::{self, Refusal};
use crate::{address, failure, transport};

/// Lists of a few hundred models with everything that is known of them take a tenth of this.
const LONGEST: usize = 8 << 20;

impl ResponsesClient {
    /// Gets the credential that requests carry, and keeps it for the next one. The names of its headers are the answer:
    /// none where requests carry none, or are signed one by one.
    ///
    /// # Errors
    /// There is none, in the provider's words.
    pub async fn credential_headers(&self) -> Result<Vec<String>, ModelError> {
        let credential = self.service.credential().await?;
        let names = credential.headers.iter().map(|header| header.name.clone());
        Ok(names.collect())
    }

    /// What a path below the base URL answers, as JSON. The request carries the credential, and `headers` beside it.
    ///
    /// # Errors
    /// As those of a request to the model; also where the answer is no JSON. No secret is in them.
    pub async fn get(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        cancel: &CancellationToken,
    ) -> Result<Value, ModelError> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(failure::cancelled()),
            answer = self.http.look(path, headers) => answer,
        }
    }
}

impl Http {
    async fn look(&self, path: &str, headers: &[(&str, &str)]) -> Result<Value, ModelError> {
        let service = &self.service;
        let url = address::below(&service.base, path);
        let url = url.map_err(|why| failure::unsendable(format!("`{path}` {why}")))?;
        let shown = address::shown(&url);
        let credential = service.credential_for(&url).await?;
        let mut head = Head::of_look(&service.headers, &service.options, headers);
        head.add_credential(&credential.headers);
        let mut redactor = Redactor::default();
        let signed = service.sign_for(&url, "GET", head, &[], &mut redactor);
        let signed = signed.await?;
        let proxy = proxy::of_environment(&url);
        let limit = service.options.idle_timeout;
        let sent = self.client()?.get(url).headers(signed).send();
        let response = match tokio::time::timeout(limit, sent).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let broken = transport::Broken::of(&error);
                let cause = redactor.clean(&transport::cause(error));
                return Err(failure::unanswered(broken, &shown, proxy, &cause));
            }
            Err(_elapsed) => return Err(failure::silent(&shown, limit.as_millis())),
        };
        let not_json = || {
            let message = format!("`GET {shown}` is not answered with JSON");
            ModelError::new(FailureStage::Event, message)
        };
        if let Some(refusal) = Refusal::of(&response, true) {
            if response.status().is_success() {
                return Err(not_json());
            }
            let excerpt = redactor.clean(&refusal::read_excerpt(response).await);
            let provider = service.provider.as_ref();
            let error = refusal.explain(provider, &shown, &excerpt, &redactor).await;
            service.note_refusal(credential.generation, &error);
            return Err(error);
        }
        let body = match tokio::time::timeout(limit, whole(response)).await {
            Ok(body) => body.map_err(|why| failure::disconnected(&redactor.clean(&why)))?,
            Err(_elapsed) => return Err(failure::silent(&shown, limit.as_millis())),
        };
        serde_json::from_slice(&body).map_err(|_| not_json())
    }
}

/// A body to its end, unless that is too far.
async fn whole(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(transport::cause)? {
        body.extend_from_slice(&bytes);
        if body.len() > LONGEST {
            return Err(format!("the answer is longer than {LONGEST} bytes"));
        }
    }
    Ok(body)
}
