//! The request's body, written straight to bytes in the order of keys that existing clients use.

use dovetail_core::item::ResponseItem;
use dovetail_core::model::{ModelRequest, WebSearch};
use dovetail_core::tool::{ToolInput, ToolSpec};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// How tool use may be attributed, for the service that takes per-item metadata.
const MCP_ATTRIBUTION: &str = r#"{"status":"none"}"#;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    input: Input<'a>,
    tools: Tools<'a>,
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
    client_metadata: ClientMetadata<'a>,
}

#[derive(Serialize)]
struct Reasoning<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
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
) -> Result<Vec<u8>, serde_json::Error> {
    let body = Body {
        model: &request.model,
        stream: true,
        service_tier: request.service_tier.as_deref(),
        input: Input {
            request,
            item_metadata,
        },
        tools: Tools {
            specs: &request.tools,
            web_search: request.web_search.as_ref(),
        },
        tool_choice: "auto",
        parallel_tool_calls: request.parallel_tool_calls,
        reasoning: request.reasoning.as_ref().map(|reasoning| Reasoning {
            effort: reasoning.effort.as_deref(),
            summary: reasoning.summary.as_deref(),
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
        client_metadata: ClientMetadata {
            request,
            item_metadata,
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
}

impl Serialize for Input<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let items = &self.request.input;
        let mut list = serializer.serialize_seq(Some(items.len() + 1))?;
        for item in std::iter::once(&self.request.instructions).chain(items.iter()) {
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

struct Tools<'a> {
    specs: &'a [ToolSpec],
    web_search: Option<&'a WebSearch>,
}

impl Serialize for Tools<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for (at, spec) in self.specs.iter().enumerate() {
            match &spec.namespace {
                None => list.serialize_element(&Tool(spec))?,
                // A namespace stands where its first tool does, and holds them all.
                Some(name)
                    if self.specs[..at]
                        .iter()
                        .all(|before| before.namespace.as_ref() != Some(name)) =>
                {
                    list.serialize_element(&Namespace {
                        name,
                        specs: &self.specs[at..],
                    })?;
                }
                Some(_) => {}
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
        let server = self.name.strip_prefix("mcp__").unwrap_or(self.name);
        namespace.serialize_entry("description", &format!("Tools of the `{server}` server."))?;
        namespace.serialize_entry("tools", &Members(self))?;
        namespace.end()
    }
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
}

impl Serialize for ClientMetadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.request.metadata.client_metadata() {
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
