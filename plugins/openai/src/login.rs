//! Which login holds: the first of its sources that has one, if the configuration allows it.

use std::fmt;

use dovetail_plugin_api::{Error, is_token};
use serde_json::Value;

use crate::document::{Document, Tokens};
use crate::mode::{Method, Mode};
use crate::outside::{Held, Outside, STORE};
use crate::settings::Settings;

/// A key that wins over every login.
pub(crate) const CODEX_API_KEY: &str = "env:CODEX_API_KEY";
/// A personal access token, or an agent's identity.
pub(crate) const CODEX_ACCESS_TOKEN: &str = "env:CODEX_ACCESS_TOKEN";
/// An agent's identity.
pub(crate) const CODEX_AGENT_IDENTITY: &str = "env:CODEX_AGENT_IDENTITY";
/// A key that is used where there is nothing else.
pub(crate) const OPENAI_API_KEY: &str = "env:OPENAI_API_KEY";

/// How personal access tokens begin.
const PERSONAL: &str = "at-";

/// Where a login came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    CodexApiKey,
    AccessToken,
    AgentVariable,
    Store,
    OpenaiApiKey,
}

/// A login.
#[derive(Clone, PartialEq)]
pub(crate) enum Login {
    /// A key that only the host sees.
    KeySlot(&'static str),
    /// A key of the store.
    Key(String),
    /// The tokens of an account, and when they were refreshed last.
    Tokens {
        mode: Mode,
        tokens: Tokens,
        last_refresh: Option<String>,
    },
    /// A personal access token.
    Personal(String),
    /// An agent's identity: a record, or the text of a JWT.
    Agent(Value),
    /// A credential of Amazon Bedrock.
    Bedrock(Mode),
}

/// A login and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) login: Login,
    pub(crate) source: Source,
    /// What the store held, for changes; none where the login is not from there.
    pub(crate) stored: Option<Stored>,
}

/// The store as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) document: Document,
    pub(crate) generation: u64,
}

/// The sources, in order.
pub(crate) const SOURCES: [Source; 5] = [
    Source::CodexApiKey,
    Source::AccessToken,
    Source::AgentVariable,
    Source::Store,
    Source::OpenaiApiKey,
];

