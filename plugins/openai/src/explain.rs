//! Which login there is and which credential would go where, for people. Asks nobody, changes nothing, shows no secret.

use dovetail_plugin_api::account::{Explanation, Login as Shown, Source as Looked};
use dovetail_plugin_api::{Error, ProviderTable, date};

use crate::claims::Claims;
use crate::credential;
use crate::login::{self, Found, Login, SOURCES, Source};
use crate::mode::Mode;
use crate::outside::Outside;
use crate::served::Served;
use crate::settings::Settings;
use crate::signin::whose;

/// The login that would be used, for `login status`.
pub(crate) fn status(outside: &dyn Outside, settings: &Settings) -> Result<Option<Shown>, Error> {
    for source in SOURCES {
        if let Some(found) = login::look(outside, settings, source)? {
            return Ok(Some(shown(&found, settings)));
        }
    }
    Ok(None)
}

fn shown(found: &Found, settings: &Settings) -> Shown {
    let mode = found.login.mode();
    let claims = claims(&found.login);
    let ends = match &found.login {
        Login::Tokens { tokens, .. } => Claims::of(&tokens.access_token).expires_at,
        Login::Agent(_) => claims.expires_at,
        Login::KeySlot(_) | Login::Key(_) | Login::Personal(_) | Login::Bedrock(_) => None,
    };
    Shown {
        mode: mode.name().to_owned(),
        title: mode.title().to_owned(),
        source: place(found.source, settings),
        email: claims.email,
        account: found
            .login
            .account()
            .map(str::to_owned)
            .or(claims.account_id),
        plan: claims.plan,
        expires_at_unix_ms: ends.map(|seconds| seconds.saturating_mul(1000)),
    }
}

/// What a login says of its owner.
fn claims(login: &Login) -> Claims {
    match login {
        Login::Tokens { tokens, .. } => Claims::of(&tokens.id_token),
        Login::Agent(record) => crate::agent::claims(record),
        Login::KeySlot(_) | Login::Key(_) | Login::Personal(_) | Login::Bedrock(_) => {
            Claims::default()
        }
    }
}

/// Explains a request of a provider.
pub(crate) fn explain(
    outside: &dyn Outside,
    settings: &Settings,
    served: &Served,
    is_model_request: bool,
) -> Result<Explanation, Error> {
    let mut told = Told::default();
    told.own(outside, &served.table)?;
    if credential::wants_login(&served.table) {
        told.login(outside, settings, served, is_model_request);
    } else {
        told.skip(
            "shared login",
            "not asked for: `requires_openai_auth` is not set",
        );
        if !told.is_decided() {
            told.headers
                .push("no credential: this table asks for none".to_owned());
        }
    }
    Ok(Explanation {
        sources: told.sources,
        headers: told.headers,
        destination: served.base_url.clone(),
        problem: told.problem,
    })
}

/// An explanation in the making.
#[derive(Default)]
struct Told {
    sources: Vec<Looked>,
    headers: Vec<String>,
    problem: Option<String>,
}

impl Told {
    fn is_decided(&self) -> bool {
        self.problem.is_some() || self.sources.iter().any(|source| source.used)
    }

    fn skip(&mut self, name: &str, finding: &str) {
        self.sources.push(Looked {
            name: name.to_owned(),
            finding: finding.to_owned(),
            used: false,
        });
    }

    fn take(&mut self, name: &str, finding: String, headers: Vec<String>) {
        let used = !self.is_decided();
        if used {
            self.headers = headers;
        }
        self.sources.push(Looked {
            name: name.to_owned(),
            finding,
            used,
        });
    }

