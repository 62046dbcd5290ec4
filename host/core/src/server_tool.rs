//! A plugin's tool as a tool of the turn loop: `mcp__<plugin>` / `<name>`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::event::{ActivityStatus, ToolActivity};
use crate::item::{ContentItem, OutputPayload};
use crate::plugin::{PluginError, PluginTool, PluginToolResult, ToolContent, ToolServer};
use crate::tool::{CallContext, CallInput, Tool, ToolCall, ToolInput, ToolOutcome, ToolSpec};
use crate::toolbox::aborted;
use crate::verdict::Cleared;

/// One tool of a server.
pub struct ServerTool {
    server: Arc<dyn ToolServer>,
    name: String,
    spec: ToolSpec,
}

impl ServerTool {
    /// Wraps a tool that a server listed.
    pub fn new(server: Arc<dyn ToolServer>, tool: PluginTool) -> Self {
        let spec = ToolSpec {
            name: tool.name.clone(),
            namespace: Some(format!("mcp__{}", server.plugin())),
            description: tool.description,
            input: ToolInput::Function {
                parameters: tool.input_schema,
            },
            parallel_safe: tool.parallel_safe,
        };
        Self {
            server,
            name: tool.name,
            spec,
        }
    }

    fn activity(&self, arguments: Value, status: ActivityStatus) -> ToolActivity {
        ToolActivity::Server {
            server: self.server.plugin().to_string(),
            tool: self.name.clone(),
            arguments,
            result: None,
            error: None,
            status,
        }
    }
}

#[async_trait]
impl Tool for ServerTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn hook_name(&self) -> String {
        format!("mcp__{}__{}", self.server.plugin(), self.name)
    }

    fn hook_input(&self, call: &ToolCall) -> Result<Value, String> {
        parse_arguments(call)
    }

    fn rewrite(&self, mut call: ToolCall, input: Value) -> Result<ToolCall, String> {
        if !input.is_object() {
            return Err("the new input must be a JSON object".to_owned());
        }
        call.input = CallInput::Function(input.to_string());
        Ok(call)
    }

    fn declined(&self, call: &ToolCall, reason: &str) -> Option<ToolActivity> {
        // The arguments may be what was wrong; the refusal is shown all the same.
        let arguments = parse_arguments(call).unwrap_or(Value::Null);
        Some(ToolActivity::Server {
            server: self.server.plugin().to_string(),
            tool: self.name.clone(),
            arguments,
            result: None,
            error: Some(reason.to_owned()),
            status: ActivityStatus::Declined,
        })
    }

    async fn run(&self, call: Cleared<ToolCall>, context: &CallContext) -> ToolOutcome {
        let call = call.into_inner();
        let arguments = match parse_arguments(&call) {
            Ok(arguments) => arguments,
            Err(text) => return ToolOutcome::refused(text),
        };
        let started = Instant::now();
        context.started(
            &call.call_id,
            self.activity(arguments.clone(), ActivityStatus::InProgress),
        );
        let answer = tokio::select! {
            biased;
            () = context.cancel.cancelled() => None,
            answer = self.server.call_tool(&call.call_id, &self.name, &arguments, &context.turn_metadata) => Some(answer),
        };
        let duration = started.elapsed();
        let (outcome, activity) = match answer {
            None => (
                aborted(duration),
                self.activity(arguments, ActivityStatus::Failed),
            ),
            Some(answer) => self.finish(answer, arguments, duration),
        };
        context.finished(&call.call_id, activity, duration);
        outcome
    }
}

impl ServerTool {
    fn finish(
        &self,
        answer: Result<PluginToolResult, PluginError>,
        arguments: Value,
        duration: Duration,
    ) -> (ToolOutcome, ToolActivity) {
        let (status, outcome, result, error) = match answer {
            Ok(answer) => {
                let status = if answer.is_error {
                    ActivityStatus::Failed
                } else {
                    ActivityStatus::Completed
                };
                let result = result_value(&answer);
                (status, outcome_of(answer, duration), Some(result), None)
            }
            Err(error) => {
                let text = format!("tool call failed: {error}");
                (
                    ActivityStatus::Failed,
                    ToolOutcome::refused(text),
                    None,
                    Some(error.to_string()),
                )
            }
        };
        let server = self.server.plugin().to_string();
        let activity = ToolActivity::Server {
            server,
            tool: self.name.clone(),
            arguments,
            result,
            error,
            status,
        };
        (outcome, activity)
    }
}

fn parse_arguments(call: &ToolCall) -> Result<Value, String> {
    let text = call.input.text().trim();
    if text.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_str::<serde_json::Map<String, Value>>(text)
        .map(Value::Object)
        .map_err(|error| format!("failed to parse function arguments: {error}"))
}

fn outcome_of(answer: PluginToolResult, duration: Duration) -> ToolOutcome {
    let heading = format!("Wall time: {:.4} seconds\nOutput:", duration.as_secs_f64());
    let mut items = vec![ContentItem::InputText { text: heading }];
    match answer.structured {
        Some(structured) => items.push(ContentItem::InputText {
            text: structured.to_string(),
        }),
        None => items.extend(answer.content.into_iter().map(content_item)),
    }
    ToolOutcome {
        output: OutputPayload::Items(items),
        success: !answer.is_error,
    }
}

fn content_item(content: ToolContent) -> ContentItem {
    match content {
        ToolContent::Text(text) => ContentItem::InputText { text },
        ToolContent::Image { data, mime_type } => ContentItem::InputImage {
            image_url: data_url(&data, &mime_type),
            detail: None,
        },
        ToolContent::Audio { data, mime_type } => ContentItem::InputAudio {
            audio_url: data_url(&data, &mime_type),
        },
        ToolContent::ResourceLink(uri) => ContentItem::InputText { text: uri },
    }
}

fn data_url(data: &[u8], mime_type: &str) -> String {
    format!("data:{mime_type};base64,{}", STANDARD.encode(data))
}

/// The result in MCP's own shape, for people and records.
fn result_value(answer: &PluginToolResult) -> Value {
    let content: Vec<Value> = answer
        .content
        .iter()
        .map(|content| match content {
            ToolContent::Text(text) => json!({ "type": "text", "text": text }),
            ToolContent::Image { data, mime_type } => {
                json!({ "type": "image", "data": STANDARD.encode(data), "mimeType": mime_type })
            }
            ToolContent::Audio { data, mime_type } => {
                json!({ "type": "audio", "data": STANDARD.encode(data), "mimeType": mime_type })
            }
            ToolContent::ResourceLink(uri) => json!({ "type": "resource_link", "uri": uri }),
        })
        .collect();
    json!({ "content": content, "structured_content": answer.structured })
}
