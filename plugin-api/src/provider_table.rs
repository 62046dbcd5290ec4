//! The standard keys of `[model_providers.<id>]`, for every plugin that serves a Responses endpoint.

use serde_json::{Map, Value};

use crate::header::{is_field_name, is_field_value, is_framing_name};
use crate::provider::{Capabilities, Endpoint};
use crate::table_reader::TableReader;
use crate::{Error, Header, Secret, import};

/// A checked table. Unknown keys are left to the host, which knows them all and warns.
///
/// ```
/// use dovetail_plugin_api::ProviderTable;
/// use serde_json::json;
///
/// let table = json!({ "name": "Acme", "base_url": "https://llm.acme.example/v1/", "wire_api": "chat" });
/// let error = ProviderTable::parse("acme", table.as_object().unwrap()).unwrap_err();
/// assert!(error.to_string().starts_with("model_providers.acme: wire_api = \"chat\""));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderTable {
    /// The provider id.
    pub id: String,
    /// A name for people, not blank.
    pub name: Option<String>,
    /// Where requests go.
    pub base_url: Option<String>,
    /// The environment variable that holds the bearer token.
    pub env_key: Option<String>,
    /// What to tell a user who has not set it.
    pub env_key_instructions: Option<String>,
    /// Whether the table still had an inline token. The host normally takes it out: see [`INLINE_TOKEN`](Self::INLINE_TOKEN).
    pub inline_token: bool,
    /// Whether the login that is shared by all such providers is used.
    pub requires_openai_auth: bool,
    /// Whether the service can be asked over a WebSocket, where the user says so.
    pub supports_websockets: Option<bool>,
    /// The command that prints a token.
    pub auth: Option<Map<String, Value>>,
    query: Vec<(String, String)>,
    http_headers: Vec<(String, String)>,
    env_http_headers: Vec<(String, String)>,
}

impl ProviderTable {
    /// The slot of an inline token: the host takes `experimental_bearer_token` out of the table and keeps it there.
    pub const INLINE_TOKEN: &str = "config:experimental_bearer_token";

    /// Checks the types of the standard keys, and that they do not contradict each other.
    ///
    /// # Errors
    /// [`Error::Invalid`] starts with `model_providers.<id>:` and names the key.
    pub fn parse(id: &str, table: &Map<String, Value>) -> Result<Self, Error> {
        let reader = TableReader::new(format!("model_providers.{id}"), table);
        check_wire_api(&reader)?;
        let parsed = Self {
            id: id.to_owned(),
            name: reader.text("name")?,
            base_url: reader.text("base_url")?,
            env_key: reader.text("env_key")?,
            env_key_instructions: reader.text("env_key_instructions")?,
            inline_token: reader.text("experimental_bearer_token")?.is_some(),
            requires_openai_auth: reader.flag("requires_openai_auth")?.unwrap_or(false),
            supports_websockets: reader.flag("supports_websockets")?,
            auth: reader.table("auth")?,
            query: reader.texts_by_name("query_params")?,
            http_headers: reader.texts_by_name("http_headers")?,
            env_http_headers: reader.texts_by_name("env_http_headers")?,
        };
        if is_blank(parsed.name.as_deref()) {
            return Err(reader.error("name must not be blank"));
        }
        // It asks for a credential, so it is not taken for a table that asks for none.
        if is_blank(parsed.env_key.as_deref()) {
            return Err(reader.error("env_key must not be blank"));
        }
        if reader.table("aws")?.is_some() {
            return Err(reader.error("aws works only with the Amazon Bedrock providers"));
        }
        parsed.check_conflicts(&reader)?;
        Ok(parsed)
    }

