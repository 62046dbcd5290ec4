//! Whose list of models it is: what tells the accounts of a provider apart, and is no secret.

use dovetail_config::Config;
use dovetail_core::plugin::{HeaderTemplate, ValuePart};
use dovetail_runtime::lock::PluginsLock;
use dovetail_runtime::trust::TrustKey;
use serde_json::{Map, Value};

use super::source::Serving;

/// Logins of accounts, behind which there is a service with a list; by their names in `auth.json`.
const OF_ACCOUNTS: [&str; 5] = [
    "chatgpt",
    "chatgptAuthTokens",
    "headers",
    "agentIdentity",
    "personalAccessToken",
];
/// The header that says for which account a request is.
const ACCOUNT: &str = "chatgpt-account-id";

/// What tells owners apart, in parts.
pub(super) type Owner = Vec<String>;

/// What of a table with a command says which token it prints.
const COMMAND: [&str; 3] = ["command", "args", "cwd"];

/// Whomever a command's token is for. Another command line may be another account; the token itself changes with time.
pub(super) fn of_command(table: &Map<String, Value>) -> Owner {
    let auth = table.get("auth");
    let part = |key| auth.and_then(|auth| auth.get(key)).map(Value::to_string);
    COMMAND
        .iter()
        .map(|key| format!("{key} {}", part(*key).unwrap_or_default()))
        .collect()
}

/// The account that is signed in; none where nobody is, or with a key.
pub(super) async fn of_login(serving: &Serving) -> Result<Option<Owner>, String> {
    let Some(account) = &serving.account else {
        return Ok(None);
    };
    let status = account.status(&serving.scope.provider_id).await;
    let Some(login) = status.map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    if !OF_ACCOUNTS.contains(&login.mode.as_str()) {
        return Ok(None);
    }
    let mut owner = vec!["login".to_owned(), login.mode];
    match login.account {
        Some(account) => owner.extend([account, login.email.unwrap_or_default()]),
        // Only the authority knows whose a personal token is; requests say it.
        None => owner.push(account_of_requests(serving).await?),
    }
    Ok(Some(owner))
}

async fn account_of_requests(serving: &Serving) -> Result<String, String> {
    let prepared = serving.provider.prepare(&serving.scope).await;
    let headers = prepared.map_err(|error| error.to_string())?.headers;
    let named = headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(ACCOUNT));
    let account = named.and_then(literal);
    account.ok_or_else(|| "the login does not say which account it is of".to_owned())
}

fn literal(header: &HeaderTemplate) -> Option<String> {
    let part = |part: &ValuePart| match part {
        ValuePart::Literal(text) => Some(text.clone()),
        ValuePart::Secret(_) => None,
    };
    header.value.iter().map(part).collect()
}

/// Whomever a key is of. Nothing but the key tells, so that a code of it does, made with a secret of this home: from the
/// code alone no key can be guessed.
pub(super) async fn of_key(config: &Config, serving: &Serving, url: &str) -> Result<Owner, String> {
    let prepared = serving.provider.prepare(&serving.scope).await;
    let prepared = prepared.map_err(|error| error.to_string())?;
    let key = TrustKey::load_or_make(&PluginsLock::key_path_in(&config.home.join("dovetail")));
    let key = key.map_err(|error| error.to_string())?;
    let mut owner = vec!["key".to_owned()];
    for header in serving.endpoint.headers.iter().chain(&prepared.headers) {
        let plugin = serving.provider.plugin();
        let value = serving.egress.render(plugin, url, header);
        let value = value.map_err(|error| error.to_string())?;
        let code = key.pseudonym(value.expose().as_bytes());
        owner.extend([header.name.to_ascii_lowercase(), code]);
    }
    Ok(owner)
}
