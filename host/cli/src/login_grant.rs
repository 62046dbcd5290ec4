//! What the plugin that serves `openai` gets for logins: the store, the variables that hold one, the authority's
//! addresses, and what the configuration says of logins.

use std::collections::BTreeMap;
use std::path::Path;

use dovetail_config::{Config, LoginStore as Chosen, env};
use dovetail_keyring::Entry;
use dovetail_runtime::capability::{Capabilities, SlotName};
use dovetail_runtime::digest::Sha256;
use dovetail_runtime::origin::OriginPattern;
use dovetail_runtime::secret_source::{KeyringLogin, LoginStore, SecretSource};
use serde_json::{Value, json};

use crate::fatal::Fatal;
use crate::identity;

/// Whose entries logins are in the keyring.
const KEYRING_SERVICE: &str = "Codex Auth";
/// The slot of the store.
const STORE: &str = "login";
/// Where people sign in, and where their logins are refreshed.
const AUTHORITY: &str = "https://auth.openai.com";
/// The same for the environment that a `chatgpt_base_url` may name instead.
const STAGING: &str = "https://auth.api.openai.org";
/// Where the service behind accounts is, its keys included.
const BACKEND: &str = "https://chatgpt.com";
/// Keys that a plugin uses without seeing them.
const KEYS: [env::EnvVar; 2] = [env::CODEX_API_KEY, env::OPENAI_API_KEY];
/// Logins that it has to read: what kind they are decides what is done with them.
const LOGINS: [env::EnvVar; 2] = [env::CODEX_ACCESS_TOKEN, env::CODEX_AGENT_IDENTITY];

/// Grants what a login needs.
///
/// # Errors
/// The store is of a kind that is not supported, or an address that the environment or the configuration names is none.
pub(crate) fn grant(
    config: &Config,
    issuer: Option<&str>,
    grant: &mut Capabilities,
    sources: &mut BTreeMap<String, SecretSource>,
) -> anyhow::Result<()> {
    for variable in KEYS {
        let slot = format!("env:{}", variable.name);
        grant.secrets.extend(SlotName::parse(&slot).ok());
        sources.insert(slot, SecretSource::Env(variable.name.to_owned()));
    }
    for variable in LOGINS {
        let slot = format!("env:{}", variable.name);
        grant.owns.extend(SlotName::parse(&slot).ok());
        sources.insert(slot, SecretSource::Env(variable.name.to_owned()));
    }
    // Logins that the connected application keeps, and what it vouches for.
    grant.client = true;
    grant.owns.extend(SlotName::parse(STORE).ok());
    sources.insert(STORE.to_owned(), SecretSource::Login(store(config)?));
    grant.net.insert(origin("the authority", AUTHORITY)?);
    grant
        .net
        .insert(origin("the service behind accounts", BACKEND)?);
    for variable in env::AUTHORITY {
        grant.env.insert(variable.name.to_owned());
        if let Some(url) = variable.get() {
            grant.net.insert(origin(variable.name, &url)?);
        }
    }
    grant.env.insert(env::LOGIN_CLIENT_ID.name.to_owned());
    if let Some(url) = &config.login.chatgpt_base_url {
        grant.net.insert(origin("chatgpt_base_url", url)?);
        grant
            .net
            .insert(origin("the authority for tests", STAGING)?);
    }
    if let Some(url) = issuer {
        grant.net.insert(origin("--experimental_issuer", url)?);
    }
    Ok(())
}

/// What the plugin is told of the configuration.
pub(crate) fn settings(config: &Config, issuer: Option<&str>) -> Value {
    let login = &config.login;
    json!({
        "place": place(config),
        "forced_login_method": login.forced_method.map(dovetail_config::LoginMethod::as_str),
        "forced_workspaces": login.forced_workspaces,
        "login_origins": config.dovetail.login_origins,
        "request_compression": config.has_feature("enable_request_compression"),
        "agent_identity": config.has_feature("use_agent_identity"),
        "chatgpt_base_url": login.chatgpt_base_url,
        "issuer": issuer,
        "originator": identity::process_originator(),
        "version": identity::COMPATIBLE_VERSION,
        "os": std::env::consts::OS,
    })
}

/// Where logins are kept, for people.
fn place(config: &Config) -> String {
    let file = config.home.join("auth.json").display().to_string();
    match config.login.store {
        Chosen::File => file,
        Chosen::Auto => format!("the keyring, or {file}"),
        Chosen::Ephemeral => "this process".to_owned(),
        Chosen::Keyring => "the keyring".to_owned(),
    }
}

fn store(config: &Config) -> anyhow::Result<LoginStore> {
    let file = config.home.join("auth.json");
    let in_keyring = |falls_back| -> anyhow::Result<LoginStore> {
        Ok(LoginStore::Keyring(KeyringLogin {
            entry: Entry::new(KEYRING_SERVICE, &keyring_account(&config.home))?,
            file: file.clone(),
            falls_back,
        }))
    };
    match config.login.store {
        Chosen::File => Ok(LoginStore::File(file)),
        Chosen::Ephemeral => Ok(LoginStore::Memory),
        Chosen::Auto => in_keyring(true),
        Chosen::Keyring => in_keyring(false),
    }
}

/// What the entry of a home is called: the same as other clients call it, so that a login holds for all of them.
fn keyring_account(home: &Path) -> String {
    let home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
    let digest = Sha256::of(home.to_string_lossy().as_bytes()).to_string();
    format!("cli|{}", digest.get(..16).unwrap_or(&digest))
}

fn origin(name: &str, url: &str) -> anyhow::Result<OriginPattern> {
    let parsed = url.parse::<url::Url>().ok();
    let usable = parsed.filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
    let Some(url) = usable else {
        return Err(Fatal::new(format!("{name} is not an http or https URL: `{url}`")).into());
    };
    OriginPattern::parse(&url.origin().ascii_serialization())
        .map_err(|error| Fatal::new(format!("{name}: {error}")).into())
}
