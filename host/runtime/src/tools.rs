//! The tool port, filled by a component: one warm instance, one call at a time.

use std::sync::Arc;

use async_trait::async_trait;
use dovetail_core::ids::{CallId, PluginId};
use dovetail_core::plugin::{PluginError, PluginTool, PluginToolResult, ToolServer};
use serde_json::Value;

use crate::bindings::exports::dovetail::plugin::tools::{Call, Guest};
use crate::convert;
use crate::instance::{Blueprint, Bounds};
use crate::manifest::{Kind, Limits};
use crate::warm::Warm;

/// A tool server plugin.
pub(crate) struct ToolsPlugin {
    id: PluginId,
    limits: Limits,
    warm: Warm<Guest>,
}

impl ToolsPlugin {
    /// Starts without asking anything: the list of tools may depend on the moment.
    pub(crate) fn load(blueprint: Blueprint<Guest>) -> Self {
        let (id, limits) = (
            blueprint.plugin().id().clone(),
            *blueprint.plugin().limits(),
        );
        Self {
            id,
            limits,
            warm: Warm::start(Arc::new(blueprint), None),
        }
    }

    fn bounds(&self, call: &'static str) -> Bounds {
        // A tool may well compute for all of its time; other tasks run between its ticks.
        let wall = self.limits.deadline(Kind::Tools);
        Bounds {
            call,
            wall,
            cpu: wall,
        }
    }
}

#[async_trait]
impl ToolServer for ToolsPlugin {
    fn plugin(&self) -> &PluginId {
        &self.id
    }

    async fn list_tools(&self) -> Result<Vec<PluginTool>, PluginError> {
        let answer = self.warm.call(self.bounds("list-tools"), |store, guest| {
            Box::pin(guest.call_list_tools(store))
        });
        let tools = answer.await?.map_err(convert::from_guest_error)?;
        Ok(convert::usable_tools(&self.id, tools.into_iter()))
    }

    async fn call_tool(
        &self,
        call_id: &CallId,
        name: &str,
        arguments: &Value,
        turn_metadata: &Value,
    ) -> Result<PluginToolResult, PluginError> {
        let call = Call {
            call_id: call_id.as_str().to_owned(),
            name: name.to_owned(),
            arguments_json: arguments.to_string(),
            turn_metadata_json: turn_metadata.to_string(),
        };
        let answer = self
            .warm
            .call(self.bounds("call-tool"), move |store, guest| {
                Box::pin(async move { guest.call_call_tool(store, &call).await })
            });
        convert::tool_result(answer.await?.map_err(convert::from_guest_error)?)
    }
}