/// The login that holds; none where nobody signed in.
pub(crate) fn find(outside: &dyn Outside, settings: &Settings) -> Result<Option<Found>, Error> {
    for source in SOURCES {
        if let Some(found) = look(outside, settings, source)? {
            check(outside, settings, &found)?;
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// What one source has.
pub(crate) fn look(
    outside: &dyn Outside,
    settings: &Settings,
    source: Source,
) -> Result<Option<Found>, Error> {
    let found = |login| Found {
        login,
        source,
        stored: None,
    };
    Ok(match source {
        Source::CodexApiKey => outside
            .exists(CODEX_API_KEY)?
            .then(|| found(Login::KeySlot(CODEX_API_KEY))),
        Source::OpenaiApiKey => outside
            .exists(OPENAI_API_KEY)?
            .then(|| found(Login::KeySlot(OPENAI_API_KEY))),
        Source::AccessToken => revealed(outside, CODEX_ACCESS_TOKEN)?.map(|token| {
            found(match is_personal(&token) {
                true => Login::Personal(token),
                false => Login::Agent(Value::String(token)),
            })
        }),
        Source::AgentVariable => revealed(outside, CODEX_AGENT_IDENTITY)?
            .map(|token| found(Login::Agent(Value::String(token)))),
        Source::Store => match stored(outside, settings)? {
            Some(stored) if !stored.document.is_empty() => Some(Found {
                login: of_document(&stored.document, settings)?,
                source,
                stored: Some(stored),
            }),
            Some(_) | None => None,
        },
    })
}

/// Whether an access token is a person's rather than an agent's.
pub(crate) fn is_personal(token: &str) -> bool {
    token.starts_with(PERSONAL)
}

/// What the store holds; none where it is empty.
pub(crate) fn stored(outside: &dyn Outside, settings: &Settings) -> Result<Option<Stored>, Error> {
    let Some(Held { bytes, generation }) = outside.reveal(STORE)? else {
        return Ok(None);
    };
    let document = Document::parse(&bytes, settings.place())?;
    Ok(Some(Stored {
        document,
        generation,
    }))
}

/// The value of a variable that holds a token.
fn revealed(outside: &dyn Outside, slot: &str) -> Result<Option<String>, Error> {
    let Some(held) = outside.reveal(slot)? else {
        return Ok(None);
    };
    let name = slot.trim_start_matches("env:");
    let text = String::from_utf8(held.bytes)
        .map_err(|_| Error::Invalid(format!("the variable {name} is not UTF-8")))?;
    match text.trim() {
        "" => Ok(None),
        text if is_token(text) => Ok(Some(text.to_owned())),
        _ => Err(Error::Invalid(format!(
            "the variable {name} holds characters that no token has"
        ))),
    }
}

fn of_document(document: &Document, settings: &Settings) -> Result<Login, Error> {
    let mode = document.mode()?;
    let incomplete = |what: &str| {
        Error::Unavailable(format!(
            "the login in `{}` is incomplete, it has no {what}: sign in again with `dovetail login`",
            settings.place()
        ))
    };
    let login = match mode {
        Mode::ApiKey => Login::Key(
            document
                .api_key()
                .ok_or_else(|| incomplete("key"))?
                .to_owned(),
        ),
        Mode::Chatgpt | Mode::ChatgptAuthTokens => Login::Tokens {
            mode,
            tokens: document.tokens().ok_or_else(|| incomplete("tokens"))?,
            last_refresh: document.last_refresh().map(str::to_owned),
        },
        Mode::PersonalAccessToken => {
            let token = document
                .personal_access_token()
                .ok_or_else(|| incomplete("personal access token"))?;
            Login::Personal(token.to_owned())
        }
        Mode::AgentIdentity => Login::Agent(
            document
                .agent_identity()
                .ok_or_else(|| incomplete("agent identity"))?
                .clone(),
        ),
        Mode::BedrockApiKey | Mode::BedrockAccessKeys => Login::Bedrock(mode),
        // `Document::mode` has refused it already.
        Mode::Headers => return Err(incomplete("stored form")),
    };
    match login.token() {
        Some(token) if !is_token(token) => Err(Error::Invalid(format!(
            "the login in `{}` holds characters that no token has: sign in again with `dovetail login`",
            settings.place()
        ))),
        _ => Ok(login),
    }
}

/// Refuses a login that the configuration does not allow, and signs it out where it is stored.
fn check(outside: &dyn Outside, settings: &Settings, found: &Found) -> Result<(), Error> {
    let account = match &found.login {
        // One that names no account is of none of the workspaces.
        Login::Tokens { tokens, .. } => Some(tokens.account_id.as_deref().unwrap_or_default()),
        other => other.account(),
    };
    let Some(why) = violation(settings, found.login.mode(), account) else {
        return Ok(());
    };
    let Some(stored) = &found.stored else {
        return Err(Error::Unavailable(format!(
            "{why}, but {} is set",
            found.source.name()
        )));
    };
    // Where it cannot be removed it is still not used.
    let removed = outside.update(STORE, stored.generation, b"");
    let outcome = match removed {
        Ok(_) => "it was signed out".to_owned(),
        Err(error) => format!("it could not be signed out ({error})"),
    };
    Err(Error::Unavailable(format!(
        "{why}, and the stored one is not: {outcome}; sign in with `dovetail login`"
    )))
}

/// Why a login is not allowed, up to the comma. No account stands for one that is not known yet.
pub(crate) fn violation(settings: &Settings, mode: Mode, account: Option<&str>) -> Option<String> {
    let method = mode.method();
    match settings.forced_login_method {
        Some(forced) if forced != method => {
            let wanted = match forced {
                Method::Api => "an API key",
                Method::Chatgpt => "ChatGPT",
            };
            return Some(format!(
                "`forced_login_method` allows only logins with {wanted}"
            ));
        }
        Some(_) | None => {}
    }
    let forced = &settings.forced_workspaces;
    let known = account.filter(|_| method == Method::Chatgpt);
    match known {
        Some(account) if !forced.is_empty() && !forced.iter().any(|id| id == account) => {
            Some("`forced_chatgpt_workspace_id` allows only logins of its workspaces".to_owned())
        }
        Some(_) | None => None,
    }
}

impl Login {
    pub(crate) fn mode(&self) -> Mode {
        match self {
            Self::KeySlot(_) | Self::Key(_) => Mode::ApiKey,
            Self::Tokens { mode, .. } | Self::Bedrock(mode) => *mode,
            Self::Personal(_) => Mode::PersonalAccessToken,
            Self::Agent(_) => Mode::AgentIdentity,
        }
    }

    /// The account, as far as it is known without asking anybody.
    pub(crate) fn account(&self) -> Option<&str> {
        match self {
            Self::Tokens { tokens, .. } => tokens.account_id.as_deref(),
            Self::Agent(record) => record["account_id"].as_str(),
            Self::KeySlot(_) | Self::Key(_) | Self::Personal(_) | Self::Bedrock(_) => None,
        }
    }

    /// What goes into a header as it is.
    fn token(&self) -> Option<&str> {
        match self {
            Self::Key(token) | Self::Personal(token) => Some(token),
            Self::Tokens { tokens, .. } => Some(&tokens.access_token),
            Self::KeySlot(_) | Self::Agent(_) | Self::Bedrock(_) => None,
        }
    }
}

impl Source {
    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CodexApiKey => "CODEX_API_KEY",
            Self::AccessToken => "CODEX_ACCESS_TOKEN",
            Self::AgentVariable => "CODEX_AGENT_IDENTITY",
            Self::Store => "the stored login",
            Self::OpenaiApiKey => "OPENAI_API_KEY",
        }
    }
}

/// Shows what kind it is, and nothing of it.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.mode().name())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fake::{self, Fake};

    fn found(fake: &Fake, settings: &Settings) -> Result<Option<(Source, Mode)>, Error> {
        Ok(find(fake, settings)?.map(|found| (found.source, found.login.mode())))
    }

    #[test]
    fn sources_are_looked_at_in_order() {
        let fake = Fake::with_store(&fake::chatgpt("a", "r", "acct-1"));
        let set = |slot: &str, value: &str| {
            fake.slots
                .borrow_mut()
                .insert(slot.to_owned(), value.as_bytes().to_vec())
        };
        let all = Settings::default();
        set(OPENAI_API_KEY, "sk-1");
        assert_eq!(found(&fake, &all), Ok(Some((Source::Store, Mode::Chatgpt))));
        set(CODEX_AGENT_IDENTITY, "a.b.c");
        assert_eq!(
            found(&fake, &all),
            Ok(Some((Source::AgentVariable, Mode::AgentIdentity)))
        );
        set(CODEX_ACCESS_TOKEN, " at-1\n");
        assert_eq!(
            found(&fake, &all),
            Ok(Some((Source::AccessToken, Mode::PersonalAccessToken)))
        );
        set(CODEX_ACCESS_TOKEN, "a.b.c");
        assert_eq!(
            found(&fake, &all),
            Ok(Some((Source::AccessToken, Mode::AgentIdentity)))
        );
        set(CODEX_API_KEY, "sk-2");
        assert_eq!(
            found(&fake, &all),
            Ok(Some((Source::CodexApiKey, Mode::ApiKey)))
        );
    }

    #[test]
    fn an_empty_store_is_no_login_and_a_damaged_one_is_an_error() {
        let fake = Fake::with_store(&json!({ "OPENAI_API_KEY": null }));
        let all = Settings::default();
        assert_eq!(found(&fake, &all), Ok(None));
        fake.slots
            .borrow_mut()
            .insert(OPENAI_API_KEY.to_owned(), b"sk".to_vec());
        assert_eq!(
            found(&fake, &all),
            Ok(Some((Source::OpenaiApiKey, Mode::ApiKey)))
        );
        fake.slots
            .borrow_mut()
            .insert(STORE.to_owned(), b"{".to_vec());
        assert!(
            found(&fake, &all)
                .expect_err("damaged")
                .to_string()
                .contains("is damaged")
        );
    }

    #[test]
    fn a_token_that_no_header_can_hold_is_refused() {
        let fake = Fake::with_store(&fake::chatgpt("a\r\nX-Evil: 1", "r", "acct-1"));
        let words = found(&fake, &Settings::default())
            .expect_err("refused")
            .to_string();
        assert_eq!(
            words,
            "the login in `auth.json` holds characters that no token has: sign in again with `dovetail login`"
        );
    }

    #[test]
    fn a_login_that_is_not_allowed_is_signed_out() {
        let api = Settings {
            forced_login_method: Some(Method::Api),
            ..Settings::default()
        };
        let fake = Fake::with_store(&fake::chatgpt("a", "r", "acct-1"));
        assert_eq!(
            found(&fake, &api).expect_err("refused").to_string(),
            "`forced_login_method` allows only logins with an API key, and the stored one is not: it was signed out; sign in with `dovetail login`"
        );
        assert_eq!(fake.stored(), None);
        let workspace = Settings {
            forced_workspaces: vec!["acct-2".to_owned()],
            ..Settings::default()
        };
        fake.store(&fake::chatgpt("a", "r", "acct-2"));
        assert_eq!(
            found(&fake, &workspace),
            Ok(Some((Source::Store, Mode::Chatgpt)))
        );
        fake.store(&fake::chatgpt("a", "r", "acct-1"));
        assert!(
            found(&fake, &workspace)
                .expect_err("refused")
                .to_string()
                .starts_with("`forced_chatgpt_workspace_id`")
        );
        assert_eq!(fake.stored(), None);
        let mut of_nobody = fake::chatgpt("a", "r", "");
        of_nobody["tokens"]["id_token"] = json!("opaque");
        fake.store(&of_nobody);
        assert!(found(&fake, &workspace).is_err(), "it names no workspace");
        let chatgpt = Settings {
            forced_login_method: Some(Method::Chatgpt),
            ..Settings::default()
        };
        fake.slots
            .borrow_mut()
            .insert(CODEX_API_KEY.to_owned(), b"sk".to_vec());
        assert_eq!(
            found(&fake, &chatgpt).expect_err("refused").to_string(),
            "`forced_login_method` allows only logins with ChatGPT, but CODEX_API_KEY is set"
        );
    }
}
