//! The login of this process: what it is, which headers it gives, and what can be done where it is refused.

use dovetail_plugin_api::provider::{Prepared, Purpose, Recovery, RequestHead, Scope};
use dovetail_plugin_api::{Error, Header, Secret, log};

use crate::agent::{self, Agent, Signer};
use crate::attestation;
use crate::authority::{Authority, Person, Refusal};
use crate::claims::Claims;
use crate::document::Tokens;
use crate::login::{self, Found, Login, Source};
use crate::mode::Mode;
use crate::outside::Outside;
use crate::refresh::{self, Reason, Refresher};
use crate::settings::Settings;

/// The policy under which an account falls back to its token.
const COMPAT: &str = "compat";

/// What is remembered between requests.
#[derive(Debug, Default)]
pub(crate) struct Session {
    refresher: Refresher,
    /// The account that the first request was made for. All others must be for it too.
    account: Option<Option<String>>,
    /// The tokens that requests carry, by what they are for: some may have newer ones than others.
    given: Vec<(Purpose, Tokens)>,
    /// What refused tokens were for that were replaced by those of the store, without asking the authority.
    only_reloaded: Option<Purpose>,
    /// Tokens that the application gave.
    external: Option<Tokens>,
    /// Whom the personal access token in use belongs to.
    person: Option<(String, Person)>,
    /// The agent that signs, where one does.
    agent: Agent,
    /// The requests that it signs, by provider and purpose.
    signed: Vec<(String, Purpose)>,
    /// The requests that carry the token of an account, for which the connected application may vouch.
    attested: Vec<(String, Purpose)>,
}

/// The provider and the request that a credential is for.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) is_first_party: bool,
}

impl Session {
    /// The headers of a login.
    pub(crate) fn prepare(
        &mut self,
        outside: &dyn Outside,
        settings: &Settings,
        found: Found,
        asker: Asker<'_>,
    ) -> Result<Prepared, Error> {
        self.sign(asker.scope, false);
        let of_account = found.login.mode().is_chatgpt_auth() && is_model_request(asker.scope);
        note(&mut self.attested, asker.scope, of_account);
        match found.login {
            Login::KeySlot(slot) => Ok(Prepared::header(Header::bearer(Secret::slot(slot)))),
            Login::Key(key) => Ok(Prepared::header(Header::bearer(key))),
            Login::Tokens {
                mode,
                tokens,
                last_refresh,
            } => {
                self.bind(tokens.account_id.as_deref())?;
                let tokens = match mode {
                    Mode::Chatgpt => {
                        let tokens = self.refresher.newer(tokens);
                        self.fresh(outside, settings, tokens, last_refresh.as_deref())
                    }
                    _ => self.external.clone().unwrap_or(tokens),
                };
                let signs = mode == Mode::Chatgpt
                    && settings.agent_identity
                    && asker.is_first_party
                    && is_model_request(asker.scope);
                if signs && self.agent_signs(outside, settings, &tokens, asker.scope)? {
                    self.give(asker.scope.purpose, tokens);
                    return Ok(self.signed(asker.scope, outside.now_ms()));
                }
                let good_until = self
                    .refresher
                    .good_until_ms(&tokens)
                    .filter(|_| mode == Mode::Chatgpt);
                let prepared = account_headers(
                    &tokens.access_token,
                    tokens.account_id.as_deref(),
                    Claims::of(&tokens.id_token).is_fedramp,
                );
                self.give(asker.scope.purpose, tokens);
                Ok(Prepared {
                    expires_at_unix_ms: good_until,
                    ..prepared
                })
            }
            Login::Personal(token) => {
                let person = self.person(outside, settings, &token)?;
                let account = person.chatgpt_account_id;
                self.bind(account.as_deref())?;
                Ok(account_headers(
                    &token,
                    account.as_deref(),
                    person.chatgpt_account_is_fedramp,
                ))
            }
            Login::Agent(identity) => {
                if !asker.is_first_party {
                    return Err(Error::denied(agent::NOT_FIRST_PARTY));
                }
                self.agent.prepare(outside, settings, &identity)?;
                let account = self.agent.account().map(str::to_owned);
                self.bind(account.as_deref())?;
                Ok(self.signed(asker.scope, outside.now_ms()))
            }
            Login::Bedrock(mode) => Err(Error::Unavailable(format!(
                "the stored login is of the kind `{}`, which opens only Amazon Bedrock: choose that provider, or sign in with `dovetail login`",
                mode.name()
            ))),
        }
    }

