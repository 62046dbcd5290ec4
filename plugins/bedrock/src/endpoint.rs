//! The two services, and where they are.

use dovetail_plugin_api::provider::{Capabilities, Endpoint};
use dovetail_plugin_api::{Error, Header, log};
use serde_json::{Map, Value};

use crate::table::Settings;

/// Says to the service which client asks.
const CLIENT_AGENT: (&str, &str) = ("x-amzn-mantle-client-agent", "codex");

/// Where the first of the services is. The other one is in more regions than a list could keep up with.
const MANTLE_REGIONS: [&str; 14] = [
    "us-east-1",
    "us-east-2",
    "us-west-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "ap-southeast-3",
    "ap-south-1",
    "ap-northeast-1",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "eu-south-1",
    "eu-north-1",
    "sa-east-1",
];

/// A service that speaks Responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// `amazon-bedrock`.
    Mantle,
    /// `amazon-bedrock-runtime`.
    Runtime,
}

impl Service {
    pub(crate) const ALL: [Self; 2] = [Self::Mantle, Self::Runtime];

    /// The provider id.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Mantle => "amazon-bedrock",
            Self::Runtime => "amazon-bedrock-runtime",
        }
    }

    pub(crate) fn of(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.id() == id)
    }

    /// The name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mantle => "Amazon Bedrock",
            Self::Runtime => "Amazon Bedrock Runtime",
        }
    }

    /// What signatures call it.
    pub(crate) fn signing_name(self) -> &'static str {
        match self {
            Self::Mantle => "bedrock-mantle",
            Self::Runtime => "bedrock",
        }
    }

    fn capabilities(self) -> Capabilities {
        match self {
            Self::Mantle => Capabilities::HOSTED_TOOLS,
            Self::Runtime => Capabilities::empty(),
        }
    }

    fn base_url(self, region: &str) -> String {
        match self {
            Self::Mantle => format!("https://bedrock-mantle.{region}.api.aws/openai/v1"),
            Self::Runtime => format!("https://bedrock-runtime.{region}.amazonaws.com/openai/v1"),
        }
    }

    /// Whether the service's front door lets a header through. What it drops must not be signed.
    pub(crate) fn accepts_header(self, name: &str) -> bool {
        match self {
            Self::Mantle => !name.contains('_'),
            Self::Runtime => true,
        }
    }

    /// Lays the user's headers over the built-in one, without those that the service or the signature cannot have.
    pub(crate) fn prepare_headers(self, path: &str, table: &mut Map<String, Value>) {
        let Value::Object(headers) = table
            .entry("http_headers")
            .or_insert_with(|| Map::new().into())
        else {
            return; // Not a table: whoever reads it says so.
        };
        headers.retain(|name, _| {
            // The host derives this one from the address, and so does the signature.
            let kept = self.accepts_header(name) && !name.eq_ignore_ascii_case("host");
            if !kept {
                log::warn(format!(
                    "{path}.http_headers: `{name}` does not reach this service, it is not sent"
                ));
            }
            kept
        });
        let (name, value) = CLIENT_AGENT;
        if !headers.keys().any(|set| set.eq_ignore_ascii_case(name)) {
            headers.insert(name.to_owned(), value.into());
        }
    }
}

/// Where requests go.
pub(crate) fn resolve(settings: &Settings, region: Option<&str>) -> Result<Endpoint, Error> {
    let service = settings.service;
    let derived = match (&settings.table.base_url, region) {
        (Some(_), _) | (None, None) => None,
        (None, Some(region)) => {
            check_region(service, region)?;
            Some(service.base_url(region))
        }
    };
    let never = |_: &str| Ok(false); // There are no headers from variables.
    let mut endpoint = settings.table.endpoint(derived.as_deref(), never)?;
    endpoint.capabilities = Some(service.capabilities());
    let (name, value) = CLIENT_AGENT;
    if let Some(header) = endpoint
        .headers
        .iter_mut()
        .find(|header| header.name() == name && **header == Header::plain(name, value).sensitive())
    {
        *header = Header::plain(name, value);
    }
    Ok(endpoint)
}