    /// The credentials of the table itself.
    fn own(&mut self, outside: &dyn Outside, table: &ProviderTable) -> Result<(), Error> {
        match &table.env_key {
            Some(variable) if outside.exists(&format!("env:{variable}"))? => {
                self.take(
                    "env_key",
                    format!("{variable} is set"),
                    bearer("the value of the variable"),
                );
            }
            Some(variable) => {
                self.skip("env_key", &format!("{variable} is not set"));
                self.problem = Some(format!(
                    "the table wants the variable {variable}, which is not set"
                ));
            }
            None => self.skip("env_key", "not in the table"),
        }
        if table.inline_token || outside.exists(ProviderTable::INLINE_TOKEN)? {
            self.take(
                "experimental_bearer_token",
                "in the table".to_owned(),
                bearer("the token of the table"),
            );
        } else {
            self.skip("experimental_bearer_token", "not in the table");
        }
        Ok(())
    }

    fn login(
        &mut self,
        outside: &dyn Outside,
        settings: &Settings,
        served: &Served,
        is_model_request: bool,
    ) {
        for source in SOURCES {
            let name = place(source, settings);
            match login::look(outside, settings, source) {
                Ok(None) => self.skip(&name, "not set"),
                Ok(Some(found)) => self.found(&name, &found, settings, served, is_model_request),
                Err(error) => {
                    self.skip(&name, "cannot be used");
                    if !self.is_decided() {
                        self.problem = Some(error.to_string());
                    }
                }
            }
        }
        if !self.is_decided() {
            self.problem = Some(credential::nobody_signed_in(&served.table).to_string());
        }
    }

    fn found(
        &mut self,
        name: &str,
        found: &Found,
        settings: &Settings,
        served: &Served,
        is_model_request: bool,
    ) {
        if self.is_decided() {
            self.skip(
                name,
                &format!("{}, not looked at", found.login.mode().title()),
            );
            return;
        }
        let mode = found.login.mode();
        let shown = shown(found, settings);
        let finding = match (&shown.email, &shown.account) {
            (None, None) => mode.title().to_owned(),
            (email, account) => {
                format!(
                    "{} {}",
                    mode.title(),
                    whose(email.as_deref(), account.as_deref(), shown.plan.as_deref())
                )
            }
        };
        self.take(
            name,
            finding,
            headers(found, settings, served, is_model_request),
        );
        let refused = login::violation(settings, mode, shown.account.as_deref())
            .or_else(|| {
                mode.uses_codex_backend()
                    .then(|| served.check_origin(settings).err())
                    .flatten()
                    .map(words)
            })
            .or_else(|| unusable(mode, served));
        if let Some(why) = refused {
            self.headers.clear();
            self.problem = Some(why);
        }
    }
}

/// An error without its kind.
fn words(error: Error) -> String {
    match error {
        Error::Denied(text)
        | Error::Invalid(text)
        | Error::Unavailable(text)
        | Error::Other(text) => text,
        Error::Retryable { reason, .. } => reason,
    }
}

fn unusable(mode: Mode, served: &Served) -> Option<String> {
    match mode {
        Mode::BedrockApiKey | Mode::BedrockAccessKeys => Some(format!(
            "a login of the kind `{}` opens only Amazon Bedrock",
            mode.name()
        )),
        Mode::AgentIdentity if !served.is_first_party() => {
            Some(crate::agent::NOT_FIRST_PARTY.to_owned())
        }
        _ => None,
    }
}

fn headers(
    found: &Found,
    settings: &Settings,
    served: &Served,
    is_model_request: bool,
) -> Vec<String> {
    let signs = settings.agent_identity && served.is_first_party() && is_model_request;
    let mut headers = match &found.login {
        Login::KeySlot(_) | Login::Key(_) => bearer("the API key"),
        Login::Tokens {
            mode: Mode::Chatgpt,
            ..
        } if signs => {
            vec!["Authorization: AgentAssertion … (signed for each request, feature `use_agent_identity`)".to_owned()]
        }
        Login::Tokens { tokens, .. } => {
            let ends = Claims::of(&tokens.access_token).expires_at;
            let until = ends.map_or_else(String::new, |end| {
                format!(", until {}", date::rfc3339(end.saturating_mul(1000)))
            });
            bearer(&format!("the access token{until}"))
        }
        Login::Personal(_) => bearer("the personal access token"),
        Login::Agent(_) => {
            vec!["Authorization: AgentAssertion … (signed for each request)".to_owned()]
        }
        Login::Bedrock(_) => Vec::new(),
    };
    match &found.login {
        // Only its authority knows the account.
        Login::Personal(_) => {
            headers.push("ChatGPT-Account-ID: … (asked for when it is used)".to_owned())
        }
        login => {
            let claims = claims(login);
            let account = login.account().map(str::to_owned).or(claims.account_id);
            headers.extend(account.map(|account| format!("ChatGPT-Account-ID: {account}")));
            headers.extend(
                claims
                    .is_fedramp
                    .then(|| "X-OpenAI-Fedramp: true".to_owned()),
            );
        }
    }
    headers
}

