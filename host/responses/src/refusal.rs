//! Responses that are no stream: recognised by their head, read as far as it helps to explain them.

use std::time::Duration;

use dovetail_core::model::{FailureStage, ModelError};
use dovetail_core::plugin::Provider;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};

use crate::failure::{self, ErrorResponse};
use crate::redact::Redactor;

/// The start of an error's body that is read and shown to the provider.
const MAX_ERROR_BODY: usize = 64 * 1024;
/// How long the rest of an error may take: its status is known already.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The head of a response that is no stream.
pub(crate) struct Refusal {
    status: StatusCode,
    headers: HeaderMap,
    content_type: String,
    /// How the body is compressed, which nobody has asked for.
    coding: Option<String>,
    /// What was.
    wanted: Wanted,
}

/// What a request was sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Stream,
    List,
}

impl Refusal {
    /// The refusal, if a response is one. `takes_json` says that JSON may be an answer.
    pub(crate) fn of(response: &Response, takes_json: bool) -> Option<Self> {
        let content_type = response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
        // Login pages and error objects come with status 200 too. Other types are tried: not all servers name theirs.
        let is_page = content_type.starts_with("text/html")
            || (content_type.starts_with("application/json") && !takes_json);
        let coding = response.headers().get("content-encoding");
        let coding = coding
            .map(|coding| String::from_utf8_lossy(coding.as_bytes()).into_owned())
            .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
        let refused = !response.status().is_success() || is_page || coding.is_some();
        refused.then(|| Self {
            status: response.status(),
            headers: response.headers().clone(),
            content_type,
            coding,
            wanted: Wanted::Stream,
        })
    }

    /// The same where a list was asked for.
    pub(crate) fn of_listing(response: &Response) -> Option<Self> {
        Some(Self {
            wanted: Wanted::List,
            ..Self::of(response, true)?
        })
    }

    /// What it means; `url` as it may be shown, `excerpt` without secrets.
    pub(crate) async fn explain(
        &self,
        provider: &dyn Provider,
        url: &str,
        excerpt: &str,
        redactor: &Redactor,
    ) -> ModelError {
        if self.status.is_success() {
            let words = self.instead(url, excerpt);
            return match self.wanted {
                Wanted::Stream => failure::disconnected(&words),
                Wanted::List => ModelError::new(FailureStage::Exchange, words),
            };
        }
        // Compressed words are no words.
        let coded = self
            .coding
            .as_ref()
            .map(|coding| format!("its words came in `{coding}`, which was not asked for"));
        let response = ErrorResponse {
            url,
            status: self.status,
            headers: &self.headers,
            excerpt: coded.as_deref().unwrap_or(excerpt),
        };
        failure::of_response(provider, &response, redactor).await
    }
}

impl Refusal {
    /// What came instead.
    fn instead(&self, url: &str, excerpt: &str) -> String {
        if let Some(coding) = &self.coding {
            return format!("`{url}` answered with a body in `{coding}`, which was not asked for");
        }
        let kind = &self.content_type;
        let words =
            failure::own_words(excerpt).map_or_else(String::new, |words| format!(": {words}"));
        let wanted = match self.wanted {
            Wanted::Stream => "an event stream",
            Wanted::List => "a list of models",
        };
        format!("`{url}` answered with `{kind}` instead of {wanted}{words}")
    }
}

/// The start of a refusal's body: as much as comes in time, up to the limit.
pub(crate) async fn read_excerpt(mut response: Response) -> String {
    let mut excerpt = Vec::new();
    let read = async {
        while let Ok(Some(bytes)) = response.chunk().await {
            let room = MAX_ERROR_BODY - excerpt.len();
            excerpt.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if excerpt.len() == MAX_ERROR_BODY {
                return;
            }
        }
    };
    // Late or not, what has come so far is shown.
    drop(tokio::time::timeout(ERROR_BODY_TIMEOUT, read).await);
    String::from_utf8_lossy(&excerpt).into_owned()
}
