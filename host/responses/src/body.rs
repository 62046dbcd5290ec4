//! The request's body, written straight to bytes in the order of keys that existing clients use.

use std::time::SystemTime;

use dovetail_core::item::ResponseItem;
use dovetail_core::model::{ModelRequest, WebSearch};
use dovetail_core::tool::{PLAIN_NAMESPACE, ToolInput, ToolSpec};
use dovetail_core::tool_search::namespace_description;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// How tool use may be attributed, for the service that takes per-item metadata.
const MCP_ATTRIBUTION: &str = r#"{"status":"none"}"#;

/// How a request travels.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form<'a> {
    /// As the body of an HTTP request.
    Http,
    /// As a message on a WebSocket.
    Message {
        /// What the server has of it already.
        known: Option<Known<'a>>,
        /// Whether an answer is wanted; without one, the server only makes ready.
        generate: bool,
        /// When it is sent.
        sent: SystemTime,
    },
}

/// What a server has of a request already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// The response that everything up to there belongs to.
    pub(crate) response_id: &'a str,
    /// How many items of the conversation those are; what comes before it is known with it.
    pub(crate) items: usize,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    model: &'a str,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_response_id: Option<&'a str>,
    input: Input<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Tools<'a>>,
    tool_choice: &'static str,
    parallel_tool_calls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning<'a>>,
    store: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    include: Option<[&'static str; 1]>,
    prompt_cache_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generate: Option<bool>,
    client_metadata: ClientMetadata<'a>,
}

#[derive(Serialize)]
struct Reasoning<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a str>,
}

#[derive(Serialize)]
struct Text<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
}

#[derive(Serialize)]
struct Format<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    strict: bool,
    schema: &'a Value,
    name: &'static str,
}

/// Encodes a request. `item_metadata` says whether the service takes metadata of items; others never see it.
pub(crate) fn encode(
    request: &ModelRequest,
    item_metadata: bool,
    form: Form<'_>,
) -> Result<Vec<u8>, serde_json::Error> {
    let (kind, known, generate, sent) = match form {
        Form::Http => (None, None, None, None),
        Form::Message {
            known,
            generate,
            sent,
        } => (
            Some("response.create"),
            known,
            (!generate).then_some(false),
            Some(sent),
        ),
    };
    let body = Body {
        kind,
        model: &request.model,
        stream: true,
        service_tier: request.service_tier.as_deref(),
        previous_response_id: known.map(|known| known.response_id),
        input: Input {
            request,
            item_metadata,
            known: known.map(|known| known.items),
        },
        tools: request.tools_item_id.is_none().then_some(Tools {
            specs: &request.tools,
            web_search: request.web_search.as_ref(),
        }),
        tool_choice: "auto",
        parallel_tool_calls: request.parallel_tool_calls,
        reasoning: request.reasoning.as_ref().map(|reasoning| Reasoning {
            effort: reasoning.effort.as_deref(),
            summary: reasoning.summary.as_deref(),
            context: reasoning.context.as_deref(),
        }),
        store: false,
        include: request
            .reasoning
            .as_ref()
            .map(|_| ["reasoning.encrypted_content"]),
        prompt_cache_key: &request.prompt_cache_key,
        text: request.text.as_ref().map(|text| Text {
            verbosity: text.verbosity.as_deref(),
            format: text.output_schema.as_ref().map(|schema| Format {
                kind: "json_schema",
                strict: true,
                schema,
                name: "codex_output_schema",
            }),
        }),
        generate,
        client_metadata: ClientMetadata {
            request,
            item_metadata,
            sent,
        },
    };
    // Requests start at about this size, with instructions and tools alone.
    let mut bytes = Vec::with_capacity(32 * 1024);
    serde_json::to_writer(&mut bytes, &body)?;
    Ok(bytes)
}

struct Input<'a> {
    request: &'a ModelRequest,
    item_metadata: bool,
    /// How many items of the conversation are left out, and what comes before it with them.
    known: Option<usize>,
}

impl Serialize for Input<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let items = &self.request.input;
        let mut list = serializer.serialize_seq(None)?;
        if let Some(id) = &self.request.tools_item_id
            && self.known.is_none()
        {
            list.serialize_element(&AdditionalTools {
                kind: "additional_tools",
                id,
                role: "developer",
                tools: LiteTools(&self.request.tools),
            })?;
        }
        let instructions = self.known.is_none().then_some(&self.request.instructions);
        let new = items.iter().skip(self.known.unwrap_or(0));
        for item in instructions.into_iter().chain(new) {
            if self.item_metadata && !item.has_private_metadata() {
                list.serialize_element(item.as_ref())?;
            } else if self.item_metadata {
                let mut shown = ResponseItem::clone(item);
                shown.strip_private_metadata();
                list.serialize_element(&shown)?;
            } else {
                // One copy at a time, gone before the next: cheaper than a second description of every item's shape.
                let mut bare = ResponseItem::clone(item);
                bare.strip_metadata();
                list.serialize_element(&bare)?;
            }
        }
        list.end()
    }
}

/// The item that stands in for `tools` where the model takes them as input.
#[derive(Serialize)]
struct AdditionalTools<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    role: &'static str,
    tools: LiteTools<'a>,
}

