//! Signing in and out: what the authority and the store are asked, in which order.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dovetail_plugin_api::account::{Beginning, Challenge, Way};
use dovetail_plugin_api::{Error, date, is_token};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::authority::{Authority, Grant};
use crate::claims::Claims;
use crate::document::{Document, NewTokens};
use crate::form;
use crate::login::{self, stored};
use crate::mode::Mode;
use crate::outside::{Outside, STORE};
use crate::settings::Settings;

/// What is asked for in a browser.
const SCOPE: &str = "openid profile email offline_access api.connectors.read api.connectors.invoke";
/// How long somebody may take, in a browser or with a code.
const PATIENCE_MS: u64 = 15 * 60 * 1000;
/// How often a store that changes is tried again.
const MOST_CONFLICTS: usize = 5;

/// A sign-in that has begun, as the host keeps it between calls.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Pending {
    Browser {
        state: String,
        verifier: String,
        redirect_uri: String,
    },
    Device {
        id: String,
        code: String,
    },
}

/// Signs in and out.
pub(crate) struct SignIn<'a> {
    outside: &'a dyn Outside,
    settings: &'a Settings,
}

impl<'a> SignIn<'a> {
    pub(crate) fn new(outside: &'a dyn Outside, settings: &'a Settings) -> Self {
        Self { outside, settings }
    }

    pub(crate) fn begin(&self, way: Way) -> Result<Beginning, Error> {
        // Found out before anybody takes the trouble.
        stored(self.outside, self.settings)?;
        match way {
            Way::Browser(redirect_uri) => self
                .begin_in_browser(redirect_uri)
                .map(Beginning::Challenged),
            Way::Device => self.begin_with_code().map(Beginning::Challenged),
            Way::ApiKey(key) => self.keep_key(&key).map(Beginning::Done),
            Way::AccessToken(token) => self.keep_access_token(token.trim()).map(Beginning::Done),
        }
    }

    pub(crate) fn poll(&self, state: &str) -> Result<Option<String>, Error> {
        let Pending::Device { id, code } = pending(state)? else {
            return Err(Error::invalid(
                "a sign-in in a browser is not asked after, it comes back by itself",
            ));
        };
        let authority = self.authority();
        let Some(grant) = authority.device_grant(&id, &code)? else {
            return Ok(None);
        };
        let redirect_uri = format!("{}/deviceauth/callback", authority.issuer());
        self.keep_tokens(&authority.exchange(&grant, &redirect_uri)?)
            .map(Some)
    }

    pub(crate) fn finish(&self, state: &str, query: &str) -> Result<String, Error> {
        let Pending::Browser {
            state,
            verifier,
            redirect_uri,
        } = pending(state)?
        else {
            return Err(Error::invalid(
                "a sign-in with a code does not come back from a browser",
            ));
        };
        if form::field(query, "state").as_deref() != Some(&state) {
            return Err(Error::invalid(
                "the browser came back from another sign-in: its `state` differs",
            ));
        }
        if let Some(error) = form::field(query, "error") {
            let words = form::field(query, "error_description").unwrap_or(error);
            return Err(Error::Unavailable(format!(
                "the authority refused to sign you in: {}",
                one_line(&words)
            )));
        }
        let code = form::field(query, "code").filter(|code| !code.is_empty());
        let code =
            code.ok_or_else(|| Error::unavailable("the browser came back without a code"))?;
        let tokens = self
            .authority()
            .exchange(&Grant { code, verifier }, &redirect_uri)?;
        self.keep_tokens(&tokens)
    }

    /// Forgets the stored login; what became of it, in words.
    pub(crate) fn logout(&self) -> Result<Option<String>, Error> {
        let Some(held) = self.outside.reveal(STORE)? else {
            return Ok(None);
        };
        // Whatever is wrong with it, it is forgotten.
        let outcome = match Document::parse(&held.bytes, self.settings.place()) {
            Ok(document) => self.revoke(&document),
            Err(_) => "it could not be read, so nothing was revoked".to_owned(),
        };
        self.outside.update(STORE, held.generation, b"")?;
        Ok(Some(outcome))
    }

