//! The address that somebody gave: what it may mean, and what to call the provider there.

use std::net::IpAddr;

use dovetail_config::looks_secret;
use serde_json::{Map, Value};
use url::{Host, Url};

use super::known::Speaks;
use crate::fatal::Fatal;

/// Paths that people copy with the address, and what they say of the API.
const ENDPOINTS: [(&str, Option<Speaks>); 5] = [
    ("/chat/completions", Some(Speaks::Chat)),
    ("/responses", Some(Speaks::Responses)),
    ("/messages", Some(Speaks::Messages)),
    ("/completions", None),
    ("/models", None),
];

/// Labels in front of a name that say what a host is for, not whose it is.
const GENERIC: &[&str] = &[
    "www",
    "api",
    "llm",
    "ai",
    "gateway",
    "inference",
    "models",
    "chat",
];
/// Labels before the last that belong to it.
const SECOND_LEVEL: &[&str] = &["co", "com", "org", "net", "ac", "gov", "edu"];

/// An address to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Without path of an endpoint, query and fragment.
    base: Url,
    /// Parameters of every request.
    pub(super) query: Map<String, Value>,
    /// What the path says of the API.
    pub(super) hint: Option<Speaks>,
}

impl Address {
    /// Reads what somebody gave.
    ///
    /// # Errors
    /// It is no address, or holds a credential; that is not repeated.
    pub(super) fn parse(text: &str) -> Result<Self, Fatal> {
        let wrong = |why: &str| {
            Fatal::new(format!("this is no address of a server: {why}"))
                .hint("write it like https://llm.example.com/v1 or http://localhost:8080")
        };
        let mut url = Url::parse(text.trim()).map_err(|_| match text.contains("://") {
            true => wrong("it cannot be read"),
            false => wrong("http:// or https:// is missing"),
        })?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong("it must begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Fatal::new("the address holds a user name or a password")
                .hint("take it out, put the key into a variable, and name that: --env-key NAME"));
        }
        let mut query = Map::new();
        for (name, value) in url.query_pairs() {
            if looks_secret(&name) || dovetail_config::looks_like_token(&value) {
                return Err(Fatal::new(format!(
                    "the address holds a key, in its parameter `{name}`"
                ))
                .hint("take it out, put the key into a variable, and name that: --env-key NAME")
                .hint(
                    "a service that wants it in a header of its own: env_http_headers in its table",
                ));
            }
            query.insert(name.into_owned(), Value::from(value.into_owned()));
        }
        url.set_query(None);
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/').to_owned();
        let endpoint = ENDPOINTS.iter().find(|(end, _)| path.ends_with(end));
        let path = endpoint.map_or(path.as_str(), |(end, _)| path.trim_end_matches(end));
        let path = path.to_owned();
        url.set_path(&path);
        Ok(Self {
            base: url,
            query,
            hint: endpoint.and_then(|(_, speaks)| *speaks),
        })
    }

    /// Where it leads, without its path.
    pub(super) fn url(&self) -> &Url {
        &self.base
    }

    /// The base URLs that it may mean, the likeliest first.
    pub(super) fn bases(&self) -> Vec<String> {
        let given = self.base.as_str().trim_end_matches('/').to_owned();
        let path = self.base.path().trim_end_matches('/');
        match (path, path.strip_suffix("/v1")) {
            ("", _) => vec![format!("{given}/v1"), given],
            (_, Some(_)) => {
                let without = given.trim_end_matches("/v1").to_owned();
                vec![given, without]
            }
            (_, None) => vec![given.clone(), format!("{given}/v1")],
        }
    }

    /// What to call the provider where nobody says.
    pub(super) fn name(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match (is_here(&self.base), self.base.port()) {
            (true, Some(port)) => format!("{host}:{port}"),
            (true, None) | (false, _) => host.to_owned(),
        }
    }

    /// An id where nobody says: the name of whoever runs the host.
    pub(super) fn id(&self) -> String {
        let port = self.base.port_or_known_default().unwrap_or(80);
        let id = match self.base.host() {
            _ if is_here(&self.base) => format!("local-{port}"),
            Some(Host::Domain(name)) => of_domain(name),
            Some(Host::Ipv4(address)) => of_address(address.into()),
            Some(Host::Ipv6(address)) => of_address(address.into()),
            None => "provider".to_owned(),
        };
        match dovetail_config::RESERVED_PROVIDERS.contains(&id.as_str()) {
            true => format!("{id}-custom"),
            false => id,
        }
    }
}

