//! Between the generated types and the host's own. Nothing else takes generated records apart.

mod account;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dovetail_core::ids::{PluginId, ToolName};
use dovetail_core::plugin::{
    Ack, Endpoint, EventRecord, Failure, FailureKind, Field, FieldClass, FieldValue,
    HeaderTemplate, HookDecision, HookEvent, HookMode, HookOutcome, HookSubscription, PluginError,
    PluginTool, PluginToolResult, Prepared, ProviderCapabilities, ProviderDescription,
    ProviderModel, Purpose, Recovery, RequestHead, Scope, ToolContent, ValuePart, WireEvent,
    WireRequest,
};
use serde_json::Value;

use crate::bindings::dovetail::plugin::{http, types};
use crate::bindings::exports::dovetail::plugin::{hooks, provider, sink, tools, wire};
use crate::net::{HttpRequest, HttpResponse};

pub(crate) use self::account::{beginning, explanation, known_login, question, way};
pub(crate) use types::Error as GuestError;

/// A reason longer than this is cut: it is one sentence for a person.
const MOST_REASON: usize = 2_000;

// Shared

pub(crate) fn to_guest_error(error: PluginError) -> GuestError {
    match error {
        PluginError::Denied(text) => GuestError::Denied(text),
        PluginError::Retryable { reason, after } => GuestError::Retryable(types::RetryHint {
            reason,
            after_ms: after.map(millis),
        }),
        PluginError::Invalid(text) => GuestError::Invalid(text),
        PluginError::Unavailable(text) => GuestError::Unavailable(text),
        PluginError::Other(text) => GuestError::Other(text),
        PluginError::Fault(fault) => GuestError::Other(fault.to_string()),
    }
}

pub(crate) fn from_guest_error(error: GuestError) -> PluginError {
    match error {
        GuestError::Denied(text) => PluginError::Denied(reason(&text)),
        GuestError::Retryable(hint) => PluginError::Retryable {
            reason: reason(&hint.reason),
            after: hint.after_ms.map(Duration::from_millis),
        },
        GuestError::Invalid(text) => PluginError::Invalid(reason(&text)),
        GuestError::Unavailable(text) => PluginError::Unavailable(reason(&text)),
        GuestError::Other(text) => PluginError::Other(reason(&text)),
    }
}

/// A guest's sentence or name, made fit for a terminal and a log.
pub(crate) fn reason(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MOST_REASON)
        .collect()
}

fn header(header: types::Header) -> HeaderTemplate {
    let part = |part| match part {
        types::ValuePart::Literal(text) => ValuePart::Literal(text),
        types::ValuePart::Secret(slot) => ValuePart::Secret(slot),
    };
    let value: Vec<ValuePart> = header.value.into_iter().map(part).collect();
    let secret = value
        .iter()
        .any(|part| matches!(part, ValuePart::Secret(_)));
    HeaderTemplate {
        name: header.name,
        value,
        sensitive: header.sensitive || secret,
    }
}

pub(crate) fn headers(headers: Vec<types::Header>) -> Vec<HeaderTemplate> {
    headers.into_iter().map(header).collect()
}

pub(crate) fn plain_headers(headers: &[(String, String)]) -> Vec<types::PlainHeader> {
    let plain = |(name, value): &(String, String)| types::PlainHeader {
        name: name.clone(),
        value: value.clone(),
    };
    headers.iter().map(plain).collect()
}

pub(crate) fn http_request(request: http::Request) -> HttpRequest {
    HttpRequest {
        method: request.method,
        url: request.url,
        headers: headers(request.headers),
        body: request.body,
        timeout: request
            .timeout_ms
            .map(|ms| Duration::from_millis(ms.into())),
    }
}

pub(crate) fn http_response(response: HttpResponse) -> http::Response {
    http::Response {
        status: response.status,
        headers: plain_headers(&response.headers),
        body: response.body,
        truncated: response.truncated,
    }
}

/// Milliseconds since 1970; zero for a time before it.
pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

// Provider

