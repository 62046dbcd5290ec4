//! A provider's table. Only the plugin that serves it understands it whole; what everybody shares is described here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// A provider. Plugins may take more keys than these.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ProviderTable {
    /// What people call it.
    name: Option<String>,
    /// Where it is, without `/responses`.
    base_url: Option<String>,
    /// The variable that holds its key.
    env_key: Option<String>,
    /// What to tell people whose variable is not set.
    env_key_instructions: Option<String>,
    /// Its key itself. Prefer a variable or a command.
    experimental_bearer_token: Option<String>,
    /// A command that prints a token.
    auth: Option<ProviderAuth>,
    /// What it speaks: `responses`, `chat` or `messages`. A plugin of its own may speak anything else.
    wire_api: Option<String>,
    /// Parameters of every URL.
    query_params: Option<BTreeMap<String, String>>,
    /// Headers of every request.
    http_headers: Option<BTreeMap<String, String>>,
    /// Headers whose values are in variables.
    env_http_headers: Option<BTreeMap<String, String>>,
    /// How often a request is repeated before anything came back. At most 100.
    request_max_retries: Option<u64>,
    /// How often a broken stream is taken up again. At most 100.
    stream_max_retries: Option<u64>,
    /// The longest silence of a stream, in milliseconds.
    stream_idle_timeout_ms: Option<u64>,
    /// The longest wait for a WebSocket, in milliseconds.
    websocket_connect_timeout_ms: Option<u64>,
    /// Whether the shared login is used for it.
    requires_openai_auth: Option<bool>,
    /// Whether it can be asked over a WebSocket. Where it cannot after all, it is asked over HTTP.
    supports_websockets: Option<bool>,
    /// Where its list of models is, `{"models": [{"slug": …}]}`; asked for with the provider's credential.
    model_catalog_url: Option<String>,
    /// Where the credentials for Amazon Bedrock come from. Only for `amazon-bedrock` and `amazon-bedrock-runtime`.
    aws: Option<ProviderAws>,
}

/// AWS credentials.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ProviderAws {
    /// The profile of AWS's config and credentials files.
    profile: Option<String>,
    /// The region, in place of the one that AWS's variables and files name.
    region: Option<String>,
    /// A command that prints credentials. Not together with `profile`.
    credential_export: Option<AwsCommand>,
    /// A command that signs in again when credentials have ended; its program is `aws`.
    auth_refresh: Option<AwsCommand>,
}

/// A command around AWS credentials.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct AwsCommand {
    /// The program.
    command: Option<String>,
    /// Its arguments.
    args: Option<Vec<String>>,
    /// How long it may take, in milliseconds.
    timeout_ms: Option<u64>,
    /// Where the program runs.
    cwd: Option<String>,
}

/// A command that prints a token.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ProviderAuth {
    /// The program.
    command: Option<String>,
    /// Its arguments.
    args: Option<Vec<String>>,
    /// How long it may take, in milliseconds.
    timeout_ms: Option<u64>,
    /// How long a token is used, in milliseconds; 0 for as long as it works.
    refresh_interval_ms: Option<u64>,
    /// Where the program runs.
    cwd: Option<String>,
}
