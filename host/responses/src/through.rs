//! One request to a service that speaks another API: encoded by a plugin, sent like any other, decoded by the plugin.

use std::sync::atomic::Ordering;

use dovetail_core::model::{ModelError, ModelRequest, ModelStream};
use dovetail_core::plugin::{Wire, WireRequest};
use tokio_util::sync::CancellationToken;

use crate::address;
use crate::body::{self, Form};
use crate::failure;
use crate::framing::Framing;
use crate::head::Head;
use crate::http::{Http, Sent};
use crate::redact::Redactor;
use crate::stream::Source;
use crate::translation::Translation;

/// Headers that are the host's alone: they say how the request travels.
const OWN_HEADERS: [&str; 8] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "content-encoding",
];

impl Http {
    /// Sends a request through a wire, and answers with its stream once the response has begun.
    pub(crate) async fn ask_through(
        &self,
        wire: &dyn Wire,
        request: &ModelRequest,
        cancel: &CancellationToken,
    ) -> Result<ModelStream, ModelError> {
        let service = &self.service;
        let asked = body::encode(request, false, Form::Http)
            .map_err(|error| failure::unwritable(&error))?;
        let encoded = wire.encode(&service.scope.provider_id, asked).await;
        let (encoded, decoder) = encoded.map_err(|error| failure::of_credential(&error))?;
        let WireRequest {
            path,
            headers,
            body,
        } = encoded;
        let refused =
            |why: String| failure::unsendable(format!("the plugin `{}` {why}", wire.plugin()));
        let url = address::below(&service.base, &path)
            .map_err(|why| refused(format!("asks for `{path}`, which {why}")))?;
        let own = headers
            .iter()
            .find(|(name, _)| OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)));
        if let Some((name, _)) = own {
            return Err(refused(format!(
                "sets the header `{name}`, which is the host's"
            )));
        }
        let credential = service.credential_for(&url).await?;
        let mut head = Head::of_wire(request, &service.headers, &service.options, headers);
        head.add_credential(&credential.headers);
        let mut redactor = Redactor::default();
        let signed = service.sign_for(&url, "POST", head, &body, &mut redactor);
        let sent = Sent {
            headers: signed.await?,
            shown_url: address::shown(&url),
            url,
            redactor,
            generation: credential.generation,
            takes_json: true,
        };
        let (response, redactor) = self.answer(sent, body).await?;
        let content_type = response.headers().get("content-type");
        let content_type = content_type
            .and_then(|value| value.to_str().ok()) // What is no text names no type.
            .unwrap_or_default();
        let document = content_type
            .to_ascii_lowercase()
            .starts_with("application/json");
        self.in_one_piece.store(document, Ordering::Relaxed);
        let framing = Framing::of(content_type);
        let source = Source::Wire(Box::new(Translation::new(decoder, framing)));
        Ok(self.stream(&request.model, response, redactor, source, cancel))
    }
}