/// Tools that are all in namespaces: those without one of their own are in `functions`.
struct LiteTools<'a>(&'a [ToolSpec]);

impl Serialize for LiteTools<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        if self.0.iter().any(|spec| spec.namespace.is_none()) {
            list.serialize_element(&Functions(self.0))?;
        }
        for (at, spec) in self.0.iter().enumerate() {
            if let Some(namespace) = namespace_at(self.0, at, spec) {
                list.serialize_element(&namespace)?;
            }
        }
        list.end()
    }
}

/// The namespace of the tools that have none.
struct Functions<'a>(&'a [ToolSpec]);

impl Serialize for Functions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut namespace = serializer.serialize_map(Some(4))?;
        namespace.serialize_entry("type", "namespace")?;
        namespace.serialize_entry("name", PLAIN_NAMESPACE)?;
        namespace.serialize_entry("description", "")?;
        namespace.serialize_entry("tools", &Plain(self.0))?;
        namespace.end()
    }
}

struct Plain<'a>(&'a [ToolSpec]);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let plain = self.0.iter().filter(|spec| spec.namespace.is_none());
        serializer.collect_seq(plain.map(Tool))
    }
}

struct Tools<'a> {
    specs: &'a [ToolSpec],
    web_search: Option<&'a WebSearch>,
}

impl Serialize for Tools<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for (at, spec) in self.specs.iter().enumerate() {
            if spec.namespace.is_none() {
                list.serialize_element(&Tool(spec))?;
            } else if let Some(namespace) = namespace_at(self.specs, at, spec) {
                list.serialize_element(&namespace)?;
            }
        }
        if let Some(web_search) = self.web_search {
            list.serialize_element(&HostedSearch {
                kind: "web_search",
                external_web_access: web_search.external_web_access,
                search_content_types: web_search.content_types.as_deref(),
            })?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct HostedSearch<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    external_web_access: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_content_types: Option<&'a [String]>,
}

struct Tool<'a>(&'a ToolSpec);

impl Serialize for Tool<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(spec) = self;
        let mut tool = serializer.serialize_map(None)?;
        let kind = match &spec.input {
            ToolInput::Function { .. } => "function",
            ToolInput::Custom { .. } => "custom",
            ToolInput::Search { parameters } => {
                tool.serialize_entry("type", "tool_search")?;
                tool.serialize_entry("execution", "client")?;
                tool.serialize_entry("description", &spec.description)?;
                tool.serialize_entry("parameters", parameters)?;
                return tool.end();
            }
        };
        tool.serialize_entry("type", kind)?;
        tool.serialize_entry("name", &spec.name)?;
        tool.serialize_entry("description", &spec.description)?;
        match &spec.input {
            ToolInput::Function { parameters } => {
                tool.serialize_entry("strict", &false)?;
                tool.serialize_entry("parameters", parameters)?;
            }
            ToolInput::Custom { grammar } => {
                tool.serialize_entry(
                    "format",
                    &Grammar {
                        kind: "grammar",
                        syntax: "lark",
                        definition: grammar,
                    },
                )?;
            }
            ToolInput::Search { .. } => {}
        }
        tool.end()
    }
}

#[derive(Serialize)]
struct Grammar<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    syntax: &'static str,
    definition: &'a str,
}

/// The tools of one namespace, out of a list that starts with its first.
struct Namespace<'a> {
    name: &'a String,
    specs: &'a [ToolSpec],
}

impl Serialize for Namespace<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut namespace = serializer.serialize_map(Some(4))?;
        namespace.serialize_entry("type", "namespace")?;
        namespace.serialize_entry("name", self.name)?;
        namespace.serialize_entry("description", &namespace_description(self.name))?;
        namespace.serialize_entry("tools", &Members(self))?;
        namespace.end()
    }
}

/// The namespace that begins with this tool: it stands where its first tool does, and holds them all.
fn namespace_at<'a>(specs: &'a [ToolSpec], at: usize, spec: &'a ToolSpec) -> Option<Namespace<'a>> {
    let name = spec.namespace.as_ref()?;
    let first = specs[..at]
        .iter()
        .all(|before| before.namespace.as_ref() != Some(name));
    first.then_some(Namespace {
        name,
        specs: &specs[at..],
    })
}

struct Members<'a>(&'a Namespace<'a>);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(namespace) = self;
        let members = namespace
            .specs
            .iter()
            .filter(|spec| spec.namespace.as_ref() == Some(namespace.name));
        serializer.collect_seq(members.map(Tool))
    }
}

struct ClientMetadata<'a> {
    request: &'a ModelRequest,
    item_metadata: bool,
    /// When a message on a WebSocket is sent.
    sent: Option<SystemTime>,
}

impl Serialize for ClientMetadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let metadata = &self.request.metadata;
        let fields = match self.sent {
            None => metadata.client_metadata(),
            Some(sent) => metadata.websocket_metadata(sent, None),
        };
        for (key, value) in fields {
            map.serialize_entry(key, &value)?;
        }
        if self.item_metadata {
            map.serialize_entry("mcp_attribution", MCP_ATTRIBUTION)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
