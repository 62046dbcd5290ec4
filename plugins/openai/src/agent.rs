//! An agent's identity: requests are signed with a key of the agent's own instead of carrying somebody's token.
//!
//! There are two ways to one: as a login of its own, a record or a JWT; and, where the user wants it, beside the login of
//! an account, in whose name an agent is registered once and kept. Either way it signs for one task, which everybody in
//! the process shares.

mod jwt;
mod key;
mod record;
mod service;

use dovetail_plugin_api::{Error, Header, log};
use serde_json::{Value, json};

use crate::claims::{self, Claims};
use crate::document::Tokens;
use crate::login::stored;
use crate::outside::{Outside, STORE};
use crate::settings::Settings;
use jwt::Unverified;
use key::AgentKey;
use record::Record;
use service::Service;

/// Why other providers get no assertion.
pub(crate) const NOT_FIRST_PARTY: &str =
    "an agent identity is used only for requests of the provider `openai` itself";
/// The lock that everybody who registers an agent takes.
const LOCK: &str = "agent";
/// A service that was not there is not asked again for so long, where there is another way.
const COOL_DOWN_MS: u64 = 60 * 60 * 1000;

/// The agent of this process.
#[derive(Debug, Default)]
pub(crate) struct Agent {
    ready: Option<Ready>,
    /// Whether an account goes on with its token for the rest of the session, and since when.
    fallen_back: Option<u64>,
}

/// An agent that can sign.
#[derive(Debug)]
struct Ready {
    /// What it was made from: another login is another agent.
    made_from: Value,
    key: AgentKey,
    record: Record,
    task_id: String,
}

/// Whose an account's agent is.
struct Binding<'a> {
    account: &'a str,
    claims: Claims,
    access_token: &'a str,
}

/// What an account's requests are to carry.
pub(crate) enum Signer {
    /// An assertion.
    Agent,
    /// The account's token, as the policy allows.
    Token,
}

impl Agent {
    /// Makes the agent of a login of its own ready: checks it, and registers its task once. The task is kept nowhere.
    pub(crate) fn prepare(
        &mut self,
        outside: &dyn Outside,
        settings: &Settings,
        identity: &Value,
    ) -> Result<(), Error> {
        if self
            .ready
            .as_ref()
            .is_some_and(|ready| ready.made_from == *identity)
        {
            return Ok(());
        }
        let service = Service::of(outside, settings)?;
        let record = match identity {
            Value::String(jwt) => verified(outside, &service, jwt)?,
            record => Record::read(record)?,
        };
        if let Some(why) = crate::login::violation(
            settings,
            crate::mode::Mode::AgentIdentity,
            Some(&record.account_id),
        ) {
            return Err(Error::Unavailable(format!(
                "{why}, and the agent identity is not of one"
            )));
        }
        let key = AgentKey::parse(&record.agent_private_key)?;
        let task_id = match record.task() {
            Some(task) => task.to_owned(),
            None => service.register_task(&record.agent_runtime_id, &key)?,
        };
        self.ready = Some(Ready {
            made_from: identity.clone(),
            key,
            record,
            task_id,
        });
        Ok(())
    }

    /// Makes the agent of an account ready: the stored one, or a new one that is stored. In `compat`, a service that is
    /// not there leaves the account with its token for the rest of the session; in `strict`, that is an error.
    pub(crate) fn prepare_for_account(
        &mut self,
        outside: &dyn Outside,
        settings: &Settings,
        tokens: &Tokens,
        session_source: &str,
        is_compat: bool,
    ) -> Result<Signer, Error> {
        let now = outside.now_ms();
        let cooling = self
            .fallen_back
            .is_some_and(|since| now.saturating_sub(since) < COOL_DOWN_MS);
        if is_compat && cooling {
            return Ok(Signer::Token);
        }
        match self.bootstrap(outside, settings, tokens, session_source) {
            Ok(()) => Ok(Signer::Agent),
            Err(Error::Retryable { reason, .. }) if is_compat => {
                log::warn(format!(
                    "{reason}; the account's token is used for the rest of this session"
                ));
                self.fallen_back = Some(now);
                Ok(Signer::Token)
            }
            // Trying again at once is what was done already.
            Err(Error::Retryable { reason, .. }) => Err(Error::Unavailable(reason)),
            Err(error) => Err(error),
        }
    }

    fn bootstrap(
        &mut self,
        outside: &dyn Outside,
        settings: &Settings,
        tokens: &Tokens,
        session_source: &str,
    ) -> Result<(), Error> {
        let claims = Claims::of(&tokens.id_token);
        let account = match settings.forced_workspaces.as_slice() {
            [one] => Some(one.clone()),
            _ => tokens
                .account_id
                .clone()
                .or_else(|| claims.account_id.clone()),
        };
        let account = account.ok_or_else(|| {
            Error::unavailable("the login names no account to register an agent for")
        })?;
        let binding = Binding {
            account: &account,
            claims,
            access_token: &tokens.access_token,
        };
        let made_from = json!({ "account": account, "user": binding.claims.user_id });
        if self
            .ready
            .as_ref()
            .is_some_and(|ready| ready.made_from == made_from)
        {
            return Ok(());
        }
        let _lock = outside.lock(LOCK)?;
        let service = Service::of(outside, settings)?;
        let (record, key) = match stored_for(outside, settings, &binding)? {
            Some(found) => found,
            None => registered(&service, outside, settings, &binding, session_source)?,
        };
        let task_id = match record.task() {
            Some(task) => task.to_owned(),
            None => {
                let task = service.register_task(&record.agent_runtime_id, &key)?;
                let kept = Record {
                    task_id: Some(task.clone()),
                    ..record.clone()
                };
                keep(outside, settings, &binding, &kept)?;
                task
            }
        };
        self.ready = Some(Ready {
            made_from,
            key,
            record,
            task_id,
        });
        Ok(())
    }

