//! A tool server's table.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// A tool server: a command, or an address.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct McpServer {
    /// What people call it.
    name: Option<String>,
    /// The program.
    command: Option<String>,
    /// Its arguments.
    args: Option<Vec<String>>,
    /// Variables to set for it.
    env: Option<BTreeMap<String, String>>,
    /// Variables to hand on to it.
    env_vars: Option<Value>,
    /// Where it runs.
    cwd: Option<String>,
    /// Its address.
    url: Option<String>,
    /// The variable that holds its token.
    bearer_token_env_var: Option<String>,
    /// Headers of every request.
    http_headers: Option<BTreeMap<String, String>>,
    /// Headers whose values are in variables.
    env_http_headers: Option<BTreeMap<String, String>>,
    /// How long it may take to start, in seconds.
    startup_timeout_sec: Option<f64>,
    /// The same in milliseconds.
    startup_timeout_ms: Option<u64>,
    /// How long a call may take, in seconds.
    tool_timeout_sec: Option<f64>,
    /// Whether it is used.
    enabled: Option<bool>,
    /// Whether a turn needs it.
    required: Option<bool>,
    /// Its only tools.
    enabled_tools: Option<Vec<String>>,
    /// Tools of it that are left out.
    disabled_tools: Option<Vec<String>>,
    /// Whether its tools may run beside each other.
    supports_parallel_tool_calls: Option<bool>,
    /// When to ask before a tool of it runs.
    default_tools_approval_mode: Option<String>,
    /// Single tools.
    tools: Option<Value>,
    /// Where it runs: `local`.
    environment_id: Option<String>,
    /// How it is logged in to.
    auth: Option<String>,
    /// A login.
    oauth: Option<Value>,
    /// What the login is for.
    oauth_resource: Option<String>,
    /// What the login may do.
    scopes: Option<Vec<String>>,
}
