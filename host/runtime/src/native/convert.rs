//! Between payloads and the types of the contract, whose conversions to the host's own are the same for all plugins.
//! Everything is taken apart field by field, so that a new one in the contract does not compile before it is here.

use dovetail_native_api as api;
use dovetail_native_api::{hooks as h, provider as p, sink as s, tools as t};

use crate::bindings::dovetail::plugin::types;
use crate::bindings::exports::dovetail::plugin::{hooks, provider, sink, tools};

// Shared

pub(super) fn error(from: api::Error) -> types::Error {
    match from {
        api::Error::Denied(text) => types::Error::Denied(text),
        api::Error::Retryable(hint) => types::Error::Retryable(types::RetryHint {
            reason: hint.reason,
            after_ms: hint.after_ms,
        }),
        api::Error::Invalid(text) => types::Error::Invalid(text),
        api::Error::Unavailable(text) => types::Error::Unavailable(text),
        api::Error::Other(text) => types::Error::Other(text),
    }
}

impl From<p::Header> for types::Header {
    fn from(from: p::Header) -> Self {
        let part = |part| match part {
            p::ValuePart::Literal(text) => types::ValuePart::Literal(text),
            p::ValuePart::Secret(slot) => types::ValuePart::Secret(slot),
        };
        Self {
            name: from.name,
            value: from.value.into_iter().map(part).collect(),
            sensitive: from.sensitive,
        }
    }
}

impl From<types::PlainHeader> for p::PlainHeader {
    fn from(types::PlainHeader { name, value }: types::PlainHeader) -> Self {
        Self { name, value }
    }
}

// Provider

impl From<provider::Scope> for p::Scope {
    fn from(from: provider::Scope) -> Self {
        Self {
            provider_id: from.provider_id,
            purpose: match from.purpose {
                provider::Purpose::Turn => p::Purpose::Turn,
                provider::Purpose::Compact => p::Purpose::Compact,
                provider::Purpose::Models => p::Purpose::Models,
                provider::Purpose::ControlPlane => p::Purpose::ControlPlane,
            },
            session_source: from.session_source,
            policy: from.policy,
        }
    }
}

fn capabilities(from: Vec<p::Capability>) -> provider::Capabilities {
    let flag = |capability| match capability {
        p::Capability::Websockets => provider::Capabilities::WEBSOCKETS,
        p::Capability::RemoteCompaction => provider::Capabilities::REMOTE_COMPACTION,
        p::Capability::ItemMetadata => provider::Capabilities::ITEM_METADATA,
        p::Capability::HostedTools => provider::Capabilities::HOSTED_TOOLS,
        p::Capability::RequestCompression => provider::Capabilities::REQUEST_COMPRESSION,
    };
    let none = provider::Capabilities::empty();
    from.into_iter().map(flag).fold(none, |all, one| all | one)
}

impl From<p::Description> for provider::Description {
    fn from(from: p::Description) -> Self {
        Self {
            ids: from.ids,
            name: from.name,
            default_endpoint: from.default_endpoint,
            capabilities: capabilities(from.capabilities),
            hosts: from.hosts,
            settable_keys: from.settable_keys,
            removed_headers: from.removed_headers,
        }
    }
}

impl From<p::Endpoint> for provider::Endpoint {
    fn from(from: p::Endpoint) -> Self {
        Self {
            name: from.name,
            base_url: from.base_url,
            query: from.query,
            headers: from.headers.into_iter().map(Into::into).collect(),
            capabilities: from.capabilities.map(capabilities),
        }
    }
}

impl From<p::Prepared> for provider::Prepared {
    fn from(from: p::Prepared) -> Self {
        Self {
            headers: from.headers.into_iter().map(Into::into).collect(),
            expires_at_unix_ms: from.expires_at_unix_ms,
        }
    }
}

impl From<provider::RequestHead> for p::RequestHead {
    fn from(from: provider::RequestHead) -> Self {
        Self {
            method: from.method,
            url: from.url,
            headers: from.headers.into_iter().map(Into::into).collect(),
        }
    }
}

/// Both ways between two enums of the same names.
macro_rules! same_names {
    ($contract:ty, $payload:ty: $($name:ident),*) => {
        impl From<$contract> for $payload {
            fn from(from: $contract) -> Self {
                match from { $(<$contract>::$name => Self::$name),* }
            }
        }

        impl From<$payload> for $contract {
            fn from(from: $payload) -> Self {
                match from { $(<$payload>::$name => Self::$name),* }
            }
        }
    };
}

same_names!(provider::FailureKind, p::FailureKind: ContextWindowExceeded, UsageLimitReached, QuotaExceeded,
    UsageNotIncluded, InvalidRequest, Overloaded, RateLimited, Unauthorized, Forbidden, NotFound, TooLarge, ServerError,
    Unknown);

impl From<p::Failure> for provider::Failure {
    fn from(from: p::Failure) -> Self {
        Self {
            kind: from.kind.into(),
            message: from.message,
            retry_after_ms: from.retry_after_ms,
        }
    }
}

impl From<provider::Failure> for p::Failure {
    fn from(from: provider::Failure) -> Self {
        Self {
            kind: from.kind.into(),
            message: from.message,
            retry_after_ms: from.retry_after_ms,
        }
    }
}