    /// The headers that tell whose the agent is.
    pub(crate) fn identity(&self) -> Vec<Header> {
        let ready = self.ready.as_ref();
        ready.map_or_else(Vec::new, |ready| {
            let account =
                Some(ready.record.account_id.as_str()).filter(|account| !account.is_empty());
            crate::session::identity_headers(account, ready.record.chatgpt_account_is_fedramp)
        })
    }

    /// The account that it signs for.
    pub(crate) fn account(&self) -> Option<&str> {
        self.ready
            .as_ref()
            .map(|ready| ready.record.account_id.as_str())
    }

    /// Signs for this moment. Asks nobody.
    pub(crate) fn assertion(&self, now_ms: u64) -> Result<Header, Error> {
        let lost = || Error::retryable("the agent's task was lost with the plugin's instance");
        let ready = self.ready.as_ref().ok_or_else(lost)?;
        let time = key::timestamp(now_ms);
        let assertion =
            ready
                .key
                .assertion(&ready.record.agent_runtime_id, &ready.task_id, &time)?;
        Ok(Header::parts("Authorization", [assertion.into()]).sensitive())
    }
}

/// Checks an identity that somebody wants to keep.
pub(crate) fn check(
    outside: &dyn Outside,
    settings: &Settings,
    jwt: &str,
) -> Result<Record, Error> {
    let service = Service::of(outside, settings)?;
    let record = verified(outside, &service, jwt)?;
    AgentKey::parse(&record.agent_private_key)?;
    Ok(record)
}

/// The record in a JWT. Nobody is asked for keys because of something that is no JWT.
fn verified(outside: &dyn Outside, service: &Service<'_>, jwt: &str) -> Result<Record, Error> {
    let unverified = Unverified::parse(jwt)?;
    unverified.verify(&service.keys()?, outside.now_ms() / 1000)
}

/// The agent that is stored for an account, if it can be used.
fn stored_for(
    outside: &dyn Outside,
    settings: &Settings,
    binding: &Binding<'_>,
) -> Result<Option<(Record, AgentKey)>, Error> {
    let Some(stored) = stored(outside, settings)? else {
        return Ok(None);
    };
    let record = stored.document.agent_identity().map(Record::read);
    let Some(Ok(record)) = record else {
        return Ok(None);
    };
    let is_theirs = record.account_id == binding.account
        && record.chatgpt_user_id == binding.claims.user_id.as_deref().unwrap_or_default();
    if !is_theirs {
        return Ok(None);
    }
    // A key that cannot be read is replaced by a new agent.
    Ok(AgentKey::parse(&record.agent_private_key)
        .ok()
        .map(|key| (record, key)))
}

/// Registers an agent for an account, and keeps it even if its task cannot be registered.
fn registered(
    service: &Service<'_>,
    outside: &dyn Outside,
    settings: &Settings,
    binding: &Binding<'_>,
    session_source: &str,
) -> Result<(Record, AgentKey), Error> {
    let key = AgentKey::generate(outside)?;
    let claims = &binding.claims;
    let runtime_id = service.register_agent(
        settings,
        &key,
        session_source,
        binding.access_token,
        claims.is_fedramp,
    )?;
    let record = Record {
        agent_runtime_id: runtime_id,
        agent_private_key: key.to_text()?,
        account_id: binding.account.to_owned(),
        chatgpt_user_id: claims.user_id.clone().unwrap_or_default(),
        email: claims.email.clone(),
        plan_type: claims.plan.clone().unwrap_or_else(|| "unknown".to_owned()),
        chatgpt_account_is_fedramp: claims.is_fedramp,
        task_id: None,
    };
    keep(outside, settings, binding, &record)?;
    Ok((record, key))
}

/// Stores an agent beside the login of its account.
fn keep(
    outside: &dyn Outside,
    settings: &Settings,
    binding: &Binding<'_>,
    record: &Record,
) -> Result<(), Error> {
    const MOST_CONFLICTS: usize = 5;
    let changed = || {
        Error::unavailable("the account changed during the registration of its agent: start again")
    };
    let mut outcome = Ok(());
    for _ in 0..MOST_CONFLICTS {
        let stored = stored(outside, settings)?.ok_or_else(changed)?;
        let tokens = stored.document.tokens().ok_or_else(changed)?;
        if tokens.account_id.is_some_and(|account| {
            account != binding.account && settings.forced_workspaces.len() != 1
        }) {
            return Err(changed());
        }
        let document = stored
            .document
            .with_agent_identity(serde_json::to_value(record)?);
        outcome = outside
            .update(STORE, stored.generation, &document.to_bytes())
            .map(drop);
        if !matches!(outcome, Err(Error::Retryable { .. })) {
            break;
        }
    }
    outcome
}

/// What an identity says of its owner: a record, or the claims of a JWT. Nothing is verified here.
pub(crate) fn claims(identity: &Value) -> Claims {
    let record = match identity {
        Value::String(jwt) => claims::payload(jwt).unwrap_or_default(),
        record => record.clone(),
    };
    let text = |key: &str| record[key].as_str().map(str::to_owned);
    Claims {
        email: text("email"),
        plan: text("plan_type"),
        user_id: text("chatgpt_user_id"),
        account_id: text("account_id"),
        is_fedramp: record["chatgpt_account_is_fedramp"]
            .as_bool()
            .unwrap_or(false),
        expires_at: record["exp"].as_u64(),
        issued_at: record["iat"].as_u64(),
    }
}