    /// Signs a request, where an agent does that. A request of a login that has no credential at all is an error: the
    /// instance that prepared it may have been another one.
    pub(crate) fn authorize(
        &self,
        outside: &dyn Outside,
        scope: &Scope,
        head: &RequestHead,
    ) -> Result<Vec<Header>, Error> {
        let request = (scope.provider_id.clone(), scope.purpose);
        if self.signed.contains(&request) {
            return Ok(vec![self.agent.assertion(outside.now_ms())?]);
        }
        let has_credential = head
            .headers
            .iter()
            .any(|header| header.name.eq_ignore_ascii_case("authorization"));
        match has_credential {
            true if self.attested.contains(&request) => {
                let attestation = attestation::header(outside, &scope.provider_id);
                Ok(attestation.into_iter().collect())
            }
            true => Ok(Vec::new()),
            false => Err(Error::retryable(
                "the credential was lost with the plugin's instance",
            )),
        }
    }

    /// What a request carries that is signed later. The host asks again each time: an assertion needs the agent that was
    /// made ready in the instance that signs.
    fn signed(&mut self, scope: &Scope, now_ms: u64) -> Prepared {
        self.sign(scope, true);
        Prepared {
            headers: self.agent.identity(),
            expires_at_unix_ms: Some(now_ms),
        }
    }

    fn sign(&mut self, scope: &Scope, signs: bool) {
        note(&mut self.signed, scope, signs);
    }

    /// Whether an account's agent signs, rather than its token being sent.
    fn agent_signs(
        &mut self,
        outside: &dyn Outside,
        settings: &Settings,
        tokens: &Tokens,
        scope: &Scope,
    ) -> Result<bool, Error> {
        let is_compat = scope.policy == COMPAT;
        let source = &scope.session_source;
        let signer = self
            .agent
            .prepare_for_account(outside, settings, tokens, source, is_compat)?;
        Ok(matches!(signer, Signer::Agent))
    }

    fn give(&mut self, purpose: Purpose, tokens: Tokens) {
        self.given.retain(|(known, _)| *known != purpose);
        self.given.push((purpose, tokens));
    }

    fn given(&self, purpose: Purpose) -> Option<Tokens> {
        let found = self.given.iter().find(|(known, _)| *known == purpose);
        found.map(|(_, tokens)| tokens.clone())
    }

    /// Gets a better credential after one was refused: what somebody else has stored meanwhile, or else the authority's.
    pub(crate) fn recover(
        &mut self,
        outside: &dyn Outside,
        settings: &Settings,
        scope: &Scope,
    ) -> Result<Recovery, Error> {
        // Only requests to a model have a second step.
        let is_model_request = is_model_request(scope);
        if is_model_request {
            self.only_reloaded = None;
        }
        let found = login::find(outside, settings)?;
        let Some(Found {
            login,
            source: Source::Store,
            stored: Some(stored),
        }) = &found
        else {
            return Ok(Recovery::Unchanged);
        };
        let Some(held) = self.given(scope.purpose) else {
            return Ok(Recovery::Unchanged);
        };
        if refresh::managed(login).is_none() {
            return self.recover_external(outside, login, held.account_id.as_deref());
        }
        let current = match refresh::same_account(stored, &held) {
            Ok(current) => self.refresher.newer(current),
            Err(refusal) => return Ok(outcome(refusal)),
        };
        if current.access_token != held.access_token {
            if is_model_request {
                self.only_reloaded = Some(scope.purpose);
            }
            return Ok(Recovery::Changed);
        }
        Ok(self.renewed(outside, settings, &held))
    }

    /// The second step, where the tokens of the first were refused too: asks the authority, if the first did not.
    pub(crate) fn renew(&mut self, outside: &dyn Outside, settings: &Settings) -> Recovery {
        let reloaded = self.only_reloaded.take();
        match reloaded.and_then(|purpose| self.given(purpose)) {
            Some(held) => self.renewed(outside, settings, &held),
            None => Recovery::Unchanged,
        }
    }

    fn renewed(&mut self, outside: &dyn Outside, settings: &Settings, held: &Tokens) -> Recovery {
        match self
            .refresher
            .refresh(outside, settings, held, Reason::Unauthorized)
        {
            Ok(_) => Recovery::Changed,
            Err(refusal) => outcome(refusal),
        }
    }

