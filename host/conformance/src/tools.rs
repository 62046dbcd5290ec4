//! Tool servers: a call in, a result out.

use std::collections::BTreeSet;
use std::time::Duration;

use dovetail_core::ids::CallId;
use dovetail_core::plugin::{PluginError, PluginToolResult, ToolContent, ToolServer};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::report::Report;
use crate::table::Placed;
use crate::text::{Text, differs};
use crate::timing::{Times, fault};

/// How often the tools are listed for the times.
const CALLS: usize = 20;

/// `[[tool]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolCase {
    pub(crate) name: Option<String>,
    call: String,
    #[serde(default)]
    arguments: Value,
    #[serde(default)]
    metadata: Value,
    expect: Expected,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expected {
    /// All text of the result, joined by line ends.
    text: Option<Text>,
    is_error: Option<bool>,
    structured: Option<Value>,
    /// The words of an error that is no result.
    error: Option<Text>,
}

/// Lists the tools, and calls them as no well-meaning model does.
pub(crate) async fn probe(server: &dyn ToolServer, limit: Duration, report: &mut Report) {
    let mut times = Times::default();
    let mut listed = Vec::new();
    for _ in 0..CALLS {
        match times.of(server.list_tools()).await {
            Ok(tools) => listed = tools,
            Err(error) => {
                report.find("list-tools", error.to_string());
                return;
            }
        }
    }
    report.time("list-tools", &times, limit);
    if listed.is_empty() {
        report.find("list-tools", "it offers no tool that can be used");
    }
    let mut names = BTreeSet::new();
    for tool in &listed {
        report
            .facts
            .push(format!("offers {}: {}", tool.name, tool.description));
        if !names.insert(tool.name.as_str()) {
            report.find("list-tools", format!("two tools are named `{}`", tool.name));
        }
        if tool.description.trim().is_empty() {
            let name = &tool.name;
            report.find(
                "list-tools",
                format!("tool `{name}` has no description, so no model calls it"),
            );
        }
    }
    let no_such = "no-such-tool".to_owned();
    for name in names.into_iter().chain([no_such.as_str()]) {
        for arguments in [
            json!({}),
            json!({ "unknown": [1, null] }),
            json!([]),
            json!("text"),
        ] {
            let answer = call(server, name, &arguments, &json!({})).await;
            if let Some(fault) = fault(&answer) {
                report.find("call-tool", format!("`{name}` with {arguments}: {fault}"));
            }
            if name == no_such && answer.is_ok_and(|result| !result.is_error) {
                report.find(
                    "call-tool",
                    "a tool that it does not offer is answered as if it did",
                );
                break;
            }
        }
    }
}

async fn call(
    server: &dyn ToolServer,
    name: &str,
    arguments: &Value,
    metadata: &Value,
) -> Result<PluginToolResult, PluginError> {
    server
        .call_tool(&CallId::new("call_1"), name, arguments, metadata)
        .await
}

/// Runs a case. Says how it differs from what is expected, if it does.
pub(crate) async fn run(
    server: &dyn ToolServer,
    placed: &Placed<ToolCase>,
    times: &mut Times,
) -> Option<String> {
    let case = &placed.case;
    let expected = &case.expect;
    let object = |value: &Value| match value {
        Value::Null => json!({}),
        value => value.clone(),
    };
    let (arguments, metadata) = (object(&case.arguments), object(&case.metadata));
    let answer = times
        .of(call(server, &case.call, &arguments, &metadata))
        .await;
    let result = match answer {
        Ok(result) => result,
        Err(error) => {
            let words = error.to_string();
            return match &expected.error {
                Some(expected) => expected.differs("error", &words),
                None => Some(format!("it fails: {words}")),
            };
        }
    };
    if expected.error.is_some() {
        return Some(format!(
            "it answers {:?}, and an error is expected",
            text(&result)
        ));
    }
    let is_error = expected.is_error.unwrap_or(false);
    if result.is_error != is_error {
        let found = if result.is_error { "failed" } else { "well" };
        return Some(format!("the result is {found}: {:?}", text(&result)));
    }
    differs(expected.text.as_ref(), "text", Some(&text(&result))).or_else(|| {
        let wanted = expected.structured.as_ref()?;
        let found = result.structured.clone().unwrap_or(Value::Null);
        (found != *wanted).then(|| format!("the structured result is {found}, expected {wanted}"))
    })
}

/// All text of a result.
fn text(result: &PluginToolResult) -> String {
    let text = |content: &ToolContent| match content {
        ToolContent::Text(text) => Some(text.clone()),
        ToolContent::ResourceLink(uri) => Some(uri.clone()),
        ToolContent::Image { .. } | ToolContent::Audio { .. } => None,
    };
    let texts: Vec<String> = result.content.iter().filter_map(text).collect();
    texts.join("\n")
}
