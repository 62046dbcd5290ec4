//! Whether a provider has a list of models to be asked for, where it is, and whose it is.
//!
//! Asked are services behind accounts, services whose token a command prints, and whatever `model_catalog_url` names. A
//! service that is asked with a key has no list in this form, and one that is asked without a credential is not asked for
//! anything but turns. Services that do not speak Responses have lists of another form.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dovetail_config::Config;
use dovetail_core::plugin::{Account, Endpoint, Provider, Purpose, Scope};
use dovetail_core::secret::Egress;
use dovetail_models::{KeptList, Whose, identity, listed};
use dovetail_responses::{Credentials, Listing, ListingOptions, list_models};
use dovetail_runtime::lock;
use dovetail_runtime::plugin::Plugin;
use serde_json::{Map, Value};
use url::Url;

use super::owner;
use crate::identity::{self as client, COMPATIBLE_VERSION};
use crate::model_port::Whom;
use crate::provider_choice::wants_login;

/// The longest wait for a list; the same as for existing clients.
const PATIENCE: Duration = Duration::from_secs(5);
/// The feature that lets `model_catalog_url` be asked.
pub(crate) const DISCOVERY: &str = "api_key_model_discovery";

/// Who serves the chosen provider.
#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) endpoint: Endpoint,
    /// The login that its plugin has.
    pub(crate) account: Option<Arc<dyn Account>>,
    pub(crate) egress: Arc<dyn Egress>,
    /// Whether the plugin came with the host.
    pub(crate) is_builtin: bool,
    /// Whether requests are translated for it.
    pub(crate) is_translated: bool,
    /// Shared with those who ask its models.
    pub(crate) credentials: Credentials,
    /// On whose behalf.
    pub(crate) scope: Scope,
}

impl Serving {
    /// The scope of questions for lists, of a session of this kind.
    pub(crate) fn scope(config: &Config, session_source: &str) -> Scope {
        Scope {
            provider_id: config.model_provider.clone(),
            purpose: Purpose::Models,
            session_source: session_source.to_owned(),
            policy: config.dovetail.auth_policy.clone(),
        }
    }

    /// Who answers for requests, with the plugin that has the credential.
    pub(crate) fn of(whom: &Whom<'_>, plugin: &Plugin, scope: Scope) -> Self {
        Self {
            provider: Arc::clone(whom.provider),
            endpoint: whom.endpoint.clone(),
            account: plugin.account().map(Arc::clone),
            egress: Arc::clone(whom.services.egress()) as Arc<dyn Egress>,
            is_builtin: plugin.scope() == &lock::Scope::Builtin,
            is_translated: whom.wire.is_some(),
            credentials: whom.credentials.clone(),
            scope,
        }
    }
}

/// A list that can be asked for.
pub(crate) struct Source {
    serving: Serving,
    /// Where it is, unless it is below the base URL.
    url: Option<String>,
    whose: Whose,
    /// Whether it is the list of an account, with which models can be used that keys cannot.
    is_of_account: bool,
}

/// What a server said of its list.
pub(crate) enum Told {
    /// It is still the known one.
    Unchanged,
    /// This is the list; the sentences name what was left out of it.
    List(KeptList, Vec<String>),
}

impl Source {
    /// Finds out; none where there is no list to ask for.
    ///
    /// # Errors
    /// There is one, and it cannot be told whose it is, or a login may not go there.
    pub(crate) async fn find(config: &Config, serving: Serving) -> Result<Option<Self>, String> {
        // A catalogue of one's own is the last word, and needs no network.
        if config.model_catalog.is_some() {
            return Ok(None);
        }
        let empty = Map::new();
        let id = serving.scope.provider_id.as_str();
        let table = config.model_providers.get(id).and_then(Value::as_object);
        let table = table.unwrap_or(&empty);
        let url = catalog_url(table).filter(|_| config.has_feature(DISCOVERY));
        if url.is_none() && (serving.is_translated || !serving.is_builtin) {
            return Ok(None);
        }
        let mut is_of_account = false;
        let owner = match serving.provider.plugin().as_str() {
            "command-auth" if serving.is_builtin => Some(owner::of_command(table)),
            "openai" if serving.is_builtin && wants_login(id, table) => {
                if let Some(url) = url {
                    check_origin(config, &serving.endpoint, url)?;
                }
                let owner = owner::of_login(&serving).await?;
                is_of_account = owner.is_some();
                owner
            }
            _ => None,
        };
        let owner = match (owner, url) {
            (Some(owner), _) => owner,
            (None, Some(url)) => owner::of_key(config, &serving, url).await?,
            (None, None) => return Ok(None),
        };
        let address = url.unwrap_or(&serving.endpoint.base_url);
        let mut parts = vec![id, address];
        parts.extend(owner.iter().map(String::as_str));
        let whose = Whose {
            identity: identity(&parts),
            client_version: COMPATIBLE_VERSION.to_owned(),
        };
        let url = url.map(str::to_owned);
        Ok(Some(Self {
            serving,
            url,
            whose,
            is_of_account,
        }))
    }

    /// Whose list it is.
    pub(crate) fn whose(&self) -> &Whose {
        &self.whose
    }

    /// Whether it is the list of an account.
    pub(crate) fn is_of_account(&self) -> bool {
        self.is_of_account
    }

    /// Asks for the list, or whether it is still the known one.
    ///
    /// # Errors
    /// Says why there is none, for people.
    pub(crate) async fn ask(&self, known: Option<&KeptList>) -> Result<Told, String> {
        let options = ListingOptions {
            originator: client::originator(None),
            user_agent: client::user_agent(&client::process_originator()),
            client_version: Some(COMPATIBLE_VERSION.to_owned()),
            headers: Vec::new(),
            url: self.url.clone(),
            known: known.and_then(KeptList::etag).map(str::to_owned),
            timeout: PATIENCE,
            credentials: self.serving.credentials.clone(),
        };
        let serving = &self.serving;
        let listing = list_models(
            Arc::clone(&serving.provider),
            serving.endpoint.clone(),
            Arc::clone(&serving.egress),
            &serving.scope,
            &options,
        );
        match listing.await.map_err(|error| error.to_string())? {
            Listing::Unchanged => Ok(Told::Unchanged),
            Listing::List { tag, body } => {
                let models = listed::entries(&body).map_err(|error| error.to_string())?;
                let left_out = listed::read(&models).left_out;
                let list = KeptList::new(&self.whose, tag, models, SystemTime::now());
                Ok(Told::List(list, left_out))
            }
        }
    }
}

/// The address that a table names for its list.
pub(crate) fn catalog_url(table: &Map<String, Value>) -> Option<&str> {
    let url = table.get("model_catalog_url")?.as_str()?.trim();
    (!url.is_empty()).then_some(url)
}

/// A login goes to its provider and where the user lets it: an address for lists is no other permission.
fn check_origin(config: &Config, endpoint: &Endpoint, url: &str) -> Result<(), String> {
    let origin = |text: &str| Url::parse(text).ok().map(|url| url.origin());
    let wanted = origin(url).ok_or("`model_catalog_url` is no URL")?;
    let mut allowed = config.dovetail.login_origins.iter();
    if origin(&endpoint.base_url).as_ref() == Some(&wanted)
        || allowed.any(|allowed| origin(allowed).as_ref() == Some(&wanted))
    {
        return Ok(());
    }
    let wanted = wanted.ascii_serialization();
    Err(format!(
        "the login is not sent to `{wanted}`, where `model_catalog_url` points: to allow it, write `login_origins = [\"{wanted}\"]` under [dovetail] in your config.toml"
    ))
}
