//! Where requests go, and what the service there can do.

use dovetail_plugin_api::provider::{Capabilities, Endpoint};
use dovetail_plugin_api::{Error, Header, ProviderTable, Secret, log};

use crate::OPENAI;

/// OpenAI's API for keys. Also where a table without a `base_url` leads.
pub(crate) const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// What speaks Responses is offered what existing clients offer it; `web_search = "disabled"` turns it off.
pub(crate) const USUAL_CAPABILITIES: Capabilities = Capabilities::HOSTED_TOOLS;

/// The name by which a table says that OpenAI's own service is behind it, such as through a proxy: existing clients go by
/// it, and so do people who set up such a table for them.
const OPENAI_NAME: &str = "OpenAI";

/// The `version` header: the client that servers know, not this plugin.
const CLIENT_VERSION: &str = "0.169.0";

/// Headers that bill a request to an organization or project, where the user set them.
const BILLING: [(&str, &str); 2] = [
    ("OpenAI-Organization", "env:OPENAI_ORGANIZATION"),
    ("OpenAI-Project", "env:OPENAI_PROJECT"),
];

pub(crate) fn resolve(
    table: &ProviderTable,
    secret_exists: impl Fn(&str) -> Result<bool, Error>,
) -> Result<Endpoint, Error> {
    if table.auth.is_some() {
        let text = "auth is served by the plugin `command-auth`, which is not the one in use";
        return Err(Error::Invalid(format!(
            "model_providers.{}: {text}",
            table.id
        )));
    }
    let mut endpoint = table.endpoint(Some(DEFAULT_BASE_URL), &secret_exists)?;
    endpoint.capabilities = capabilities(table);
    if table.id != OPENAI {
        if table.base_url.is_none() {
            log::warn(format!(
                "model_providers.{} sets no base_url, requests go to {DEFAULT_BASE_URL}",
                table.id
            ));
        }
        return Ok(endpoint);
    }
    endpoint
        .headers
        .push(Header::plain("version", CLIENT_VERSION));
    for (header, slot) in BILLING {
        if secret_exists(slot)? {
            endpoint
                .headers
                .push(Header::secret(header, Secret::slot(slot)));
        }
    }
    Ok(endpoint)
}

/// What the service can do, where that is something else than what is usual for compatible ones.
fn capabilities(table: &ProviderTable) -> Option<Capabilities> {
    let mut usual = USUAL_CAPABILITIES;
    // Only the service itself is known to have them: a proxy before it has a table that can say so.
    usual.set(Capabilities::WEBSOCKETS, table.id == OPENAI);
    let is_openai = table.name.as_deref() == Some(OPENAI_NAME);
    usual.set(Capabilities::ITEM_METADATA, is_openai);
    let all = table.capabilities(usual).unwrap_or(usual);
    (all != USUAL_CAPABILITIES).then_some(all)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn resolved(id: &str, table: Value, set: &[&str]) -> Result<Endpoint, Error> {
        let table = ProviderTable::parse(id, table.as_object().expect("a table"))?;
        resolve(&table, |slot| Ok(set.contains(&slot)))
    }

    #[test]
    fn openai_has_its_own_headers_and_capabilities() {
        let endpoint =
            resolved(OPENAI, json!({ "name": "OpenAI" }), &["env:OPENAI_PROJECT"]).expect("valid");
        assert_eq!(endpoint.base_url, DEFAULT_BASE_URL);
        assert_eq!(
            endpoint.headers,
            [
                Header::plain("version", CLIENT_VERSION),
                Header::secret("OpenAI-Project", Secret::slot("env:OPENAI_PROJECT")),
            ]
        );
        assert_eq!(
            endpoint.capabilities,
            Some(
                Capabilities::WEBSOCKETS | Capabilities::ITEM_METADATA | Capabilities::HOSTED_TOOLS
            )
        );
    }

    #[test]
    fn a_table_may_say_that_there_are_web_sockets() {
        let table = json!({ "name": "Local", "base_url": "http://localhost:1/v1", "supports_websockets": true });
        let endpoint = resolved("local", table, &[]).expect("valid");
        assert_eq!(
            endpoint.capabilities,
            Some(Capabilities::WEBSOCKETS | Capabilities::HOSTED_TOOLS)
        );
    }

    #[test]
    fn a_compatible_service_has_only_what_its_table_says() {
        let table = json!({ "name": "Local", "base_url": "http://localhost:1234/v1" });
        let endpoint = resolved("local", table, &["env:OPENAI_PROJECT"]).expect("valid");
        assert_eq!(endpoint.base_url, "http://localhost:1234/v1");
        assert_eq!((endpoint.headers, endpoint.capabilities), (vec![], None));
    }

    #[test]
    fn a_table_may_say_that_openai_is_behind_it() {
        let table = json!({ "name": "OpenAI", "base_url": "http://localhost:1234/v1" });
        let endpoint = resolved("proxy", table, &["env:OPENAI_PROJECT"]).expect("valid");
        assert_eq!(
            (endpoint.headers, endpoint.capabilities),
            (
                vec![],
                Some(Capabilities::ITEM_METADATA | Capabilities::HOSTED_TOOLS)
            )
        );
    }

    #[test]
    fn openai_base_url_replaces_the_default() {
        let table = json!({ "name": "OpenAI", "base_url": "https://proxy.example/openai/" });
        let endpoint = resolved(OPENAI, table, &[]).expect("valid");
        assert_eq!(endpoint.base_url, "https://proxy.example/openai");
    }

    #[test]
    fn a_token_command_is_another_plugins() {
        let outcome = resolved(
            "corp",
            json!({ "name": "C", "auth": { "command": "token" } }),
            &[],
        );
        assert_eq!(
            outcome.expect_err("refused").to_string(),
            "model_providers.corp: auth is served by the plugin `command-auth`, which is not the one in use"
        );
    }
}