    fn authority(&self) -> Authority<'a> {
        Authority::new(self.outside, self.settings)
    }

    fn begin_in_browser(&self, redirect_uri: String) -> Result<Challenge, Error> {
        self.check(Mode::Chatgpt, None)?;
        let (state, verifier) = (self.random()?, self.random()?);
        let authority = self.authority();
        let (client_id, challenge) = (
            authority.client_id(),
            URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier)),
        );
        let workspaces = self.settings.forced_workspaces.join(",");
        let mut fields = vec![
            ("response_type", "code"),
            ("client_id", &client_id),
            ("redirect_uri", &redirect_uri),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("state", &state),
            ("scope", SCOPE),
            ("id_token_add_organizations", "true"),
            ("codex_cli_simplified_flow", "true"),
            ("originator", &self.settings.originator),
        ];
        if !workspaces.is_empty() {
            fields.push(("allowed_workspace_id", &workspaces));
        }
        let url = format!(
            "{}/oauth/authorize?{}",
            authority.issuer(),
            form::encode(&fields)
        );
        let pending = Pending::Browser {
            state,
            verifier,
            redirect_uri,
        };
        challenge_of(url, None, 0, &pending)
    }

    fn begin_with_code(&self) -> Result<Challenge, Error> {
        self.check(Mode::Chatgpt, None)?;
        let authority = self.authority();
        let code = authority.device_code()?;
        let interval_ms = code.interval_ms();
        let pending = Pending::Device {
            id: code.device_auth_id,
            code: code.user_code.clone(),
        };
        challenge_of(
            format!("{}/codex/device", authority.issuer()),
            Some(one_line(&code.user_code)),
            interval_ms,
            &pending,
        )
    }

    fn keep_key(&self, key: &str) -> Result<String, Error> {
        self.check(Mode::ApiKey, None)?;
        let key = key.trim();
        if !is_token(key) {
            return Err(Error::invalid(
                "that is no API key: it is empty, or has characters that no key has",
            ));
        }
        self.keep(vec![
            ("auth_mode", json!(Mode::ApiKey.name())),
            ("OPENAI_API_KEY", json!(key)),
        ])?;
        Ok("an API key; it is checked when it is used".to_owned())
    }

    fn keep_access_token(&self, token: &str) -> Result<String, Error> {
        if !is_token(token) {
            return Err(Error::invalid(
                "that is no access token: it is empty, or has characters that no token has",
            ));
        }
        if !login::is_personal(token) {
            return self.keep_agent_token(token);
        }
        let person = self.authority().whoami(token)?;
        self.check(
            Mode::PersonalAccessToken,
            person.chatgpt_account_id.as_deref(),
        )?;
        // Older clients read the file only without a mode that they do not know.
        self.keep(vec![("personal_access_token", json!(token))])?;
        let name = whose(
            person.email.as_deref(),
            person.chatgpt_account_id.as_deref(),
            person.chatgpt_plan_type.as_deref(),
        );
        Ok(format!("a personal access token {name}"))
    }

    fn keep_agent_token(&self, token: &str) -> Result<String, Error> {
        let record = crate::agent::check(self.outside, self.settings, token)?;
        self.check(Mode::AgentIdentity, Some(&record.account_id))?;
        self.keep(vec![
            ("auth_mode", json!(Mode::AgentIdentity.name())),
            ("agent_identity", json!(token)),
        ])?;
        let plan = Some(record.plan_type.as_str());
        let name = whose(record.email.as_deref(), Some(&record.account_id), plan);
        Ok(format!("an agent identity {name}"))
    }

    fn keep_tokens(&self, tokens: &NewTokens) -> Result<String, Error> {
        let claims = Claims::of(tokens.id_token.as_deref().unwrap_or_default());
        let account = claims.account_id.clone().unwrap_or_default();
        self.check(Mode::Chatgpt, Some(&account))?;
        self.keep(vec![
            ("auth_mode", json!(Mode::Chatgpt.name())),
            (
                "tokens",
                json!({
                    "id_token": tokens.id_token, "access_token": tokens.access_token,
                    "refresh_token": tokens.refresh_token, "account_id": account,
                }),
            ),
            ("last_refresh", json!(date::rfc3339(self.outside.now_ms()))),
        ])?;
        let name = whose(
            claims.email.as_deref(),
            claims.account_id.as_deref(),
            claims.plan.as_deref(),
        );
        Ok(format!("ChatGPT {name}"))
    }

    /// Puts a login in the place of whatever is stored.
    fn keep(&self, login: Vec<(&'static str, Value)>) -> Result<(), Error> {
        let mut outcome = Ok(());
        for _ in 0..MOST_CONFLICTS {
            let before = stored(self.outside, self.settings)?;
            let (before, generation) = before.map_or((None, 0), |stored| {
                (Some(stored.document), stored.generation)
            });
            let document = Document::of_login(before.as_ref(), login.clone());
            outcome = self
                .outside
                .update(STORE, generation, &document.to_bytes())
                .map(drop);
            if !matches!(outcome, Err(Error::Retryable { .. })) {
                break;
            }
        }
        outcome
    }

    fn check(&self, mode: Mode, account: Option<&str>) -> Result<(), Error> {
        match login::violation(self.settings, mode, account) {
            Some(why) => Err(Error::Unavailable(format!("{why}, and this is not one"))),
            None => Ok(()),
        }
    }

    /// Has the tokens taken back; what became of it.
    fn revoke(&self, document: &Document) -> String {
        let Ok(Mode::Chatgpt) = document.mode() else {
            return "nothing had to be revoked".to_owned();
        };
        let Some(tokens) = document.tokens() else {
            return "there was nothing to revoke".to_owned();
        };
        let (token, hint) = match tokens.refresh_token.as_str() {
            "" => (&tokens.access_token, "access_token"),
            _ => (&tokens.refresh_token, "refresh_token"),
        };
        match self.authority().revoke(token, hint) {
            Ok(()) => "its tokens were revoked".to_owned(),
            Err(error) => format!("its tokens could not be revoked ({error})"),
        }
    }

    fn random(&self) -> Result<String, Error> {
        let mut bytes = [0; 48];
        self.outside.fill_random(&mut bytes)?;
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }
}

fn challenge_of(
    url: String,
    user_code: Option<String>,
    interval_ms: u32,
    pending: &Pending,
) -> Result<Challenge, Error> {
    Ok(Challenge {
        url,
        user_code,
        interval_ms,
        expires_in_ms: PATIENCE_MS,
        state: serde_json::to_string(pending)?,
    })
}

fn pending(state: &str) -> Result<Pending, Error> {
    serde_json::from_str(state).map_err(|_| Error::invalid("that is no sign-in of this plugin's"))
}

/// Whose a login is, for people.
pub(crate) fn whose(email: Option<&str>, account: Option<&str>, plan: Option<&str>) -> String {
    let mut text = format!(
        "of {}",
        one_line(email.unwrap_or("an account without an email address"))
    );
    if let Some(account) = account.filter(|account| !account.is_empty()) {
        text.push_str(&format!(", account {}", one_line(account)));
    }
    if let Some(plan) = plan {
        text.push_str(&format!(", plan {}", one_line(plan)));
    }
    text
}

/// Words of somebody else, without what steers a terminal.
fn one_line(text: &str) -> String {
    const MOST: usize = 200;
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MOST)
        .collect()
}

#[cfg(test)]
mod tests;
