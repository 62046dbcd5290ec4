//! The provider for the OpenAI API, and for everything else that speaks Responses with a static credential.
//!
//! It knows where requests go, which login they carry, and how logins are got, kept fresh and taken back. Keys of the
//! environment it only names. Tokens that a command prints are `command-auth`'s business.

mod agent;
mod attestation;
mod authority;
mod claims;
mod credential;
mod document;
mod endpoint;
mod explain;
#[cfg(test)]
mod fake;
mod form;
mod login;
mod mode;
mod outside;
mod refresh;
mod served;
mod session;
mod settings;
mod signin;

use std::collections::BTreeMap;

use dovetail_plugin_api::account::{Beginning, Explanation, Login, Question, Way};
use dovetail_plugin_api::provider::{
    Description, Endpoint, Failure, Prepared, Recovery, RequestHead, Scope,
};
use dovetail_plugin_api::{
    Account, Error, Header, Provider, ProviderTable, config, export_account, export_provider,
    secrets,
};
use serde_json::{Map, Value};

use credential::Asked;
use endpoint::Behind;
use outside::Host;
use served::Served;
use session::{Asker, Session};
use settings::Settings;
use signin::SignIn;

/// The provider id with OpenAI's own defaults.
const OPENAI: &str = "openai";

/// The providers that were configured, by id, and the login that they share.
#[derive(Debug, Default)]
struct OpenAi {
    settings: Settings,
    served: BTreeMap<String, Served>,
    session: Session,
    /// Why the login was signed out in this process: of several requests at once, only the first finds out.
    signed_out: Option<Error>,
}

impl Provider for OpenAi {
    fn describe(&self) -> Description {
        Description {
            // No ids: it serves `openai` and every other id that no plugin claims.
            name: "OpenAI and compatible".to_owned(),
            default_endpoint: Some(endpoint::DEFAULT_BASE_URL.to_owned()),
            // `configure` says more for OpenAI itself.
            capabilities: endpoint::USUAL_CAPABILITIES,
            ..Description::default()
        }
    }

    fn configure(
        &mut self,
        provider_id: &str,
        table: &Map<String, Value>,
    ) -> Result<Endpoint, Error> {
        self.settings = config::load()?;
        let mut table = ProviderTable::parse(provider_id, table)?;
        if provider_id == OPENAI {
            table.name.get_or_insert_with(|| "OpenAI".to_owned());
        }
        let backend = self.uses_backend(&table);
        let behind = Behind {
            backend: backend.unwrap_or(false),
            compression: self.settings.request_compression,
        };
        let endpoint = endpoint::resolve(&table, behind, secrets::exists)?;
        let served = Served {
            default_for_accounts: table.base_url.is_none().then_some(behind.backend),
            base_url: endpoint.base_url.clone(),
            table,
        };
        self.served.insert(provider_id.to_owned(), served);
        Ok(endpoint)
    }

    fn prepare(&mut self, scope: &Scope) -> Result<Prepared, Error> {
        let served = served(&self.served, &scope.provider_id)?;
        if let Asked::Own(prepared) = credential::choose(&served.table, secrets::exists)? {
            return Ok(prepared);
        }
        let found = match login::find(&Host, &self.settings) {
            Ok(Some(found)) => found,
            Ok(None) => {
                let why = self.signed_out.clone();
                return Err(why.unwrap_or_else(|| credential::nobody_signed_in(&served.table)));
            }
            Err(error) => {
                let is_gone = matches!(login::stored(&Host, &self.settings), Ok(None));
                self.signed_out = is_gone.then(|| error.clone());
                return Err(error);
            }
        };
        self.signed_out = None;
        let uses_backend = found.login.mode().uses_codex_backend();
        served.check_address(uses_backend)?;
        if uses_backend {
            served.check_origin(&self.settings)?;
        }
        let asker = Asker {
            scope,
            is_first_party: served.is_first_party(),
        };
        self.session.prepare(&Host, &self.settings, found, asker)
    }

    fn authorize(
        &mut self,
        scope: &Scope,
        head: &RequestHead,
        _body_sha256: &[u8; 32],
    ) -> Result<Vec<Header>, Error> {
        let served = served(&self.served, &scope.provider_id)?;
        match credential::choose(&served.table, secrets::exists)? {
            Asked::Own(_) => Ok(Vec::new()),
            Asked::Login => self.session.authorize(&Host, scope, head),
        }
    }

    fn recover(&mut self, scope: &Scope, _failure: &Failure) -> Result<Recovery, Error> {
        let served = served(&self.served, &scope.provider_id)?;
        match credential::choose(&served.table, secrets::exists)? {
            Asked::Own(_) => Ok(Recovery::Unchanged),
            Asked::Login => self.session.recover(&Host, &self.settings, scope),
        }
    }
}

impl Account for OpenAi {
    fn begin(&mut self, _provider_id: &str, way: Way) -> Result<Beginning, Error> {
        self.sign_in()?.begin(way)
    }

    fn poll(&mut self, _provider_id: &str, state: &str) -> Result<Option<String>, Error> {
        self.sign_in()?.poll(state)
    }

    fn finish(&mut self, _provider_id: &str, state: &str, query: &str) -> Result<String, Error> {
        self.sign_in()?.finish(state, query)
    }

    fn status(&mut self, _provider_id: &str) -> Result<Option<Login>, Error> {
        self.settings = config::load()?;
        explain::status(&Host, &self.settings)
    }

    fn logout(&mut self, _provider_id: &str) -> Result<Option<String>, Error> {
        self.sign_in()?.logout()
    }

    fn explain(&mut self, question: &Question) -> Result<Explanation, Error> {
        let served = served(&self.served, &question.provider_id)?;
        let is_model_request = matches!(question.purpose.as_str(), "turn" | "compact");
        explain::explain(&Host, &self.settings, served, is_model_request)
    }

    fn renew(&mut self, _provider_id: &str) -> Result<bool, Error> {
        match self.session.renew(&Host, &self.settings) {
            Recovery::Changed => Ok(true),
            Recovery::Unchanged => Ok(false),
            Recovery::Permanent(why) => Err(Error::Unavailable(why)),
            Recovery::Transient(why) => Err(Error::retryable(why)),
        }
    }
}

impl OpenAi {
    /// Signing in needs no provider that is configured, only what the host says of logins.
    fn sign_in(&mut self) -> Result<SignIn<'_>, Error> {
        self.settings = config::load()?;
        Ok(SignIn::new(&Host, &self.settings))
    }

    /// Whether a table's requests carry the login of an account; none where they carry no login. A login that cannot be
    /// read is for `prepare` to refuse, which people see where they expect it.
    fn uses_backend(&self, table: &ProviderTable) -> Option<bool> {
        let asked = credential::choose(table, secrets::exists).ok()?;
        if asked != Asked::Login {
            return None;
        }
        let sources = login::SOURCES.into_iter();
        let found = sources
            .map(|source| login::look(&Host, &self.settings, source))
            .find_map(Result::transpose)?;
        Some(found.ok()?.login.mode().uses_codex_backend())
    }
}

fn served<'a>(all: &'a BTreeMap<String, Served>, id: &str) -> Result<&'a Served, Error> {
    all.get(id)
        .ok_or_else(|| Error::Other(format!("provider `{id}` is not configured")))
}

export_provider!(OpenAi);
export_account!(OpenAi);
