//! Tool servers: who offers tools of its own.

use async_trait::async_trait;
use serde_json::Value;

use super::PluginError;
use crate::ids::{CallId, PluginId};

/// A tool that a plugin offers.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginTool {
    /// Its name within the server.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// A JSON Schema object for its arguments.
    pub input_schema: Value,
    /// Whether calls may overlap others.
    pub parallel_safe: bool,
    /// Whether it changes nothing.
    pub read_only: bool,
}

/// A piece of a tool's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolContent {
    /// Text.
    Text(String),
    /// An image.
    Image {
        /// The bytes.
        data: Vec<u8>,
        /// Such as `image/png`.
        mime_type: String,
    },
    /// Sound.
    Audio {
        /// The bytes.
        data: Vec<u8>,
        /// Such as `audio/wav`.
        mime_type: String,
    },
    /// The URI of a resource.
    ResourceLink(String),
}

/// What came of a plugin's tool call.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginToolResult {
    /// The pieces, in order.
    pub content: Vec<ToolContent>,
    /// A structured result.
    pub structured: Option<Value>,
    /// Whether the tool failed.
    pub is_error: bool,
}

/// A server of tools.
#[async_trait]
pub trait ToolServer: Send + Sync {
    /// The plugin behind it; the model sees `mcp__<plugin>`.
    fn plugin(&self) -> &PluginId;
    /// Lists the tools.
    async fn list_tools(&self) -> Result<Vec<PluginTool>, PluginError>;
    /// Runs one. Dropping the future ends the call.
    async fn call_tool(
        &self,
        call_id: &CallId,
        name: &str,
        arguments: &Value,
        turn_metadata: &Value,
    ) -> Result<PluginToolResult, PluginError>;
}