pub(crate) fn description(from: provider::Description) -> ProviderDescription {
    ProviderDescription {
        ids: from.ids,
        name: reason(&from.name),
        default_endpoint: from.default_endpoint,
        capabilities: capabilities(from.capabilities),
        hosts: from.hosts,
        settable_keys: from.settable_keys,
        removed_headers: from.removed_headers,
    }
}

fn capabilities(from: provider::Capabilities) -> ProviderCapabilities {
    let has = |capability| from.contains(capability);
    ProviderCapabilities {
        websockets: has(provider::Capabilities::WEBSOCKETS),
        remote_compaction: has(provider::Capabilities::REMOTE_COMPACTION),
        item_metadata: has(provider::Capabilities::ITEM_METADATA),
        hosted_tools: has(provider::Capabilities::HOSTED_TOOLS),
        request_compression: has(provider::Capabilities::REQUEST_COMPRESSION),
    }
}

pub(crate) fn endpoint(from: provider::Endpoint) -> Endpoint {
    Endpoint {
        name: reason(&from.name),
        base_url: from.base_url,
        query: from.query,
        headers: headers(from.headers),
        capabilities: from.capabilities.map(capabilities),
    }
}

pub(crate) fn scope(from: &Scope) -> provider::Scope {
    provider::Scope {
        provider_id: from.provider_id.clone(),
        purpose: match from.purpose {
            Purpose::Turn => provider::Purpose::Turn,
            Purpose::Compact => provider::Purpose::Compact,
            Purpose::Models => provider::Purpose::Models,
            Purpose::ControlPlane => provider::Purpose::ControlPlane,
        },
        session_source: from.session_source.clone(),
        policy: from.policy.clone(),
    }
}

pub(crate) fn prepared(from: provider::Prepared) -> Prepared {
    let expires_at = from
        .expires_at_unix_ms
        .and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
    Prepared {
        headers: headers(from.headers),
        expires_at,
    }
}

pub(crate) fn request_head(from: &RequestHead) -> provider::RequestHead {
    provider::RequestHead {
        method: from.method.clone(),
        url: from.url.clone(),
        headers: plain_headers(&from.headers),
    }
}

pub(crate) fn wire_request(from: wire::WireRequest) -> WireRequest {
    let headers = from.headers.into_iter();
    WireRequest {
        path: from.path,
        headers: headers.map(|plain| (plain.name, plain.value)).collect(),
        body: from.body,
    }
}

pub(crate) fn wire_event(from: WireEvent) -> wire::WireEvent {
    wire::WireEvent {
        name: from.name,
        data: from.data,
    }
}

pub(crate) fn failure(from: provider::Failure) -> Failure {
    let kind = match from.kind {
        provider::FailureKind::ContextWindowExceeded => FailureKind::ContextWindowExceeded,
        provider::FailureKind::UsageLimitReached => FailureKind::UsageLimitReached,
        provider::FailureKind::QuotaExceeded => FailureKind::QuotaExceeded,
        provider::FailureKind::UsageNotIncluded => FailureKind::UsageNotIncluded,
        provider::FailureKind::InvalidRequest => FailureKind::InvalidRequest,
        provider::FailureKind::Overloaded => FailureKind::Overloaded,
        provider::FailureKind::RateLimited => FailureKind::RateLimited,
        provider::FailureKind::Unauthorized => FailureKind::Unauthorized,
        provider::FailureKind::Forbidden => FailureKind::Forbidden,
        provider::FailureKind::NotFound => FailureKind::NotFound,
        provider::FailureKind::TooLarge => FailureKind::TooLarge,
        provider::FailureKind::ServerError => FailureKind::ServerError,
        provider::FailureKind::Unknown => FailureKind::Unknown,
    };
    Failure {
        kind,
        message: from.message.map(|text| reason(&text)),
        retry_after: from.retry_after_ms.map(Duration::from_millis),
    }
}