    /// Tokens that belong to the application are the application's to refresh.
    fn recover_external(
        &mut self,
        outside: &dyn Outside,
        login: &Login,
        account: Option<&str>,
    ) -> Result<Recovery, Error> {
        let Login::Tokens {
            mode: Mode::ChatgptAuthTokens,
            tokens,
            ..
        } = login
        else {
            return Ok(Recovery::Unchanged);
        };
        let (access_token, new_account) = match outside.external_token(account) {
            Ok(answer) => answer,
            Err(error) => {
                return Ok(Recovery::Transient(format!(
                    "the application gave no other token: {error}"
                )));
            }
        };
        if new_account.is_some() && new_account.as_deref() != account {
            return Ok(Recovery::Permanent(
                "the application gave a token of another account: start a new session to use it"
                    .to_owned(),
            ));
        }
        self.external = Some(Tokens {
            access_token,
            ..tokens.clone()
        });
        Ok(Recovery::Changed)
    }

    /// The tokens, refreshed where they end soon. Where that fails they are used as they are: the server decides.
    fn fresh(
        &mut self,
        outside: &dyn Outside,
        settings: &Settings,
        tokens: Tokens,
        last_refresh: Option<&str>,
    ) -> Tokens {
        if !self
            .refresher
            .is_due(&tokens, last_refresh, outside.now_ms())
        {
            return tokens;
        }
        match self
            .refresher
            .refresh(outside, settings, &tokens, Reason::Proactive)
        {
            Ok(new) => new,
            Err(Refusal::Permanent(why) | Refusal::Transient(why)) => {
                log::warn(why);
                tokens
            }
        }
    }

    fn person(
        &mut self,
        outside: &dyn Outside,
        settings: &Settings,
        token: &str,
    ) -> Result<Person, Error> {
        if let Some((_, person)) = self.person.as_ref().filter(|(known, _)| known == token) {
            return Ok(person.clone());
        }
        let person = Authority::new(outside, settings).whoami(token)?;
        let account = person.chatgpt_account_id.as_deref();
        if let Some(why) = login::violation(settings, Mode::PersonalAccessToken, account) {
            return Err(Error::Unavailable(format!(
                "{why}, and the personal access token is not of one"
            )));
        }
        self.person = Some((token.to_owned(), person.clone()));
        Ok(person)
    }

    /// Makes sure that a session stays with one account.
    fn bind(&mut self, account: Option<&str>) -> Result<(), Error> {
        let bound = self
            .account
            .get_or_insert_with(|| account.map(str::to_owned));
        if bound.as_deref() == account {
            return Ok(());
        }
        Err(Error::unavailable(
            "somebody has signed in to another account since this session began: start a new one to use it",
        ))
    }
}

/// Remembers of a request whether it belongs to these.
fn note(these: &mut Vec<(String, Purpose)>, scope: &Scope, belongs: bool) {
    let request = (scope.provider_id.clone(), scope.purpose);
    these.retain(|known| *known != request);
    if belongs {
        these.push(request);
    }
}

fn outcome(refusal: Refusal) -> Recovery {
    match refusal {
        Refusal::Permanent(why) => Recovery::Permanent(why),
        Refusal::Transient(why) => Recovery::Transient(why),
    }
}

/// What requests of an account carry.
pub(crate) fn account_headers(token: &str, account: Option<&str>, is_fedramp: bool) -> Prepared {
    let mut headers = vec![Header::bearer(token)];
    headers.extend(identity_headers(account, is_fedramp));
    Prepared {
        headers,
        expires_at_unix_ms: None,
    }
}

/// The same without the token.
pub(crate) fn identity_headers(account: Option<&str>, is_fedramp: bool) -> Vec<Header> {
    let account = account.map(|account| Header::plain("ChatGPT-Account-ID", account));
    let fedramp = is_fedramp.then(|| Header::plain("X-OpenAI-Fedramp", "true"));
    account.into_iter().chain(fedramp).collect()
}

/// Whether a request is one to a model.
pub(crate) fn is_model_request(scope: &Scope) -> bool {
    match scope.purpose {
        Purpose::Turn | Purpose::Compact => true,
        Purpose::Models | Purpose::ControlPlane => false,
    }
}
