//! Which credential a table asks for. A table that asks for one never goes without.

use dovetail_plugin_api::provider::Prepared;
use dovetail_plugin_api::{Error, Header, ProviderTable, Secret};

use crate::OPENAI;

const INLINE_TOKEN: &str = ProviderTable::INLINE_TOKEN;

/// What a table asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A credential of its own, or none at all.
    Own(Prepared),
    /// The login that such providers share.
    Login,
}

pub(crate) fn choose(
    table: &ProviderTable,
    secret_exists: impl Fn(&str) -> Result<bool, Error>,
) -> Result<Asked, Error> {
    if let Some(variable) = &table.env_key {
        let slot = format!("env:{variable}");
        return if secret_exists(&slot)? {
            Ok(bearer(&slot))
        } else {
            Err(missing_variable(table, variable))
        };
    }
    if table.inline_token || secret_exists(INLINE_TOKEN)? {
        return Ok(bearer(INLINE_TOKEN));
    }
    if wants_login(table) {
        return Ok(Asked::Login);
    }
    Ok(Asked::Own(Prepared::no_credential()))
}

/// Whether a table without a credential of its own uses the shared login.
pub(crate) fn wants_login(table: &ProviderTable) -> bool {
    table.id == OPENAI || table.requires_openai_auth
}

/// What to say where a login is wanted and there is none.
pub(crate) fn nobody_signed_in(table: &ProviderTable) -> Error {
    Error::Unavailable(format!(
        "provider `{}` needs a login and there is none: run `dovetail login`, or set OPENAI_API_KEY",
        table.id
    ))
}

fn bearer(slot: &str) -> Asked {
    Asked::Own(Prepared::header(Header::bearer(Secret::slot(slot))))
}

fn missing_variable(table: &ProviderTable, variable: &str) -> Error {
    let mut text = format!("Missing environment variable: `{variable}`.");
    if let Some(instructions) = &table.env_key_instructions {
        text.push(' ');
        text.push_str(instructions);
    }
    Error::Unavailable(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn chosen(id: &str, table: Value, set: &[&str]) -> Result<Asked, Error> {
        let table = ProviderTable::parse(id, table.as_object().expect("a table"))?;
        choose(&table, |slot| Ok(set.contains(&slot)))
    }

    const ALL: [&str; 2] = ["env:K", INLINE_TOKEN];

    #[test]
    fn the_first_credential_that_the_table_asks_for_wins() {
        let shared = json!({ "requires_openai_auth": true });
        let own = json!({ "env_key": "K", "requires_openai_auth": true });
        assert_eq!(chosen("acme", own, &ALL), Ok(bearer("env:K")));
        assert_eq!(
            chosen("acme", shared.clone(), &ALL),
            Ok(bearer(INLINE_TOKEN))
        );
        assert_eq!(chosen("acme", shared, &[]), Ok(Asked::Login));
        assert_eq!(chosen(OPENAI, json!({}), &ALL[..1]), Ok(Asked::Login));
        let inline = json!({ "experimental_bearer_token": "held by the host" });
        assert_eq!(chosen("acme", inline, &[]), Ok(bearer(INLINE_TOKEN)));
    }

    #[test]
    fn other_providers_never_get_the_shared_login() {
        assert_eq!(
            chosen("acme", json!({}), &ALL[..1]),
            Ok(Asked::Own(Prepared::no_credential()))
        );
    }

    #[test]
    fn a_missing_variable_is_an_error() {
        let table = json!({ "env_key": "K", "env_key_instructions": "Ask the platform team.", "requires_openai_auth": true });
        assert_eq!(
            chosen("acme", table, &ALL[1..]),
            Err(Error::unavailable(
                "Missing environment variable: `K`. Ask the platform team."
            ))
        );
    }

    #[test]
    fn a_refused_slot_is_not_taken_for_an_empty_one() {
        let table = ProviderTable::empty(OPENAI);
        let outcome = choose(&table, |_| Err(Error::denied("not granted")));
        assert_eq!(outcome, Err(Error::denied("not granted")));
    }
}
