//! The authority that gives out logins: its addresses, and one function per request to it.

use std::time::Duration;

use dovetail_plugin_api::Error;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::document::NewTokens;
use crate::outside::{Ask, Outside};
use crate::settings::Settings;

const ISSUER: &str = "https://auth.openai.com";
const CLIENT_ID: &str = "app_EMoamEEZ73f0CkXaXp7hrann";

/// A refresh must end before the host gives up on the whole call, a wait for another process's refresh included.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(20);
const REVOKE_TIMEOUT: Duration = Duration::from_secs(10);
const ASK_TIMEOUT: Duration = Duration::from_secs(15);

/// How much longer to wait before the next question where an authority finds them too many, as RFC 8628 has it.
const SLOWER: Duration = Duration::from_secs(5);

/// Variables of the environment that name other addresses. The host grants their origins.
const REFRESH_URL: &str = "CODEX_REFRESH_TOKEN_URL_OVERRIDE";
const REVOKE_URL: &str = "CODEX_REVOKE_TOKEN_URL_OVERRIDE";
const LOGIN_CLIENT: &str = "CODEX_APP_SERVER_LOGIN_CLIENT_ID";
const LOGIN_ISSUER: &str = "CODEX_APP_SERVER_LOGIN_ISSUER";
const AUTHAPI_URL: &str = "CODEX_AUTHAPI_BASE_URL";

/// Where the authority is.
pub(crate) struct Authority<'a> {
    outside: &'a dyn Outside,
    settings: &'a Settings,
}

/// Why a refresh came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It never will: the text says what to do.
    Permanent(String),
    /// It may, later.
    Transient(String),
}

/// Whom a personal access token belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Person {
    pub(crate) email: Option<String>,
    pub(crate) chatgpt_user_id: Option<String>,
    pub(crate) chatgpt_account_id: Option<String>,
    pub(crate) chatgpt_plan_type: Option<String>,
    pub(crate) chatgpt_account_is_fedramp: bool,
}

/// A sign-in with a code that is typed elsewhere.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DeviceCode {
    pub(crate) device_auth_id: String,
    #[serde(alias = "usercode")]
    pub(crate) user_code: String,
    #[serde(default)]
    interval: Value,
}

/// What a finished sign-in gives.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Grant {
    #[serde(alias = "authorization_code")]
    pub(crate) code: String,
    #[serde(alias = "code_verifier")]
    pub(crate) verifier: String,
}

impl<'a> Authority<'a> {
    pub(crate) fn new(outside: &'a dyn Outside, settings: &'a Settings) -> Self {
        Self { outside, settings }
    }

    /// The base of its addresses, without a slash at the end.
    pub(crate) fn issuer(&self) -> String {
        let issuer = self
            .settings
            .issuer
            .clone()
            .or_else(|| self.outside.variable(LOGIN_ISSUER));
        let issuer = issuer.unwrap_or_else(|| ISSUER.to_owned());
        issuer.trim_end_matches('/').to_owned()
    }

    pub(crate) fn client_id(&self) -> String {
        self.outside
            .variable(LOGIN_CLIENT)
            .unwrap_or_else(|| CLIENT_ID.to_owned())
    }

    /// Exchanges a refresh token for new tokens.
    pub(crate) fn refresh(&self, refresh_token: &str, reason: &str) -> Result<NewTokens, Refusal> {
        let body = json!({
            "client_id": self.client_id(), "grant_type": "refresh_token",
            "refresh_token": refresh_token, "refresh_reason": reason,
        });
        let url = self.url(REFRESH_URL, "oauth/token");
        let (status, body) = self
            .post_json(url, &body, REFRESH_TIMEOUT)
            .map_err(|error| {
                Refusal::Transient(format!("the login could not be refreshed: {error}"))
            })?;
        if !(200..300).contains(&status) {
            return Err(refusal(status, &body));
        }
        let odd = || {
            Refusal::Transient(
                "the login could not be refreshed: the answer has no tokens that can be used"
                    .to_owned(),
            )
        };
        let tokens: NewTokens = serde_json::from_slice(&body).map_err(|_| odd())?;
        // What can be used is kept, whatever is beside it: the refresh token that was sent may be spent by now.
        let tokens = tokens.usable();
        match tokens.is_empty() {
            true => Err(odd()),
            false => Ok(tokens),
        }
    }

