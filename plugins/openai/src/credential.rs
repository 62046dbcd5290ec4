//! Which credential a table asks for. A table that asks for one never goes without.

use dovetail_plugin_api::provider::Prepared;
use dovetail_plugin_api::{Error, Header, ProviderTable, Secret};

use crate::OPENAI;

const INLINE_TOKEN: &str = ProviderTable::INLINE_TOKEN;

/// The login that `openai` and tables with `requires_openai_auth` share, first one first.
const SHARED_LOGIN: [&str; 3] = [
    "env:CODEX_API_KEY",
    "auth:OPENAI_API_KEY",
    "env:OPENAI_API_KEY",
];

pub(crate) fn choose(
    table: &ProviderTable,
    secret_exists: impl Fn(&str) -> Result<bool, Error>,
) -> Result<Prepared, Error> {
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
    if table.id != OPENAI && !table.requires_openai_auth {
        return Ok(Prepared::no_credential());
    }
    for slot in SHARED_LOGIN {
        if secret_exists(slot)? {
            return Ok(bearer(slot));
        }
    }
    Err(Error::Unavailable(format!(
        "provider `{}` needs an API key and there is none: set OPENAI_API_KEY, or put the key in `auth.json`",
        table.id
    )))
}

fn bearer(slot: &str) -> Prepared {
    Prepared::header(Header::bearer(Secret::slot(slot)))
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

    fn chosen(id: &str, table: Value, set: &[&str]) -> Result<Prepared, Error> {
        let table = ProviderTable::parse(id, table.as_object().expect("a table"))?;
        choose(&table, |slot| Ok(set.contains(&slot)))
    }

    #[track_caller]
    fn check(id: &str, table: Value, set: &[&str], slot: &str) {
        assert_eq!(chosen(id, table, set), Ok(bearer(slot)));
    }

    const ALL: [&str; 5] = [
        "env:K",
        INLINE_TOKEN,
        "env:CODEX_API_KEY",
        "auth:OPENAI_API_KEY",
        "env:OPENAI_API_KEY",
    ];

    #[test]
    fn the_first_credential_that_the_table_asks_for_wins() {
        let shared = json!({ "requires_openai_auth": true });
        check(
            "acme",
            json!({ "env_key": "K", "requires_openai_auth": true }),
            &ALL,
            "env:K",
        );
        check("acme", shared.clone(), &ALL, INLINE_TOKEN);
        check("acme", shared.clone(), &ALL[2..], "env:CODEX_API_KEY");
        check("acme", shared, &ALL[3..], "auth:OPENAI_API_KEY");
        check(OPENAI, json!({}), &ALL[4..], "env:OPENAI_API_KEY");
        check(
            "acme",
            json!({ "experimental_bearer_token": "held by the host" }),
            &[],
            INLINE_TOKEN,
        );
    }

    #[test]
    fn other_providers_never_get_the_shared_login() {
        assert_eq!(
            chosen("acme", json!({}), &ALL[2..]),
            Ok(Prepared::no_credential())
        );
    }

    #[test]
    fn a_missing_credential_is_an_error() {
        let table = json!({ "env_key": "K", "env_key_instructions": "Ask the platform team." });
        assert_eq!(
            chosen("acme", table, &ALL[1..]),
            Err(Error::unavailable(
                "Missing environment variable: `K`. Ask the platform team."
            ))
        );
        let outcome = chosen(OPENAI, json!({}), &["env:K"]);
        assert_eq!(
            outcome,
            Err(Error::unavailable(
                "provider `openai` needs an API key and there is none: set OPENAI_API_KEY, or put the key in `auth.json`"
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