pub(crate) fn to_guest_failure(from: &Failure) -> provider::Failure {
    let kind = match from.kind {
        FailureKind::ContextWindowExceeded => provider::FailureKind::ContextWindowExceeded,
        FailureKind::UsageLimitReached => provider::FailureKind::UsageLimitReached,
        FailureKind::QuotaExceeded => provider::FailureKind::QuotaExceeded,
        FailureKind::UsageNotIncluded => provider::FailureKind::UsageNotIncluded,
        FailureKind::InvalidRequest => provider::FailureKind::InvalidRequest,
        FailureKind::Overloaded => provider::FailureKind::Overloaded,
        FailureKind::RateLimited => provider::FailureKind::RateLimited,
        FailureKind::Unauthorized => provider::FailureKind::Unauthorized,
        FailureKind::Forbidden => provider::FailureKind::Forbidden,
        FailureKind::NotFound => provider::FailureKind::NotFound,
        FailureKind::TooLarge => provider::FailureKind::TooLarge,
        FailureKind::ServerError => provider::FailureKind::ServerError,
        FailureKind::Unknown => provider::FailureKind::Unknown,
    };
    provider::Failure {
        kind,
        message: from.message.clone(),
        retry_after_ms: from.retry_after.map(millis),
    }
}

pub(crate) fn recovery(from: provider::Recovery) -> Recovery {
    match from {
        provider::Recovery::Changed => Recovery::Changed,
        provider::Recovery::Unchanged => Recovery::Unchanged,
        provider::Recovery::Permanent(text) => Recovery::Permanent(reason(&text)),
        provider::Recovery::Transient(text) => Recovery::Transient(reason(&text)),
    }
}

pub(crate) fn model(from: provider::Model) -> ProviderModel {
    ProviderModel {
        slug: from.slug,
        display_name: from.display_name,
        context_window: from.context_window,
        reasoning_efforts: from.reasoning_efforts,
        parallel_tool_calls: from.parallel_tool_calls,
    }
}

// Hooks

pub(crate) fn hook_subscription(from: hooks::Subscription) -> HookSubscription {
    let mode = match from.mode {
        hooks::Mode::Gate => HookMode::Gate,
        hooks::Mode::Observer => HookMode::Observer,
    };
    HookSubscription {
        event: from.event,
        matcher: from.matcher,
        mode,
    }
}

pub(crate) fn hook_event(from: &HookEvent) -> hooks::Event {
    let tool = from.tool.as_ref().map(|tool| hooks::ToolUse {
        call_id: tool.call_id.as_str().to_owned(),
        name: tool.name.clone(),
        input_json: tool.input.to_string(),
        output: tool.output.clone(),
        success: tool.success,
    });
    hooks::Event {
        name: from.name.to_owned(),
        thread_id: from.thread_id.to_string(),
        turn_id: from.turn_id.map(|id| id.to_string()).unwrap_or_default(),
        cwd: from.cwd.clone(),
        model: from.model.clone(),
        prompt: from.prompt.clone(),
        tool,
        payload_json: from.payload.to_string(),
    }
}

pub(crate) fn hook_outcome(from: hooks::Outcome) -> HookOutcome {
    let decision = match from.decision {
        hooks::Decision::None => HookDecision::None,
        hooks::Decision::Allow => HookDecision::Allow,
        hooks::Decision::Ask(question) => HookDecision::Ask(question),
        hooks::Decision::Deny(reason) => HookDecision::Deny(reason),
        hooks::Decision::Rewrite(text) => HookDecision::Rewrite(text),
    };
    HookOutcome {
        decision,
        context: from.context,
        message: from.message,
    }
}

// Tools

/// The tools that can be offered: one that cannot must not take the others with it.
pub(crate) fn usable_tools(
    plugin: &PluginId,
    tools: impl Iterator<Item = tools::Tool>,
) -> Vec<PluginTool> {
    let usable = |from| {
        tool(from)
            .inspect_err(|why| tracing::warn!(%plugin, "a tool is left out: {why}"))
            .ok()
    };
    tools.filter_map(usable).collect()
}