impl From<p::Recovery> for provider::Recovery {
    fn from(from: p::Recovery) -> Self {
        match from {
            p::Recovery::Changed => Self::Changed,
            p::Recovery::Unchanged => Self::Unchanged,
            p::Recovery::Permanent(text) => Self::Permanent(text),
            p::Recovery::Transient(text) => Self::Transient(text),
        }
    }
}

impl From<p::Model> for provider::Model {
    fn from(from: p::Model) -> Self {
        Self {
            slug: from.slug,
            display_name: from.display_name,
            context_window: from.context_window,
            reasoning_efforts: from.reasoning_efforts,
            parallel_tool_calls: from.parallel_tool_calls,
        }
    }
}

// Tools

impl From<t::Tool> for tools::Tool {
    fn from(from: t::Tool) -> Self {
        Self {
            name: from.name,
            title: from.title,
            description: from.description,
            input_schema_json: from.input_schema_json,
            output_schema_json: from.output_schema_json,
            parallel_safe: from.parallel_safe,
            read_only: from.read_only,
        }
    }
}

impl From<t::CallResult> for tools::CallResult {
    fn from(from: t::CallResult) -> Self {
        let blob = |t::Blob { data, mime_type }| tools::Blob { data, mime_type };
        let content = |piece| match piece {
            t::Content::Text(text) => tools::Content::Text(text),
            t::Content::Image(image) => tools::Content::Image(blob(image)),
            t::Content::Audio(audio) => tools::Content::Audio(blob(audio)),
            t::Content::ResourceLink(uri) => tools::Content::ResourceLink(uri),
        };
        Self {
            content: from.content.into_iter().map(content).collect(),
            structured_json: from.structured_json,
            is_error: from.is_error,
        }
    }
}

// Hooks

impl From<h::Subscription> for hooks::Subscription {
    fn from(from: h::Subscription) -> Self {
        Self {
            event: from.event,
            matcher: from.matcher,
            mode: match from.mode {
                h::Mode::Gate => hooks::Mode::Gate,
                h::Mode::Observer => hooks::Mode::Observer,
            },
        }
    }
}

impl From<hooks::Event> for h::Event {
    fn from(from: hooks::Event) -> Self {
        let tool = |tool: hooks::ToolUse| h::ToolUse {
            call_id: tool.call_id,
            name: tool.name,
            input_json: tool.input_json,
            output: tool.output,
            success: tool.success,
        };
        Self {
            name: from.name,
            thread_id: from.thread_id,
            turn_id: from.turn_id,
            cwd: from.cwd,
            model: from.model,
            prompt: from.prompt,
            tool: from.tool.map(tool),
            payload_json: from.payload_json,
        }
    }
}

impl From<h::Outcome> for hooks::Outcome {
    fn from(from: h::Outcome) -> Self {
        Self {
            decision: match from.decision {
                h::Decision::None => hooks::Decision::None,
                h::Decision::Allow => hooks::Decision::Allow,
                h::Decision::Ask(question) => hooks::Decision::Ask(question),
                h::Decision::Deny(reason) => hooks::Decision::Deny(reason),
                h::Decision::Rewrite(text) => hooks::Decision::Rewrite(text),
            },
            context: from.context,
            message: from.message,
        }
    }
}

// Sink

const CLASSES: [(sink::FieldClasses, s::FieldClass); 4] = [
    (sink::FieldClasses::BASIC, s::FieldClass::Basic),
    (sink::FieldClasses::CONTENT, s::FieldClass::Content),
    (sink::FieldClasses::IDENTITY, s::FieldClass::Identity),
    (sink::FieldClasses::LOCATION, s::FieldClass::Location),
];

impl From<s::Subscription> for sink::Subscription {
    fn from(from: s::Subscription) -> Self {
        let wanted = CLASSES
            .into_iter()
            .filter(|(_, class)| from.classes.contains(class));
        let none = sink::FieldClasses::empty();
        Self {
            kinds: from.kinds,
            classes: wanted.fold(none, |all, (flag, _)| all | flag),
        }
    }
}

impl From<sink::Event> for s::Event {
    fn from(from: sink::Event) -> Self {
        Self {
            id: from.id,
            sequence: from.sequence,
            kind: from.kind,
            version: from.version,
            time_unix_ms: from.time_unix_ms,
            thread_id: from.thread_id,
            turn_id: from.turn_id,
            fields: from.fields.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<sink::Field> for s::Field {
    fn from(from: sink::Field) -> Self {
        let classes = CLASSES
            .into_iter()
            .filter(|(flag, _)| from.class.contains(*flag));
        Self {
            name: from.name,
            class: classes.map(|(_, class)| class).collect(),
            value: match from.value {
                sink::Value::Text(text) => s::Value::Text(text),
                sink::Value::Int(number) => s::Value::Int(number),
                sink::Value::Float(number) => s::Value::Float(number),
                sink::Value::Bool(yes) => s::Value::Bool(yes),
                sink::Value::Json(text) => s::Value::Json(text),
            },
        }
    }
}

impl From<s::Ack> for sink::Ack {
    fn from(from: s::Ack) -> Self {
        match from {
            s::Ack::Accepted => Self::Accepted,
            s::Ack::Retry(ms) => Self::Retry(ms),
            s::Ack::Reject(ids) => Self::Reject(ids),
        }
    }
}