    /// Exchanges the code of a sign-in for tokens.
    pub(crate) fn exchange(&self, grant: &Grant, redirect_uri: &str) -> Result<NewTokens, Error> {
        let client_id = self.client_id();
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", &client_id),
            ("code", &grant.code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", &grant.verifier),
        ];
        let (status, body) = self.outside.send(Ask {
            method: "POST",
            url: format!("{}/oauth/token", self.issuer()),
            bearer: None,
            headers: Vec::new(),
            content_type: "application/x-www-form-urlencoded",
            body: crate::form::encode(&fields).into_bytes(),
            timeout: ASK_TIMEOUT,
        })?;
        let tokens: NewTokens = answer("the sign-in", status, &body)?;
        if tokens.access_token.is_none()
            || tokens.refresh_token.is_none()
            || tokens.id_token.is_none()
            || !tokens.is_usable()
        {
            return Err(Error::other(
                "the sign-in failed: the authority gave no tokens that can be used",
            ));
        }
        Ok(tokens)
    }

    /// Takes a token back. Best effort: the caller forgets it in any case.
    pub(crate) fn revoke(&self, token: &str, hint: &str) -> Result<(), Error> {
        let body =
            json!({ "token": token, "token_type_hint": hint, "client_id": self.client_id() });
        let (status, body) =
            self.post_json(self.url(REVOKE_URL, "oauth/revoke"), &body, REVOKE_TIMEOUT)?;
        if (200..300).contains(&status) {
            return Ok(());
        }
        Err(failed("revoking the token", status, &body))
    }

    /// Asks whom a personal access token belongs to.
    pub(crate) fn whoami(&self, token: &str) -> Result<Person, Error> {
        let base = self
            .outside
            .variable(AUTHAPI_URL)
            .unwrap_or_else(|| format!("{ISSUER}/api/accounts"));
        let (status, body) = self.outside.send(Ask {
            method: "GET",
            url: format!(
                "{}/v1/user-auth-credential/whoami",
                base.trim_end_matches('/')
            ),
            bearer: Some(token.to_owned()),
            headers: Vec::new(),
            content_type: "",
            body: Vec::new(),
            timeout: ASK_TIMEOUT,
        })?;
        let person: Person = answer("checking the personal access token", status, &body)?;
        if person
            .chatgpt_account_id
            .as_deref()
            .is_none_or(str::is_empty)
        {
            return Err(Error::other(
                "checking the personal access token failed: the answer names no account",
            ));
        }
        Ok(person)
    }

    /// Starts a sign-in with a code.
    pub(crate) fn device_code(&self) -> Result<DeviceCode, Error> {
        let url = format!("{}/api/accounts/deviceauth/usercode", self.issuer());
        let (status, body) =
            self.post_json(url, &json!({ "client_id": self.client_id() }), ASK_TIMEOUT)?;
        if status == 404 {
            return Err(Error::unavailable(
                "this authority has no sign-in with a code: use the browser, `dovetail login`",
            ));
        }
        answer("the sign-in", status, &body)
    }

    /// Asks whether a sign-in with a code is done; none while it is not.
    pub(crate) fn device_grant(
        &self,
        device_auth_id: &str,
        user_code: &str,
    ) -> Result<Option<Grant>, Error> {
        let url = format!("{}/api/accounts/deviceauth/token", self.issuer());
        let body = json!({ "device_auth_id": device_auth_id, "user_code": user_code });
        let (status, body) = self.post_json(url, &body, ASK_TIMEOUT)?;
        if (200..300).contains(&status) {
            return answer("the sign-in", status, &body).map(Some);
        }
        match code(&body).as_str() {
            "slow_down" => Err(Error::Retryable {
                reason: "the authority wants to be asked less often".to_owned(),
                after: Some(SLOWER),
            }),
            "expired_token" => Err(Error::unavailable(
                "nobody entered the code in time: start again with `dovetail login --device-auth`",
            )),
            "access_denied" => Err(Error::unavailable(
                "the sign-in was refused by whoever entered the code",
            )),
            "authorization_pending" => Ok(None),
            _ if matches!(status, 403 | 404) => Ok(None),
            _ => Err(failed("the sign-in", status, &body)),
        }
    }

    fn url(&self, variable: &str, path: &str) -> String {
        self.outside
            .variable(variable)
            .unwrap_or_else(|| format!("{}/{path}", self.issuer()))
    }

