//! Providers: a table, a scope and a response in; an endpoint, headers and a judgement out.

use std::collections::BTreeMap;
use std::time::Duration;

use dovetail_core::plugin::{
    Failure, FailureKind, HeaderTemplate, PluginError, Provider, Purpose, Recovery, RequestHead,
    Scope,
};
use dovetail_core::secret::Egress;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::report::Report;
use crate::table::Placed;
use crate::text::{Text, differs};
use crate::timing::{Times, fault};

/// How often plain questions are put for the times.
const CALLS: usize = 50;

/// `[[provider]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderCase {
    pub(crate) name: Option<String>,
    call: Call,
    /// The id in `[model_providers.<id>]`; the first that the plugin serves where it is not given.
    id: Option<String>,
    /// configure: the user's table.
    #[serde(default)]
    table: Value,
    /// authorize: the request.
    #[serde(default = "post")]
    method: String,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// classify: the response.
    #[serde(default)]
    status: u16,
    #[serde(default)]
    body: String,
    /// recover: what went wrong, such as `unauthorized`.
    #[serde(default = "unauthorized")]
    failure: String,
    #[serde(default)]
    expect: Expected,
}

fn post() -> String {
    "POST".to_owned()
}

fn unauthorized() -> String {
    "unauthorized".to_owned()
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Call {
    Configure,
    Prepare,
    Authorize,
    Classify,
    Recover,
    ListModels,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expected {
    base_url: Option<Text>,
    /// Headers as they leave the host, secrets filled in.
    headers: BTreeMap<String, Text>,
    /// classify: the kind of failure, such as `rate-limited`.
    kind: Option<String>,
    message: Option<Text>,
    retry_after_ms: Option<u64>,
    /// recover: `changed`, `unchanged`, `permanent` or `transient`.
    recovery: Option<String>,
    /// list-models: the names sent in requests.
    models: Option<Vec<String>>,
    /// The words of an error.
    error: Option<Text>,
}

/// What a provider was found to be while its cases run.
pub(crate) struct Trial<'a> {
    provider: &'a dyn Provider,
    egress: &'a dyn Egress,
    /// Where the last configuration sends requests.
    base_url: String,
}

fn scope(id: &str) -> Scope {
    Scope {
        provider_id: id.to_owned(),
        purpose: Purpose::Turn,
        session_source: "exec".to_owned(),
        policy: "strict".to_owned(),
    }
}

/// Asks a provider everything, configured with nothing.
pub(crate) async fn probe(provider: &dyn Provider, limit: Duration, report: &mut Report) {
    let description = provider.description();
    let ids = if description.ids.is_empty() {
        "any id".to_owned()
    } else {
        description.ids.join(", ")
    };
    report
        .facts
        .push(format!("serves {ids} as {}", description.name));
    if description.name.trim().is_empty() {
        report.find("describe", "it has no name for people");
    }
    let id = first_id(provider);
    let configured = provider.configure(&id, &json!({})).await;
    if let Some(fault) = fault(&configured) {
        report.find("configure", fault.to_string());
        return;
    }
    for odd in [
        json!({ "base_url": 7 }),
        json!({ "x": { "y": [null] } }),
        json!({ "base_url": "not a url" }),
    ] {
        if let Some(fault) = fault(&provider.configure(&id, &odd).await) {
            report.find("configure", format!("with {odd}: {fault}"));
        }
    }
    let mut times = Times::default();
    for _ in 0..CALLS {
        let answer = times
            .of(provider.classify(429, &[], "{\"error\":{}}"))
            .await;
        if let Some(fault) = fault(&answer) {
            report.find("classify", fault.to_string());
            return;
        }
    }
    report.time("classify", &times, limit);
    for (status, body) in [
        (0, "{"),
        (200, ""),
        (401, "{\"error\":{\"message\":\"no\"}}"),
        (500, "<html>"),
        (599, "\u{0}\u{202e}"),
        (429, "{\"error\":[1,{\"code\":null}]}"),
    ] {
        let headers = [("retry-after".to_owned(), "soon".to_owned())];
        if let Some(fault) = fault(&provider.classify(status, &headers, body).await) {
            report.find(
                "classify",
                format!("status {status} with {body:?}: {fault}"),
            );
        }
    }
}

fn first_id(provider: &dyn Provider) -> String {
    let first = provider.description().ids.first();
    first.cloned().unwrap_or_else(|| "p".to_owned())
}

impl<'a> Trial<'a> {
    pub(crate) fn new(provider: &'a dyn Provider, egress: &'a dyn Egress) -> Self {
        Self {
            provider,
            egress,
            base_url: provider
                .description()
                .default_endpoint
                .clone()
                .unwrap_or_default(),
        }
    }

    /// Runs a case. Says how it differs from what is expected, if it does.
    pub(crate) async fn run(
        &mut self,
        placed: &Placed<ProviderCase>,
        times: &mut Times,
    ) -> Option<String> {
        let case = &placed.case;
        let id = case.id.clone().unwrap_or_else(|| first_id(self.provider));
        let answer = self.answer(case, &id, times).await;
        match (answer, &case.expect.error) {
            (Ok(differs), None) => differs,
            (Ok(_), Some(_)) => Some("it answers well, and an error is expected".to_owned()),
            (Err(error), None) => Some(format!("it fails: {error}")),
            (Err(error), Some(expected)) => expected.differs("error", &error.to_string()),
        }
    }

    async fn answer(
        &mut self,
        case: &ProviderCase,
        id: &str,
        times: &mut Times,
    ) -> Result<Option<String>, PluginError> {
        let (provider, scope, expected) = (self.provider, scope(id), &case.expect);
        Ok(match case.call {
            Call::Configure => {
                let table = match &case.table {
                    Value::Null => json!({}),
                    table => table.clone(),
                };
                let endpoint = times.of(provider.configure(id, &table)).await?;
                self.base_url.clone_from(&endpoint.base_url);
                differs(
                    expected.base_url.as_ref(),
                    "base_url",
                    Some(&endpoint.base_url),
                )
                .or(self.headers_differ(&endpoint.headers, expected)?)
            }
            Call::Prepare => {
                let prepared = times.of(provider.prepare(&scope)).await?;
                self.headers_differ(&prepared.headers, expected)?
            }
            Call::Authorize => {
                let head = RequestHead {
                    method: case.method.clone(),
                    url: self.url(case),
                    headers: case.headers.clone().into_iter().collect(),
                };
                let digest = *dovetail_runtime::digest::Sha256::of(case.body.as_bytes()).bytes();
                let headers = times.of(provider.authorize(&scope, &head, digest)).await?;
                self.headers_differ(&headers, expected)?
            }
            Call::Classify => {
                let headers: Vec<(String, String)> = case.headers.clone().into_iter().collect();
                let failure = times
                    .of(provider.classify(case.status, &headers, &case.body))
                    .await?;
                failure_differs(&failure, expected)
            }
            Call::Recover => {
                let kind = KINDS.iter().find(|(name, _)| *name == case.failure);
                let Some((_, kind)) = kind else {
                    return Ok(Some(format!(
                        "`{}` is no kind of failure; there are {}",
                        case.failure,
                        kinds()
                    )));
                };
                let failure = Failure {
                    kind: *kind,
                    message: None,
                    retry_after: None,
                };
                recovery_differs(
                    &times.of(provider.recover(&scope, &failure)).await?,
                    expected,
                )
            }
            Call::ListModels => {
                let models = times.of(provider.list_models(&scope)).await?;
                let found: Vec<String> = models.into_iter().map(|model| model.slug).collect();
                expected
                    .models
                    .as_ref()
                    .filter(|models| **models != found)
                    .map(|models| format!("the models are {found:?}, expected {models:?}"))
            }
        })
    }

    fn url(&self, case: &ProviderCase) -> String {
        case.url
            .clone()
            .unwrap_or_else(|| format!("{}/responses", self.base_url.trim_end_matches('/')))
    }

    /// Headers as they leave the host.
    fn headers_differ(
        &self,
        headers: &[HeaderTemplate],
        expected: &Expected,
    ) -> Result<Option<String>, PluginError> {
        for (name, text) in &expected.headers {
            let header = headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case(name));
            let value = match header {
                Some(header) => {
                    let url = format!("{}/responses", self.base_url.trim_end_matches('/'));
                    let filled = self.egress.render(self.provider.plugin(), &url, header)?;
                    // What a table's secrets hold is made up.
                    Some(filled.expose().to_owned())
                }
                None => None,
            };
            let found = differs(Some(text), &format!("header `{name}`"), value.as_deref());
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

const KINDS: [(&str, FailureKind); 13] = [
    (
        "context-window-exceeded",
        FailureKind::ContextWindowExceeded,
    ),
    ("usage-limit-reached", FailureKind::UsageLimitReached),
    ("quota-exceeded", FailureKind::QuotaExceeded),
    ("usage-not-included", FailureKind::UsageNotIncluded),
    ("invalid-request", FailureKind::InvalidRequest),
    ("overloaded", FailureKind::Overloaded),
    ("rate-limited", FailureKind::RateLimited),
    ("unauthorized", FailureKind::Unauthorized),
    ("forbidden", FailureKind::Forbidden),
    ("not-found", FailureKind::NotFound),
    ("too-large", FailureKind::TooLarge),
    ("server-error", FailureKind::ServerError),
    ("unknown", FailureKind::Unknown),
];

fn kinds() -> String {
    KINDS.map(|(name, _)| name).join(", ")
}

fn failure_differs(failure: &Failure, expected: &Expected) -> Option<String> {
    let kind = KINDS.iter().find(|(_, kind)| *kind == failure.kind);
    let found = kind.map_or("unknown", |(name, _)| name);
    if let Some(wanted) = &expected.kind
        && wanted != found
    {
        return Some(format!(
            "the kind is {found}, expected {wanted} (there are {})",
            kinds()
        ));
    }
    let delay = failure.retry_after.map(|after| after.as_millis());
    if let Some(wanted) = expected.retry_after_ms
        && delay != Some(u128::from(wanted))
    {
        return Some(format!("the delay is {delay:?} ms, expected {wanted}"));
    }
    differs(
        expected.message.as_ref(),
        "message",
        failure.message.as_deref(),
    )
}

fn recovery_differs(recovery: &Recovery, expected: &Expected) -> Option<String> {
    let (found, words) = match recovery {
        Recovery::Changed => ("changed", None),
        Recovery::Unchanged => ("unchanged", None),
        Recovery::Permanent(words) => ("permanent", Some(words.as_str())),
        Recovery::Transient(words) => ("transient", Some(words.as_str())),
    };
    match &expected.recovery {
        Some(wanted) if wanted != found => Some(format!(
            "the recovery is {found}, expected {wanted} (there are changed, unchanged, permanent, transient)"
        )),
        Some(_) | None => differs(expected.message.as_ref(), "message", words),
    }
}
