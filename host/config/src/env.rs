//! Every environment variable that the host reads, in one place.

use std::ffi::OsString;

/// An environment variable and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvVar {
    /// Its name.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub meaning: &'static str,
}

impl EnvVar {
    const fn new(name: &'static str, meaning: &'static str) -> Self {
        Self { name, meaning }
    }

    /// Its value as text; none where it is unset, empty or not UTF-8.
    pub fn get(self) -> Option<String> {
        std::env::var(self.name)
            .ok()
            .filter(|value| !value.is_empty())
    }

    /// Its value as the system has it; none where it is unset or empty.
    pub fn get_os(self) -> Option<OsString> {
        std::env::var_os(self.name).filter(|value| !value.is_empty())
    }
}

/// Where configuration, threads and plugins live.
pub const CODEX_HOME: EnvVar = EnvVar::new(
    "CODEX_HOME",
    "directory of config.toml, auth.json, sessions and plugins (default ~/.codex)",
);
/// The API key that wins over `auth.json`.
pub const CODEX_API_KEY: EnvVar = EnvVar::new(
    "CODEX_API_KEY",
    "API key for the openai provider; wins over auth.json",
);
/// The API key used where there is no other.
pub const OPENAI_API_KEY: EnvVar = EnvVar::new(
    "OPENAI_API_KEY",
    "API key for the openai provider where neither CODEX_API_KEY nor auth.json has one",
);
/// The API key of Amazon Bedrock. What else AWS keeps in variables is read by the plugin, and listed with its grant.
pub const AWS_BEARER_TOKEN_BEDROCK: EnvVar = EnvVar::new(
    "AWS_BEARER_TOKEN_BEDROCK",
    "API key for the amazon-bedrock providers",
);
/// A login for one run: a personal access token or an agent's identity.
pub const CODEX_ACCESS_TOKEN: EnvVar = EnvVar::new(
    "CODEX_ACCESS_TOKEN",
    "personal access token (`at-…`) or agent identity (a JWT) for the openai provider; wins over auth.json",
);
/// The same for an agent's identity alone.
pub const CODEX_AGENT_IDENTITY: EnvVar = EnvVar::new(
    "CODEX_AGENT_IDENTITY",
    "agent identity (a JWT) for the openai provider, where CODEX_ACCESS_TOKEN is not set",
);
/// Another address to refresh logins at.
pub const REFRESH_TOKEN_URL: EnvVar = EnvVar::new(
    "CODEX_REFRESH_TOKEN_URL_OVERRIDE",
    "URL at which logins are refreshed, for tests",
);
/// Another address to revoke logins at.
pub const REVOKE_TOKEN_URL: EnvVar = EnvVar::new(
    "CODEX_REVOKE_TOKEN_URL_OVERRIDE",
    "URL at which logins are revoked, for tests",
);
/// Another authority to sign in with.
pub const LOGIN_ISSUER: EnvVar = EnvVar::new(
    "CODEX_APP_SERVER_LOGIN_ISSUER",
    "base URL of the authority to sign in with, for tests",
);
/// Another name by which the authority knows this client.
pub const LOGIN_CLIENT_ID: EnvVar = EnvVar::new(
    "CODEX_APP_SERVER_LOGIN_CLIENT_ID",
    "client id for the authority, for tests",
);
/// Another address to ask about personal access tokens.
pub const AUTHAPI_URL: EnvVar = EnvVar::new(
    "CODEX_AUTHAPI_BASE_URL",
    "base URL at which personal access tokens are checked, for tests",
);
/// Another address for the keys that agent identities are verified with.
pub const AGENT_JWKS_URL: EnvVar = EnvVar::new(
    "CODEX_AGENT_IDENTITY_JWKS_BASE_URL",
    "base URL of the keys that agent identities are verified with, for tests",
);
/// Another address to register agents and their tasks at.
pub const AGENT_AUTHAPI_URL: EnvVar = EnvVar::new(
    "CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL",
    "base URL at which agents and their tasks are registered, for tests",
);
/// Where the authority of logins may be besides its usual place.
pub const AUTHORITY: &[EnvVar] = &[
    REFRESH_TOKEN_URL,
    REVOKE_TOKEN_URL,
    LOGIN_ISSUER,
    AUTHAPI_URL,
    AGENT_JWKS_URL,
    AGENT_AUTHAPI_URL,
];
/// Overrides the name under which requests are made.
pub const ORIGINATOR_OVERRIDE: EnvVar = EnvVar::new(
    "CODEX_INTERNAL_ORIGINATOR_OVERRIDE",
    "name of the client in requests and rollouts",
);
/// Turns colour off.
pub const NO_COLOR: EnvVar = EnvVar::new("NO_COLOR", "set to anything to have no colours");
/// The user's home directory.
pub const HOME: EnvVar = EnvVar::new("HOME", "home directory, where CODEX_HOME is not set");
/// Where the model server of `--oss` is.
pub const OSS_BASE_URL: EnvVar = EnvVar::new(
    "CODEX_OSS_BASE_URL",
    "base URL of the local model server that `--oss` asks",
);
/// At which port of this machine the model server of `--oss` is.
pub const OSS_PORT: EnvVar = EnvVar::new(
    "CODEX_OSS_PORT",
    "port of the local model server that `--oss` asks, where there is no base URL",
);
/// Where compiled plugins are kept.
pub const DOVETAIL_CACHE: EnvVar = EnvVar::new(
    "DOVETAIL_CACHE",
    "directory for compiled plugins, instead of $CODEX_HOME/dovetail/cache",
);
/// Certificate authorities that count beside the platform's.
pub const CA_CERTIFICATE: EnvVar = EnvVar::new(
    "CODEX_CA_CERTIFICATE",
    "file of certificates in PEM form that count beside the platform's, for models, packages and plugins",
);
/// With what servers that ask who is asking are answered.
pub const CLIENT_CERTIFICATE: EnvVar = EnvVar::new(
    "DOVETAIL_CLIENT_CERTIFICATE",
    "file of the client certificate in PEM form, for servers that ask for one",
);
/// Its key, where that is apart.
pub const CLIENT_KEY: EnvVar = EnvVar::new(
    "DOVETAIL_CLIENT_KEY",
    "file of the client certificate's private key in PEM form, where that is another one",
);
/// Who may see it.
pub const CLIENT_CERTIFICATE_HOSTS: EnvVar = EnvVar::new(
    "DOVETAIL_CLIENT_CERTIFICATE_HOSTS",
    "hosts that see the client certificate, such as `llm.corp.example,*.auth.corp.example`; no others do",
);
/// Set by build servers.
pub const CI: EnvVar = EnvVar::new(
    "CI",
    "set by build servers: a trusted project's committed plugins.lock is then as good as a grant",
);
/// What is logged to standard error.
pub const DOVETAIL_LOG: EnvVar = EnvVar::new(
    "DOVETAIL_LOG",
    "log filter such as `debug` or `dovetail_runtime=trace`",
);

/// All of them, for documentation and `doctor`.
pub const ALL: &[EnvVar] = &[
    CODEX_HOME,
    CODEX_API_KEY,
    OPENAI_API_KEY,
    CODEX_ACCESS_TOKEN,
    CODEX_AGENT_IDENTITY,
    REFRESH_TOKEN_URL,
    REVOKE_TOKEN_URL,
    LOGIN_ISSUER,
    LOGIN_CLIENT_ID,
    AUTHAPI_URL,
    AGENT_JWKS_URL,
    AGENT_AUTHAPI_URL,
    ORIGINATOR_OVERRIDE,
    NO_COLOR,
    HOME,
    OSS_BASE_URL,
    OSS_PORT,
    DOVETAIL_CACHE,
    CA_CERTIFICATE,
    CLIENT_CERTIFICATE,
    CLIENT_KEY,
    CLIENT_CERTIFICATE_HOSTS,
    CI,
    DOVETAIL_LOG,
];