fn bearer(what: &str) -> Vec<String> {
    vec![format!("Authorization: Bearer … ({what})")]
}

fn place(source: Source, settings: &Settings) -> String {
    match source {
        Source::Store => settings.place().to_owned(),
        other => other.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OPENAI;
    use crate::fake::{self, Fake};

    fn explained(fake: &Fake, table: ProviderTable, settings: &Settings) -> String {
        let served = Served {
            table,
            base_url: "https://llm.example/v1".to_owned(),
            default_for_accounts: None,
        };
        let told = explain(fake, settings, &served, true).expect("explained");
        let mut lines: Vec<String> = told
            .sources
            .iter()
            .map(|source| {
                format!(
                    "{}{}: {}",
                    if source.used { "*" } else { "" },
                    source.name,
                    source.finding
                )
            })
            .collect();
        lines.extend(told.headers);
        lines.extend(told.problem);
        lines.join("\n")
    }

    #[test]
    fn every_source_is_named_and_the_first_one_is_used() {
        let login = fake::chatgpt("secret-access", "secret-refresh", "acct-1");
        let fake = Fake::with_store(&login);
        fake.slots
            .borrow_mut()
            .insert(login::OPENAI_API_KEY.to_owned(), b"secret-key".to_vec());
        let settings = Settings::default();
        let text = explained(&fake, ProviderTable::empty(OPENAI), &settings);
        assert_eq!(
            text,
            "env_key: not in the table\n\
             experimental_bearer_token: not in the table\n\
             CODEX_API_KEY: not set\n\
             CODEX_ACCESS_TOKEN: not set\n\
             CODEX_AGENT_IDENTITY: not set\n\
             *auth.json: ChatGPT login of ada@example.org, account acct-1, plan pro\n\
             OPENAI_API_KEY: API key, not looked at\n\
             Authorization: Bearer … (the access token)\n\
             ChatGPT-Account-ID: acct-1"
        );
    }

    #[test]
    fn a_table_that_asks_for_no_login_gets_none() {
        let fake = Fake::with_store(&fake::chatgpt("a", "r", "acct-1"));
        let settings = Settings::default();
        let text = explained(&fake, ProviderTable::empty("corp"), &settings);
        assert!(
            text.ends_with("no credential: this table asks for none"),
            "{text}"
        );
        let mut asks = ProviderTable::empty("corp");
        asks.requires_openai_auth = true;
        let text = explained(&fake, asks, &settings);
        assert!(
            text.contains("the login of an account is not sent to `https://llm.example`"),
            "{text}"
        );
        assert!(!text.contains("Bearer"), "{text}");
    }

    #[test]
    fn nothing_at_all_is_a_problem() {
        let text = explained(
            &Fake::default(),
            ProviderTable::empty(OPENAI),
            &Settings::default(),
        );
        assert!(text.ends_with("provider `openai` needs a login and there is none: run `dovetail login`, or set OPENAI_API_KEY"));
        let mut wants = ProviderTable::empty("corp");
        wants.env_key = Some("K".to_owned());
        let text = explained(&Fake::default(), wants, &Settings::default());
        assert!(
            text.ends_with("the table wants the variable K, which is not set"),
            "{text}"
        );
    }
}