fn check_region(service: Service, region: &str) -> Result<(), Error> {
    let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !region.chars().all(name) {
        return Err(Error::Invalid(format!(
            "`{}` is not the name of an AWS region",
            region.escape_debug()
        )));
    }
    if service == Service::Mantle && !MANTLE_REGIONS.contains(&region) {
        return Err(Error::Invalid(format!(
            "Amazon Bedrock does not support region `{region}`; it is in {}",
            MANTLE_REGIONS.join(", ")
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolved(id: &str, table: Value, region: Option<&str>) -> Result<Endpoint, String> {
        Settings::parse(id, table.as_object().expect("a table"))
            .and_then(|settings| resolve(&settings, region))
            .map_err(|error| error.to_string())
    }

    fn base_url(id: &str, region: &str) -> Result<String, String> {
        resolved(id, json!({}), Some(region)).map(|endpoint| endpoint.base_url)
    }

    #[test]
    fn addresses_follow_from_the_region() {
        assert_eq!(
            base_url("amazon-bedrock", "eu-west-2"),
            Ok("https://bedrock-mantle.eu-west-2.api.aws/openai/v1".to_owned())
        );
        assert_eq!(
            base_url("amazon-bedrock-runtime", "ca-central-1"),
            Ok("https://bedrock-runtime.ca-central-1.amazonaws.com/openai/v1".to_owned())
        );
        let refused = base_url("amazon-bedrock", "ca-central-1").expect_err("not there");
        assert!(
            refused.starts_with(
                "Amazon Bedrock does not support region `ca-central-1`; it is in us-east-1,"
            ),
            "{refused}"
        );
        assert_eq!(
            base_url("amazon-bedrock-runtime", "a.evil.example/"),
            Err("`a.evil.example/` is not the name of an AWS region".to_owned())
        );
    }

    #[test]
    fn an_address_of_the_users_own_needs_no_region_that_is_known() {
        let table = json!({ "base_url": "http://127.0.0.1:9/x/" });
        for region in [None, Some("mars-1")] {
            let endpoint = resolved("amazon-bedrock", table.clone(), region).expect("valid");
            assert_eq!(endpoint.base_url, "http://127.0.0.1:9/x");
        }
    }

    #[test]
    fn headers_are_laid_over_the_built_in_one() {
        let headers = |id, table: Value| {
            let endpoint = resolved(id, json!({ "http_headers": table }), Some("us-east-1"));
            endpoint.map(|endpoint| endpoint.headers)
        };
        let agent = Header::plain("x-amzn-mantle-client-agent", "codex");
        let own = |name: &str, value: &str| Header::plain(name, value).sensitive();
        assert_eq!(
            headers(
                "amazon-bedrock",
                json!({ "X-Team": "core", "x_lost": "1", "Host": "evil.example" })
            ),
            Ok(vec![own("X-Team", "core"), agent.clone()])
        );
        assert_eq!(
            headers("amazon-bedrock-runtime", json!({ "x_kept": "1" })),
            Ok(vec![own("x_kept", "1"), agent])
        );
        assert_eq!(
            headers(
                "amazon-bedrock",
                json!({ "X-Amzn-Mantle-Client-Agent": "mine" })
            ),
            Ok(vec![own("X-Amzn-Mantle-Client-Agent", "mine")])
        );
        assert_eq!(
            headers("amazon-bedrock", json!(["x"])),
            Err(
                "model_providers.amazon-bedrock: http_headers must be a table, not a list"
                    .to_owned()
            )
        );
    }

    #[test]
    fn only_the_first_service_runs_tools_of_its_own() {
        let able = |id| {
            let endpoint = resolved(id, json!({}), Some("us-east-1"));
            endpoint.map(|endpoint| endpoint.capabilities)
        };
        assert_eq!(able("amazon-bedrock"), Ok(Some(Capabilities::HOSTED_TOOLS)));
        assert_eq!(
            able("amazon-bedrock-runtime"),
            Ok(Some(Capabilities::empty()))
        );
    }
}