    fn post_json(
        &self,
        url: String,
        body: &Value,
        timeout: Duration,
    ) -> Result<(u16, Vec<u8>), Error> {
        self.outside.send(Ask {
            method: "POST",
            url,
            bearer: None,
            headers: Vec::new(),
            content_type: "application/json",
            body: body.to_string().into_bytes(),
            timeout,
        })
    }
}

impl DeviceCode {
    /// Milliseconds between questions; authorities give seconds, as a text or a number.
    pub(crate) fn interval_ms(&self) -> u32 {
        let seconds = match &self.interval {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_u64(),
        };
        let seconds = seconds.unwrap_or(5_u64).clamp(1, 60);
        u32::try_from(seconds * 1000).unwrap_or(u32::MAX)
    }
}

/// The answer to a request that succeeded.
pub(crate) fn answer<T: serde::de::DeserializeOwned>(
    what: &str,
    status: u16,
    body: &[u8],
) -> Result<T, Error> {
    if !(200..300).contains(&status) {
        return Err(failed(what, status, body));
    }
    // The parser's words are left out: they quote values.
    serde_json::from_slice(body)
        .map_err(|_| Error::Other(format!("{what} failed: the answer cannot be read")))
}

/// A failure that is worth repeating says so.
pub(crate) fn failed(what: &str, status: u16, body: &[u8]) -> Error {
    let words = words(body).map_or_else(String::new, |words| format!(": {words}"));
    let text = format!("{what} failed with status {status}{words}");
    match status {
        429 | 500..=599 => Error::retryable(text),
        401 | 403 => Error::unavailable(text),
        _ => Error::Other(text),
    }
}

/// The authority's own words, on one line, without what steers a terminal.
fn words(body: &[u8]) -> Option<String> {
    const MOST: usize = 200;
    let body: Value = serde_json::from_slice(body).ok()?;
    let said = [
        &body["error"]["message"],
        &body["error_description"],
        &body["message"],
        &body["error"],
        &body["detail"],
    ];
    let text = said.into_iter().find_map(Value::as_str)?;
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MOST)
        .collect();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The code of an authority's error; empty where it has none.
fn code(body: &[u8]) -> String {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = [&said["error"]["code"], &said["error"], &said["code"]]
        .into_iter()
        .find_map(Value::as_str);
    code.unwrap_or_default().to_owned()
}

fn refusal(status: u16, body: &[u8]) -> Refusal {
    let why = match code(body).as_str() {
        "refresh_token_expired" => "it has not been used for too long",
        "refresh_token_reused" => {
            "its refresh token was used already, by another program or machine"
        }
        "refresh_token_invalidated" => "it was revoked",
        _ if status == 401 => "the authority does not accept it any more",
        _ => {
            let words = words(body).map_or_else(String::new, |words| format!(": {words}"));
            return Refusal::Transient(format!(
                "the login could not be refreshed: the authority answered with status {status}{words}"
            ));
        }
    };
    Refusal::Permanent(format!(
        "the ChatGPT login has ended, {why}: sign in again with `dovetail login`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart_by_their_code_and_status() {
        let of = |status, body: Value| refusal(status, body.to_string().as_bytes());
        let ended = |why: &str| {
            Refusal::Permanent(format!(
                "the ChatGPT login has ended, {why}: sign in again with `dovetail login`"
            ))
        };
        let code = |code: &str| json!({ "error": { "code": code } });
        assert_eq!(
            of(400, code("refresh_token_expired")),
            ended("it has not been used for too long")
        );
        let reused = ended("its refresh token was used already, by another program or machine");
        assert_eq!(of(401, code("refresh_token_reused")), reused);
        assert_eq!(of(400, json!({ "error": "refresh_token_reused" })), reused);
        assert_eq!(
            of(400, json!({ "code": "refresh_token_invalidated" })),
            ended("it was revoked")
        );
        assert_eq!(
            of(401, json!({})),
            ended("the authority does not accept it any more")
        );
        let later =
            |words: &str| Refusal::Transient(format!("the login could not be refreshed: {words}"));
        assert_eq!(
            of(400, code("other")),
            later("the authority answered with status 400")
        );
        let busy = json!({ "error": { "message": "try\nlater\u{1b}" } });
        assert_eq!(
            of(503, busy),
            later("the authority answered with status 503: try later")
        );
    }
}
