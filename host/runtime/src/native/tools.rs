//! The tool port, filled by a native plugin.

use std::sync::Arc;

use async_trait::async_trait;
use dovetail_core::ids::{CallId, PluginId};
use dovetail_core::plugin::{PluginError, PluginTool, PluginToolResult, ToolServer};
use dovetail_native_api::{op, tools as payload};
use serde_json::Value;

use super::Native;
use crate::bindings::exports::dovetail::plugin::tools as contract;
use crate::convert;
use crate::manifest::Kind;

/// A tool server.
pub(super) struct NativeTools {
    id: PluginId,
    native: Arc<Native>,
}

impl NativeTools {
    /// Asks nothing: the list of tools may depend on the moment.
    pub(super) fn load(native: Arc<Native>) -> Self {
        Self {
            id: native.plugin().id().clone(),
            native,
        }
    }
}

#[async_trait]
impl ToolServer for NativeTools {
    fn plugin(&self) -> &PluginId {
        &self.id
    }

    async fn list_tools(&self) -> Result<Vec<PluginTool>, PluginError> {
        let wall = self.native.plugin().limits().deadline(Kind::Tools);
        let tools: Vec<payload::Tool> = self.native.ask(op::TOOLS_LIST_TOOLS, wall, &()).await?;
        let tools = tools.into_iter().map(contract::Tool::from);
        Ok(convert::usable_tools(&self.id, tools))
    }

    async fn call_tool(
        &self,
        call_id: &CallId,
        name: &str,
        arguments: &Value,
        turn_metadata: &Value,
    ) -> Result<PluginToolResult, PluginError> {
        let asked = payload::CallTool {
            call: payload::Call {
                call_id: call_id.as_str().to_owned(),
                name: name.to_owned(),
                arguments_json: arguments.to_string(),
                turn_metadata_json: turn_metadata.to_string(),
            },
        };
        let wall = self.native.plugin().limits().deadline(Kind::Tools);
        let answer: payload::CallResult =
            self.native.ask(op::TOOLS_CALL_TOOL, wall, &asked).await?;
        convert::tool_result(answer.into())
    }
}