fn is_here(url: &Url) -> bool {
    dovetail_http::is_loopback(url)
}

fn of_address(address: IpAddr) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!(
        "host-{}",
        address.to_string().chars().map(plain).collect::<String>()
    )
}

fn of_domain(name: &str) -> String {
    let lower = name.trim_end_matches('.').to_ascii_lowercase();
    let labels: Vec<&str> = lower.split('.').collect();
    let whose = match labels.as_slice() {
        [.., whose, second, _] if SECOND_LEVEL.contains(second) && !GENERIC.contains(whose) => {
            whose
        }
        [.., whose, _] => whose,
        [only] => only,
        [] => "provider",
    };
    let plain = whose
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let id: String = plain.take(64).collect();
    match dovetail_config::is_provider_id(&id) {
        true => id,
        false => "provider".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parsed(text: &str) -> Address {
        Address::parse(text).expect(text)
    }

    #[test]
    fn an_address_may_be_meant_with_v1_and_without() {
        for (text, bases, hint) in [
            (
                "http://localhost:8080",
                ["http://localhost:8080/v1", "http://localhost:8080"],
                None,
            ),
            (
                "https://a.example/v1/",
                ["https://a.example/v1", "https://a.example"],
                None,
            ),
            (
                "https://a.example/openai",
                ["https://a.example/openai", "https://a.example/openai/v1"],
                None,
            ),
            (
                "https://a.example/v1/chat/completions",
                ["https://a.example/v1", "https://a.example"],
                Some(Speaks::Chat),
            ),
            (
                "https://a.example/v1/messages?",
                ["https://a.example/v1", "https://a.example"],
                Some(Speaks::Messages),
            ),
            (
                "https://a.example/v1/models#x",
                ["https://a.example/v1", "https://a.example"],
                None,
            ),
        ] {
            let address = parsed(text);
            assert_eq!(
                (address.bases(), address.hint),
                (bases.map(str::to_owned).to_vec(), hint),
                "{text}"
            );
        }
    }

    #[test]
    fn a_credential_in_an_address_is_refused_and_not_repeated() {
        for (text, words) in [
            (
                "https://user:hunter22@a.example/v1",
                "the address holds a user name or a password",
            ),
            (
                "https://hunter22@a.example",
                "the address holds a user name or a password",
            ),
            (
                "https://a.example/v1?api_key=hunter22",
                "the address holds a key, in its parameter `api_key`",
            ),
            (
                "https://a.example/v1?x=sk-hunter22-0123456789",
                "the address holds a key, in its parameter `x`",
            ),
            (
                "a.example/v1",
                "this is no address of a server: http:// or https:// is missing",
            ),
            (
                "ftp://a.example",
                "this is no address of a server: it must begin with http:// or https://",
            ),
            (
                "https://",
                "this is no address of a server: it cannot be read",
            ),
        ] {
            let error = Address::parse(text).expect_err(text);
            assert_eq!(error.to_string(), words, "{text}");
            let whole = format!("{error:?}");
            assert!(!whole.contains("hunter22"), "{whole}");
        }
    }

    #[test]
    fn other_parameters_stay() {
        let address = parsed("https://a.example/openai?api-version=2026-01-01");
        assert_eq!(
            Value::Object(address.query),
            serde_json::json!({ "api-version": "2026-01-01" })
        );
    }

    #[test]
    fn ids_and_names_are_made_of_the_host() {
        for (text, id, name) in [
            ("https://api.groq.com/openai/v1", "groq", "api.groq.com"),
            (
                "https://openrouter.ai/api/v1",
                "openrouter",
                "openrouter.ai",
            ),
            (
                "https://llm.corp.example.co.uk",
                "example",
                "llm.corp.example.co.uk",
            ),
            ("http://localhost:8080", "local-8080", "localhost:8080"),
            ("http://127.0.0.1", "local-80", "127.0.0.1"),
            ("http://10.0.0.7:8000/v1", "host-10-0-0-7", "10.0.0.7"),
            ("http://[fd00::1]/", "host-fd00--1", "[fd00::1]"),
            (
                "https://api.openai.com/v1",
                "openai-custom",
                "api.openai.com",
            ),
            ("http://gpu-box:8000", "gpu-box", "gpu-box"),
        ] {
            let address = parsed(text);
            assert_eq!(
                (address.id(), address.name()),
                (id.to_owned(), name.to_owned()),
                "{text}"
            );
        }
    }
}