    /// A table that says nothing.
    pub fn empty(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: None,
            base_url: None,
            env_key: None,
            env_key_instructions: None,
            inline_token: false,
            requires_openai_auth: false,
            supports_websockets: None,
            auth: None,
            query: Vec::new(),
            http_headers: Vec::new(),
            env_http_headers: Vec::new(),
        }
    }

    /// The endpoint this table describes. `secret_exists` is [`secrets::exists`](crate::secrets::exists), or a stand-in
    /// in unit tests: a header from an environment variable is left out where the variable is not set.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `name` is missing, or `base_url` is missing without a default or is no URL to send
    /// requests to; what `secret_exists` returns.
    pub fn endpoint(
        &self,
        default_base_url: Option<&str>,
        secret_exists: impl Fn(&str) -> Result<bool, Error>,
    ) -> Result<Endpoint, Error> {
        let name = self
            .name
            .clone()
            .ok_or_else(|| self.error("name is missing"))?;
        let base_url = self.base_url.as_deref().or(default_base_url);
        let base_url = base_url
            .ok_or_else(|| self.error("base_url is missing"))?
            .trim()
            .trim_end_matches('/');
        check_base_url(base_url).map_err(|why| self.error(&format!("base_url {why}")))?;
        let mut headers = self.literal_headers();
        for (header, variable) in &self.env_http_headers {
            let slot = format!("env:{variable}");
            if self.usable(header, "") && !variable.trim().is_empty() && secret_exists(&slot)? {
                headers.push(Header::secret(header, Secret::slot(slot)));
            }
        }
        Ok(Endpoint {
            name,
            base_url: base_url.to_owned(),
            query: self.query.clone(),
            headers,
            capabilities: None,
        })
    }

    /// The slot of the key that the table names: a variable, or an inline token. None where it names none, which asks
    /// for no credential. `secret_exists` is as for [`Self::endpoint`].
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the variable is not set; what `secret_exists` returns.
    pub fn key(
        &self,
        secret_exists: impl Fn(&str) -> Result<bool, Error>,
    ) -> Result<Option<Secret>, Error> {
        if let Some(variable) = &self.env_key {
            let slot = format!("env:{variable}");
            if secret_exists(&slot)? {
                return Ok(Some(Secret::slot(slot)));
            }
            let mut text = format!("Missing environment variable: `{variable}`.");
            if let Some(instructions) = &self.env_key_instructions {
                text.push(' ');
                text.push_str(instructions);
            }
            return Err(Error::Unavailable(text));
        }
        let inline = self.inline_token || secret_exists(Self::INLINE_TOKEN)?;
        Ok(inline.then(|| Secret::slot(Self::INLINE_TOKEN)))
    }

    /// What the service of this table can do, where one like it can do `usual`; none where that is the same.
    pub fn capabilities(&self, usual: Capabilities) -> Option<Capabilities> {
        let mut capabilities = usual;
        if let Some(supported) = self.supports_websockets {
            capabilities.set(Capabilities::WEBSOCKETS, supported);
        }
        (capabilities != usual).then_some(capabilities)
    }

    /// Values stay out of logs: many services take their key in a header of their own.
    fn literal_headers(&self) -> Vec<Header> {
        let usable = self
            .http_headers
            .iter()
            .filter(|(name, value)| self.usable(name, value));
        usable
            .map(|(name, value)| Header::plain(name, value).sensitive())
            .collect()
    }

    /// Drops what no request can carry, and says so.
    fn usable(&self, name: &str, value: &str) -> bool {
        let usable = is_field_name(name) && is_field_value(value) && !is_framing_name(name);
        if !usable {
            import::log::warn(format!(
                "model_providers.{}: `{name}` is no usable header, it is not sent",
                self.id
            ));
        }
        usable
    }

    fn check_conflicts(&self, reader: &TableReader<'_>) -> Result<(), Error> {
        if self.auth.is_none() {
            return Ok(());
        }
        let keys = [
            ("env_key", self.env_key.is_some()),
            ("experimental_bearer_token", self.inline_token),
            ("requires_openai_auth", self.requires_openai_auth),
        ];
        let set: Vec<&str> = keys
            .into_iter()
            .filter(|(_, is_set)| *is_set)
            .map(|(key, _)| key)
            .collect();
        if set.is_empty() {
            return Ok(());
        }
        Err(reader.error(&format!("auth cannot be combined with {}", set.join(", "))))
    }

    fn error(&self, text: &str) -> Error {
        Error::Invalid(format!("model_providers.{}: {text}", self.id))
    }
}

fn check_wire_api(reader: &TableReader<'_>) -> Result<(), Error> {
    match reader.text("wire_api")?.as_deref() {
        None | Some("responses") => Ok(()),
        // The host takes out of the table what a wire of its own serves.
        Some(other @ ("chat" | "messages")) => Err(reader.error(&format!(
            "wire_api = \"{other}\" is not what the plugin of this provider speaks"
        ))),
        Some(other) => Err(reader.error(&format!(
            "wire_api `{other}` is not known; there are `responses`, `chat` and `messages`"
        ))),
    }
}

/// The host parses URLs in full; this only catches what a typing error makes of one. Errors do not repeat the URL, in
/// which people put passwords and keys.
fn check_base_url(url: &str) -> Result<(), &'static str> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let authority = rest
        .ok_or("must start with https:// or http://")?
        .split(['/', '?', '#'])
        .next()
        .unwrap_or("");
    if authority.is_empty() || authority.starts_with(':') {
        return Err("names no host");
    }
    if authority.contains('@') {
        return Err("holds a user name; put credentials into env_key or auth");
    }
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("holds a blank or a control character");
    }
    if url.contains(['?', '#']) {
        return Err("holds a query or fragment; put parameters into query_params");
    }
    Ok(())
}

