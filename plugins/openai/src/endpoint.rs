//! Where requests go, and what the service there can do.

use dovetail_plugin_api::provider::{Capabilities, Endpoint};
use dovetail_plugin_api::{Error, Header, ProviderTable, Secret, log};

use crate::OPENAI;

/// OpenAI's API for keys. Also where a table without a `base_url` leads.
pub(crate) const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// The service behind accounts.
pub(crate) const BACKEND_BASE_URL: &str = "https://chatgpt.com/backend-api/codex";

/// What speaks Responses is offered what existing clients offer it; `web_search = "disabled"` turns it off.
pub(crate) const USUAL_CAPABILITIES: Capabilities = Capabilities::HOSTED_TOOLS;

/// The name by which a table says that OpenAI's own service is behind it, such as through a proxy: existing clients go by
/// it, and so do people who set up such a table for them.
const OPENAI_NAME: &str = "OpenAI";

/// The name by which a table says that it is Azure's, in any case.
const AZURE_NAME: &str = "azure";

/// What addresses of Azure have in them.
const AZURE_HOSTS: [&str; 6] = [
    "openai.azure.",
    "cognitiveservices.azure.",
    "aoai.azure.",
    "azure-api.",
    "azurefd.",
    "windows.net/openai",
];

/// The `version` header: the client that servers know, not this plugin.
const CLIENT_VERSION: &str = "0.169.0";

/// Where the host puts the model's name in a header.
const MODEL: &str = "{model}";

/// Headers that bill a request to an organization or project, where the user set them.
const BILLING: [(&str, &str); 2] = [
    ("OpenAI-Organization", "env:OPENAI_ORGANIZATION"),
    ("OpenAI-Project", "env:OPENAI_PROJECT"),
];

/// What the login that is in use has to do with where requests go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Behind {
    /// Whether the service behind accounts is asked.
    pub(crate) backend: bool,
    /// Whether that service may be sent compressed bodies.
    pub(crate) compression: bool,
}

pub(crate) fn resolve(
    table: &ProviderTable,
    behind: Behind,
    secret_exists: impl Fn(&str) -> Result<bool, Error>,
) -> Result<Endpoint, Error> {
    if table.auth.is_some() {
        let text = "auth is served by the plugin `command-auth`, which is not the one in use";
        return Err(Error::Invalid(format!(
            "model_providers.{}: {text}",
            table.id
        )));
    }
    let default = match behind.backend {
        true => BACKEND_BASE_URL,
        false => DEFAULT_BASE_URL,
    };
    let mut endpoint = table.endpoint(Some(default), &secret_exists)?;
    endpoint.capabilities = capabilities(table, behind, &endpoint.base_url);
    if table.id != OPENAI {
        if table.base_url.is_none() {
            log::warn(format!(
                "model_providers.{} sets no base_url, requests go to {default}",
                table.id
            ));
        }
        return Ok(endpoint);
    }
    endpoint
        .headers
        .push(Header::plain("version", CLIENT_VERSION));
    if behind.backend {
        endpoint.headers.push(Header::parts(
            "x-codex-routing-hint",
            ["model=".into(), MODEL.into()],
        ));
    }
    for (header, slot) in BILLING {
        if secret_exists(slot)? {
            endpoint
                .headers
                .push(Header::secret(header, Secret::slot(slot)));
        }
    }
    Ok(endpoint)
}

/// What the service of a table can do, where that is something else than what is usual for compatible ones.
fn capabilities(table: &ProviderTable, behind: Behind, base_url: &str) -> Option<Capabilities> {
    let name = table.name.as_deref().unwrap_or_default();
    let mut usual = USUAL_CAPABILITIES;
    // Only the service itself is known to have them: a proxy before it has a table that can say so.
    usual.set(Capabilities::WEBSOCKETS, table.id == OPENAI);
    let compression = table.id == OPENAI && behind.backend && behind.compression;
    usual.set(Capabilities::REQUEST_COMPRESSION, compression);
    usual.set(Capabilities::ITEM_METADATA, name == OPENAI_NAME);
    usual.set(
        Capabilities::REMOTE_COMPACTION,
        name == OPENAI_NAME || is_azure(name, base_url),
    );
    let all = table.capabilities(usual).unwrap_or(usual);
    (all != USUAL_CAPABILITIES).then_some(all)
}

fn is_azure(name: &str, base_url: &str) -> bool {
    let url = base_url.to_ascii_lowercase();
    name.eq_ignore_ascii_case(AZURE_NAME) || AZURE_HOSTS.iter().any(|host| url.contains(host))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn resolved(id: &str, table: Value, set: &[&str]) -> Result<Endpoint, Error> {
        let table = ProviderTable::parse(id, table.as_object().expect("a table"))?;
        resolve(&table, Behind::default(), |slot| Ok(set.contains(&slot)))
    }

    #[test]
    fn an_account_has_a_service_of_its_own() {
        let behind = Behind {
            backend: true,
            compression: true,
        };
        let mut table = ProviderTable::empty(OPENAI);
        table.name = Some("OpenAI".to_owned());
        let endpoint = resolve(&table, behind, |_| Ok(false)).expect("valid");
        assert_eq!(endpoint.base_url, BACKEND_BASE_URL);
        assert_eq!(
            endpoint.headers,
            [
                Header::plain("version", CLIENT_VERSION),
                Header::parts("x-codex-routing-hint", ["model=".into(), "{model}".into()]),
            ]
        );
        let able = endpoint.capabilities.expect("they differ");
        assert!(able.contains(Capabilities::REQUEST_COMPRESSION));
        let mut table = ProviderTable::empty("corp");
        table.name = Some("Corp".to_owned());
        let endpoint = resolve(&table, behind, |_| Ok(false)).expect("valid");
        assert_eq!((endpoint.headers, endpoint.capabilities), (vec![], None));
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
                Capabilities::WEBSOCKETS
                    | Capabilities::ITEM_METADATA
                    | Capabilities::HOSTED_TOOLS
                    | Capabilities::REMOTE_COMPACTION
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
    fn services_that_compact_say_so_by_name_or_address() {
        let remote = |name: &str, url: &str| {
            let table = json!({ "name": name, "base_url": url });
            let endpoint = resolved("corp", table, &[]).expect("valid");
            let able = endpoint.capabilities.unwrap_or(Capabilities::empty());
            (
                able.contains(Capabilities::REMOTE_COMPACTION),
                able.contains(Capabilities::ITEM_METADATA),
            )
        };
        let elsewhere = "https://api.example/v1";
        assert_eq!(remote("OpenAI", elsewhere), (true, true));
        assert_eq!(remote("AZURE", elsewhere), (true, false));
        let url = "https://corp.OpenAI.azure.com/openai/v1";
        assert_eq!(remote("Corp", url), (true, false));
        assert_eq!(remote("openai", elsewhere), (false, false));
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
                Some(
                    Capabilities::ITEM_METADATA
                        | Capabilities::HOSTED_TOOLS
                        | Capabilities::REMOTE_COMPACTION
                )
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
