//! The service that agents are registered with: where it is, and one function per request to it.

use std::time::Duration;

use dovetail_plugin_api::Error;
use serde_json::{Value, json};

use super::jwt::KeySet;
use super::key::{AgentKey, timestamp};
use crate::authority::{answer, failed};
use crate::outside::{Ask, Outside};
use crate::settings::Settings;

const JWKS_URL: &str = "CODEX_AGENT_IDENTITY_JWKS_BASE_URL";
const AUTHAPI_URL: &str = "CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL";

const CHATGPT: &str = "https://chatgpt.com/backend-api";
const PRODUCTION: &str = "https://auth.openai.com/api/accounts";
const STAGING: &str = "https://auth.api.openai.org/api/accounts";

const JWKS_TIMEOUT: Duration = Duration::from_secs(10);
const AGENT_TIMEOUT: Duration = Duration::from_secs(15);
const TASK_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a request is tried that may succeed another time.
const ATTEMPTS: u32 = 3;
/// No attempt begins later than this: the host ends the whole call after a minute.
const PATIENCE_MS: u64 = 25_000;

/// The service of the configured environment.
pub(crate) struct Service<'a> {
    outside: &'a dyn Outside,
    /// Where agents and tasks are registered.
    authapi: String,
    /// Where the keys are.
    jwks: String,
}

impl<'a> Service<'a> {
    /// Finds the service.
    ///
    /// # Errors
    /// The configured environment is neither production nor staging, nor wholly replaced for tests.
    pub(crate) fn of(outside: &'a dyn Outside, settings: &Settings) -> Result<Self, Error> {
        let base = settings
            .chatgpt_base_url
            .as_deref()
            .unwrap_or(CHATGPT)
            .trim_end_matches('/');
        let (authapi, jwks) = (outside.variable(AUTHAPI_URL), outside.variable(JWKS_URL));
        let jwks_base = jwks.as_deref().unwrap_or(base).trim_end_matches('/');
        let authapi = match (environment(base), authapi) {
            (Some(_), Some(replaced)) => replaced,
            (Some(usual), None) => usual.to_owned(),
            (None, Some(replaced)) if jwks.is_some() && jwks_base == base => replaced,
            (None, _) => {
                return Err(Error::invalid(
                    "agent identities cannot be used with this `chatgpt_base_url`: only production and staging are supported",
                ));
            }
        };
        let jwks = if jwks_base.contains("/backend-api") {
            format!("{jwks_base}/wham/agent-identities/jwks")
        } else if jwks_base.contains("/api/codex") {
            format!("{jwks_base}/agent-identities/jwks")
        } else {
            format!("{jwks_base}/api/codex/agent-identities/jwks")
        };
        Ok(Self {
            outside,
            authapi: authapi.trim_end_matches('/').to_owned(),
            jwks,
        })
    }

    /// The keys that identities are verified with.
    pub(crate) fn keys(&self) -> Result<KeySet, Error> {
        let what = "getting the keys of agent identities";
        let (status, body) = self.attempt(what, || Ask {
            method: "GET",
            url: self.jwks.clone(),
            bearer: None,
            headers: Vec::new(),
            content_type: "",
            body: Vec::new(),
            timeout: JWKS_TIMEOUT,
        })?;
        answer(what, status, &body)
    }

    /// Registers an agent in the name of an account; gives its runtime id.
    pub(crate) fn register_agent(
        &self,
        settings: &Settings,
        key: &AgentKey,
        session_source: &str,
        access_token: &str,
        is_fedramp: bool,
    ) -> Result<String, Error> {
        let harness = match session_source {
            "vscode" => "codex-app",
            _ => "codex-cli",
        };
        let body = json!({
            "abom": {
                "agent_version": settings.version, "agent_harness_id": harness,
                "running_location": format!("{session_source}-{}", settings.os),
            },
            "agent_public_key": key.public_line(), "capabilities": ["responsesapi"], "ttl": null,
        });
        let what = "registering the agent";
        let (status, body) = self.attempt(what, || Ask {
            method: "POST",
            url: format!("{}/v1/agent/register", self.authapi),
            bearer: Some(access_token.to_owned()),
            headers: is_fedramp
                .then(|| ("X-OpenAI-Fedramp", "true".to_owned()))
                .into_iter()
                .collect(),
            content_type: "application/json",
            body: body.to_string().into_bytes(),
            timeout: AGENT_TIMEOUT,
        })?;
        let said: Value = answer(what, status, &body)?;
        let id = said["agent_runtime_id"]
            .as_str()
            .map(str::trim)
            .filter(|id| !id.is_empty());
        id.map(str::to_owned).ok_or_else(|| {
            Error::other("registering the agent failed: the answer has no runtime id")
        })
    }