fn is_blank(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(table: Value) -> Result<ProviderTable, Error> {
        ProviderTable::parse("acme", table.as_object().expect("a table"))
    }

    #[track_caller]
    fn refused(table: Value, expected: &str) {
        let outcome = parse(table).and_then(|table| table.endpoint(None, |_| Ok(true)));
        assert_eq!(
            outcome,
            Err(Error::Invalid(format!("model_providers.acme: {expected}")))
        );
    }

    #[test]
    fn a_full_table_becomes_an_endpoint() {
        let table = parse(json!({
            "name": "Acme",
            "base_url": "https://llm.acme.example/v1/",
            "wire_api": "responses",
            "query_params": { "api-version": "2026-01-01", "a": "b" },
            "http_headers": { "X-Team": "core", "bad name": "x", "X-Bad": "a\nb" },
            "env_http_headers": { "X-Set": "SET", "X-Unset": "UNSET", "X-Blank": " " },
            "no_such_key": 1,
        }))
        .expect("the table is valid");
        let endpoint = table
            .endpoint(None, |slot| Ok(slot == "env:SET"))
            .expect("the endpoint is valid");
        assert_eq!(
            endpoint,
            Endpoint {
                name: "Acme".to_owned(),
                base_url: "https://llm.acme.example/v1".to_owned(),
                query: vec![
                    ("api-version".to_owned(), "2026-01-01".to_owned()),
                    ("a".to_owned(), "b".to_owned())
                ],
                headers: vec![
                    Header::plain("X-Team", "core").sensitive(),
                    Header::secret("X-Set", Secret::slot("env:SET")),
                ],
                capabilities: None,
            }
        );
    }

    #[test]
    fn a_key_that_is_named_is_needed() {
        let key = |table, set: &[&str]| {
            parse(table)
                .expect("valid")
                .key(|slot| Ok(set.contains(&slot)))
        };
        let named = json!({ "env_key": "K", "env_key_instructions": "Ask." });
        let slot = |name: &str| Ok(Some(Secret::slot(name)));
        assert_eq!(key(named.clone(), &["env:K"]), slot("env:K"));
        assert_eq!(
            key(named, &[ProviderTable::INLINE_TOKEN]),
            Err(Error::unavailable(
                "Missing environment variable: `K`. Ask."
            ))
        );
        let inline = &[ProviderTable::INLINE_TOKEN];
        assert_eq!(key(json!({}), inline), slot(ProviderTable::INLINE_TOKEN));
        assert_eq!(key(json!({}), &["env:OPENAI_API_KEY"]), Ok(None));
    }

    #[test]
    fn a_table_says_whether_there_are_web_sockets() {
        let capabilities = |table, usual| parse(table).expect("valid").capabilities(usual);
        let (without, with) = (
            Capabilities::HOSTED_TOOLS,
            Capabilities::HOSTED_TOOLS | Capabilities::WEBSOCKETS,
        );
        for usual in [with, without] {
            assert_eq!(capabilities(json!({}), usual), None);
        }
        let (yes, no) = (
            json!({ "supports_websockets": true }),
            json!({ "supports_websockets": false }),
        );
        assert_eq!(capabilities(yes.clone(), without), Some(with));
        assert_eq!(capabilities(no.clone(), with), Some(without));
        assert_eq!(
            (capabilities(yes, with), capabilities(no, without)),
            (None, None)
        );
    }

    #[test]
    fn wrong_types_name_the_key_and_never_the_value() {
        refused(json!({ "name": 5 }), "name must be a text, not a number");
        refused(
            json!({ "experimental_bearer_token": ["t"] }),
            "experimental_bearer_token must be a text, not a list",
        );
        refused(
            json!({ "requires_openai_auth": "yes" }),
            "requires_openai_auth must be true or false, not a text",
        );
        refused(
            json!({ "query_params": [] }),
            "query_params must be a table, not a list",
        );
        refused(
            json!({ "http_headers": { "X-A": 1 } }),
            "http_headers.X-A must be a text, not a number",
        );
    }

    #[test]
    fn names_and_addresses_are_needed() {
        refused(json!({}), "name is missing");
        refused(json!({ "name": " " }), "name must not be blank");
        refused(json!({ "name": "A" }), "base_url is missing");
        let blank = json!({ "name": "A", "env_key": " " });
        refused(blank, "env_key must not be blank");
        let with_url = |url: &str| json!({ "name": "A", "base_url": url });
        refused(
            with_url("llm.acme.example"),
            "base_url must start with https:// or http://",
        );
        refused(with_url("https:///v1"), "base_url names no host");
        refused(with_url("https://:443"), "base_url names no host");
        refused(
            with_url("https://a b"),
            "base_url holds a blank or a control character",
        );
        refused(
            with_url("https://u:p@acme.example"),
            "base_url holds a user name; put credentials into env_key or auth",
        );
        refused(
            with_url("https://acme.example/v1?key=1"),
            "base_url holds a query or fragment; put parameters into query_params",
        );
    }

    #[test]
    fn contradictions_are_listed_in_order() {
        let auth = json!({ "command": "token" });
        refused(
            json!({ "auth": auth, "requires_openai_auth": true, "env_key": "K", "experimental_bearer_token": "slot" }),
            "auth cannot be combined with env_key, experimental_bearer_token, requires_openai_auth",
        );
        refused(
            json!({ "aws": {} }),
            "aws works only with the Amazon Bedrock providers",
        );
        refused(
            json!({ "wire_api": "grpc" }),
            "wire_api `grpc` is not known; there are `responses`, `chat` and `messages`",
        );
    }
}