fn tool(from: tools::Tool) -> Result<PluginTool, PluginError> {
    let invalid = |e: &dyn std::fmt::Display| PluginError::Invalid(reason(&e.to_string()));
    let name = ToolName::parse(&from.name).map_err(|e| invalid(&e))?;
    match serde_json::from_str(&from.input_schema_json) {
        Ok(input_schema @ Value::Object(_)) => Ok(PluginTool {
            name: name.as_str().to_owned(),
            description: from.description,
            input_schema,
            parallel_safe: from.parallel_safe,
            read_only: from.read_only,
        }),
        Ok(_) => Err(invalid(&format!(
            "the input schema of tool `{name}` is not a JSON object"
        ))),
        Err(e) => Err(invalid(&format!(
            "the input schema of tool `{name}` is not JSON: {e}"
        ))),
    }
}

pub(crate) fn tool_result(from: tools::CallResult) -> Result<PluginToolResult, PluginError> {
    let structured = from
        .structured_json
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|e| {
            PluginError::Invalid(format!("the tool's structured result is not JSON: {e}"))
        })?;
    let content = from.content.into_iter().map(tool_content).collect();
    Ok(PluginToolResult {
        content,
        structured,
        is_error: from.is_error,
    })
}

fn tool_content(from: tools::Content) -> ToolContent {
    match from {
        tools::Content::Text(text) => ToolContent::Text(text),
        tools::Content::Image(blob) => ToolContent::Image {
            data: blob.data,
            mime_type: blob.mime_type,
        },
        tools::Content::Audio(blob) => ToolContent::Audio {
            data: blob.data,
            mime_type: blob.mime_type,
        },
        tools::Content::ResourceLink(uri) => ToolContent::ResourceLink(uri),
    }
}

// Sink

pub(crate) fn sink_classes(from: sink::FieldClasses) -> Vec<FieldClass> {
    [
        FieldClass::Basic,
        FieldClass::Content,
        FieldClass::Identity,
        FieldClass::Location,
    ]
    .into_iter()
    .filter(|class| from.contains(class_flag(*class)))
    .collect()
}

/// A record for a sink, with only the fields of the classes it may have.
pub(crate) fn sink_event(from: &EventRecord, classes: &[FieldClass]) -> sink::Event {
    let allowed =
        |field: &&Field| field.class == FieldClass::Basic || classes.contains(&field.class);
    sink::Event {
        id: from.id.clone(),
        sequence: from.sequence,
        kind: from.kind.clone(),
        version: from.version,
        time_unix_ms: unix_ms(from.time),
        thread_id: from.thread_id.to_string(),
        turn_id: from.turn_id.map(|id| id.to_string()),
        fields: from.fields.iter().filter(allowed).map(sink_field).collect(),
    }
}

fn sink_field(from: &Field) -> sink::Field {
    let value = match &from.value {
        FieldValue::Text(text) => sink::Value::Text(text.clone()),
        FieldValue::Int(number) => sink::Value::Int(*number),
        FieldValue::Float(number) => sink::Value::Float(*number),
        FieldValue::Bool(yes) => sink::Value::Bool(*yes),
        FieldValue::Json(value) => sink::Value::Json(value.to_string()),
    };
    sink::Field {
        name: from.name.to_owned(),
        class: class_flag(from.class),
        value,
    }
}

fn class_flag(class: FieldClass) -> sink::FieldClasses {
    match class {
        FieldClass::Basic => sink::FieldClasses::BASIC,
        FieldClass::Content => sink::FieldClasses::CONTENT,
        FieldClass::Identity => sink::FieldClasses::IDENTITY,
        FieldClass::Location => sink::FieldClasses::LOCATION,
    }
}

pub(crate) fn ack(from: sink::Ack) -> Ack {
    match from {
        sink::Ack::Accepted => Ack::Accepted,
        sink::Ack::Retry(ms) => Ack::Retry(Duration::from_millis(ms)),
        sink::Ack::Reject(ids) => Ack::Reject(ids),
    }
}