    /// Registers the task of an agent; gives its id.
    pub(crate) fn register_task(&self, runtime_id: &str, key: &AgentKey) -> Result<String, Error> {
        let what = "registering the agent's task";
        if !runtime_id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        {
            return Err(Error::invalid(
                "the agent identity's runtime id has characters that no address takes",
            ));
        }
        let (status, body) = self.attempt(what, || {
            let now = timestamp(self.outside.now_ms());
            let body =
                json!({ "timestamp": now, "signature": key.task_signature(runtime_id, &now) });
            Ask {
                method: "POST",
                url: format!("{}/v1/agent/{runtime_id}/task/register", self.authapi),
                bearer: None,
                headers: Vec::new(),
                content_type: "application/json",
                body: body.to_string().into_bytes(),
                timeout: TASK_TIMEOUT,
            }
        })?;
        let said: Value = answer(what, status, &body)?;
        let text = |names: [&str; 2]| {
            names
                .into_iter()
                .find_map(|name| said[name].as_str())
                .filter(|text| !text.is_empty())
        };
        match (
            text(["task_id", "taskId"]),
            text(["encrypted_task_id", "encryptedTaskId"]),
        ) {
            (Some(task), _) => Ok(task.to_owned()),
            (None, Some(sealed)) => key.open(sealed),
            (None, None) => Err(Error::other(
                "registering the agent's task failed: the answer omitted the task id",
            )),
        }
    }

    /// Sends a request, again at once where that may help.
    fn attempt(&self, what: &str, ask: impl Fn() -> Ask) -> Result<(u16, Vec<u8>), Error> {
        let began = self.outside.now_ms();
        let mut attempt = 1;
        loop {
            let outcome = self.outside.send(ask());
            let cause = match outcome {
                Ok((status, body)) if status == 429 || status >= 500 => {
                    failed(what, status, &body).to_string()
                }
                Err(Error::Retryable { reason, .. }) => format!("{what} failed: {reason}"),
                other => return other,
            };
            let late = self.outside.now_ms().saturating_sub(began) > PATIENCE_MS;
            if attempt >= ATTEMPTS || late {
                return Err(Error::retryable(format!(
                    "the agent identity is unavailable after {attempt} attempts: {cause}"
                )));
            }
            attempt += 1;
        }
    }
}

/// Where agents are registered in the environment of a base URL; none for an environment that is not supported.
fn environment(base: &str) -> Option<&'static str> {
    let rest = base.strip_prefix("https://")?;
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let known = ["", "/backend-api", "/codex", "/backend-api/codex"].contains(&path);
    match host {
        "chatgpt.com" | "chat.openai.com" if known => Some(PRODUCTION),
        "chatgpt-staging.com" if known => Some(STAGING),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    fn places(base: Option<&str>, variables: &[(&str, &str)]) -> Result<(String, String), String> {
        let mut fake = Fake::default();
        for (name, value) in variables {
            fake.variables
                .insert((*name).to_owned(), (*value).to_owned());
        }
        let settings = Settings {
            chatgpt_base_url: base.map(str::to_owned),
            ..Settings::default()
        };
        let service = Service::of(&fake, &settings).map_err(|error| error.to_string())?;
        Ok((service.authapi, service.jwks))
    }

    #[test]
    fn environments_are_told_by_their_exact_address() {
        let production = |jwks: &str| Ok((PRODUCTION.to_owned(), jwks.to_owned()));
        assert_eq!(
            places(None, &[]),
            production("https://chatgpt.com/backend-api/wham/agent-identities/jwks")
        );
        let base = Some("https://chat.openai.com/codex/");
        assert_eq!(
            places(base, &[]),
            production("https://chat.openai.com/codex/api/codex/agent-identities/jwks")
        );
        let staging = places(Some("https://chatgpt-staging.com"), &[]).expect("known");
        assert_eq!(staging.0, STAGING);
        let refused = Err("agent identities cannot be used with this `chatgpt_base_url`: only production and staging are supported".to_owned());
        for base in [
            "http://chatgpt.com",
            "https://chatgpt.com.evil.example",
            "https://chatgpt.com/other",
            "http://127.0.0.1:1/api/codex",
        ] {
            assert_eq!(places(Some(base), &[]), refused, "{base}");
            assert_eq!(
                places(Some(base), &[(AUTHAPI_URL, "http://a")]),
                refused,
                "{base}"
            );
        }
        let loopback = "http://127.0.0.1:1/api/codex";
        let variables = [(AUTHAPI_URL, "http://a/"), (JWKS_URL, loopback)];
        let expected = (
            "http://a".to_owned(),
            format!("{loopback}/agent-identities/jwks"),
        );
        assert_eq!(places(Some(loopback), &variables), Ok(expected));
    }
}
