//! The request's headers: put together, shown to the provider for signing, and filled with secrets last.

use dovetail_core::ids::PluginId;
use dovetail_core::model::ModelRequest;
use dovetail_core::plugin::{
    CONNECTION_HEADERS, HeaderTemplate, PluginError, RequestHead, ValuePart,
};
use dovetail_core::secret::Egress;
use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue};

use crate::client::ClientOptions;
use crate::redact::Redactor;

/// The protocol that is spoken on WebSockets, as the service names it.
const SOCKET_PROTOCOL: &str = "responses_websockets=2026-02-06";
/// Says that the request's tools are an item of its input.
const LITE: &str = "x-openai-internal-codex-responses-lite";

/// A header that is not filled yet.
enum Value {
    Plain(String),
    /// Of the endpoint, which the user's table has a say in.
    Template(HeaderTemplate),
    /// Of a credential.
    Credential(HeaderTemplate),
}

/// The headers of one request, in the order they are sent.
#[derive(Default)]
pub(crate) struct Head(Vec<(String, Value)>);

/// Why the headers cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeadError {
    #[error(transparent)]
    Secret(#[from] PluginError),
    #[error("header `{0}` has a name or a value that HTTP does not allow")]
    Invalid(String),
    #[error("header `{0}` is the host's own to set, no credential has it")]
    Reserved(String),
}

impl Head {
    /// Everything but the credential.
    pub(crate) fn new(
        request: &ModelRequest,
        fixed: &[HeaderTemplate],
        options: &ClientOptions,
    ) -> Self {
        let mut head = Self::default();
        if let Some(version) = &options.version {
            head.set("version", version.clone());
        }
        for template in fixed {
            head.add(of_model(template, &request.model));
        }
        let chosen_agent = head.position("user-agent").map(|at| head.0.remove(at));
        for (name, value) in request.metadata.headers() {
            head.set(name, value);
            // Sticky routing belongs right behind the first.
            if let ("x-codex-beta-features", Some(state)) = (name, &request.turn_state) {
                head.set("x-codex-turn-state", state.clone());
            }
            if name == "x-codex-turn-metadata" && request.tools_item_id.is_some() {
                head.set(LITE, "true".to_owned());
            }
        }
        head.set("accept", "text/event-stream".to_owned());
        head.set("content-type", "application/json".to_owned());
        head.set("originator", options.originator.clone());
        match chosen_agent {
            Some(agent) => head.0.push(agent),
            None => head.set("user-agent", options.user_agent.clone()),
        }
        head
    }

    /// The same for a service that speaks another API: nothing in it is about Responses. `headers` are the wire's own.
    pub(crate) fn of_wire(
        request: &ModelRequest,
        fixed: &[HeaderTemplate],
        options: &ClientOptions,
        headers: Vec<(String, String)>,
    ) -> Self {
        let mut head = Self::default();
        for (name, value) in request.metadata.headers() {
            // What finds a request again in the logs of both sides.
            if name == "x-client-request-id" {
                head.set(name, value);
            }
        }
        head.set("accept", "text/event-stream, application/json".to_owned());
        head.set("content-type", "application/json".to_owned());
        head.set("originator", options.originator.clone());
        head.set("user-agent", options.user_agent.clone());
        for (name, value) in headers {
            head.set(&name, value);
        }
        // The user's own word is the last.
        for template in fixed {
            head.add(template.clone());
        }
        head
    }

    /// The headers of a question for a list of models; `known` is the tag of the list that is there already.
    pub(crate) fn of_listing(
        fixed: &[HeaderTemplate],
        options: &ClientOptions,
        known: Option<&str>,
    ) -> Self {
        let mut head = Self::default();
        // What names the model that is asked has nothing to name.
        for template in fixed.iter().filter(|template| !names_model(template)) {
            head.add(template.clone());
        }
        let chosen_agent = head.position("user-agent").map(|at| head.0.remove(at));
        head.set("accept", "*/*".to_owned());
        if let Some(known) = known {
            head.set("if-none-match", known.to_owned());
        }
        head.set("originator", options.originator.clone());
        match chosen_agent {
            Some(agent) => head.0.push(agent),
            None => head.set("user-agent", options.user_agent.clone()),
        }
        head
    }

    /// The same for the upgrade of a connection that is made for a request.
    pub(crate) fn of_upgrade(
        request: &ModelRequest,
        fixed: &[HeaderTemplate],
        options: &ClientOptions,
    ) -> Self {
        let mut head = Self::default();
        head.set("user-agent", options.user_agent.clone());
        head.set("originator", options.originator.clone());
        head.set("openai-beta", SOCKET_PROTOCOL.to_owned());
        for (name, value) in request.metadata.handshake_headers() {
            head.set(name, value);
            match name {
                "x-codex-turn-metadata" => {
                    if let Some(version) = &options.version {
                        head.set("version", version.clone());
                    }
                    for template in fixed {
                        head.add(of_model(template, &request.model));
                    }
                    if request.tools_item_id.is_some() {
                        head.set(LITE, "true".to_owned());
                    }
                }
                "x-codex-beta-features" => {
                    if let Some(state) = &request.turn_state {
                        head.set("x-codex-turn-state", state.clone());
                    }
                }
                _ => {}
            }
        }
        head
    }

    /// Says how the body is compressed.
    pub(crate) fn set_encoding(&mut self, encoding: &str) {
        self.set("content-encoding", encoding.to_owned());
    }

    /// Adds a credential's headers, which replace any others of their names.
    pub(crate) fn add_credential(&mut self, headers: &[HeaderTemplate]) {
        for template in headers {
            while let Some(at) = self.position(&template.name) {
                self.0.remove(at);
            }
        }
        // Where existing clients have them: before what nobody signs.
        let unsigned = ["originator", "user-agent"];
        let at = unsigned.iter().filter_map(|name| self.position(name)).min();
        let at = at.unwrap_or(self.0.len());
        let added = headers
            .iter()
            .map(|template| (template.name.clone(), Value::Credential(template.clone())));
        self.0.splice(at..at, added);
    }

    /// Removes headers that the service, or its signature, cannot have.
    pub(crate) fn remove(&mut self, names: &[String]) {
        self.0.retain(|(name, _)| {
            !names
                .iter()
                .any(|removed| removed.eq_ignore_ascii_case(name))
        });
    }

    /// The request as the provider may see it: secrets are empty.
    pub(crate) fn unsigned(&self, method: &str, url: &str) -> RequestHead {
        let visible = |value: &Value| match value {
            Value::Plain(text) => text.clone(),
            Value::Template(template) | Value::Credential(template) => {
                literal(template).unwrap_or_default()
            }
        };
        let headers = self
            .0
            .iter()
            .map(|(name, value)| (name.clone(), visible(value)))
            .collect();
        RequestHead {
            method: method.to_owned(),
            url: url.to_owned(),
            headers,
        }
    }

    /// Fills the secrets in. What is secret is remembered by `redactor`.
    pub(crate) fn fill(
        self,
        egress: &dyn Egress,
        plugin: &PluginId,
        url: &str,
        redactor: &mut Redactor,
    ) -> Result<HeaderMap, HeadError> {
        let mut map = HeaderMap::with_capacity(self.0.len());
        for (name, value) in self.0 {
            let invalid = || HeadError::Invalid(name.clone());
            let header = HeaderName::try_from(name.as_str()).map_err(|_| invalid())?;
            if value.is_reserved(&header) {
                return Err(HeadError::Reserved(name));
            }
            let filled = match value {
                Value::Plain(text) => {
                    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| invalid())?
                }
                Value::Template(template) | Value::Credential(template) => {
                    let text = egress.render(plugin, url, &template)?;
                    let mut filled =
                        HeaderValue::from_bytes(text.expose().as_bytes()).map_err(|_| invalid())?;
                    if template.sensitive || literal(&template).is_none() {
                        filled.set_sensitive(true);
                        redactor.hide(text);
                    }
                    filled
                }
            };
            map.append(header, filled);
        }
        Ok(map)
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.0
            .iter()
            .position(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
    }

    /// Sets a header, in the place of the one that there is.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        self.put(name.to_owned(), Value::Plain(value));
    }

    fn add(&mut self, template: HeaderTemplate) {
        self.put(template.name.clone(), Value::Template(template));
    }

    fn put(&mut self, name: String, value: Value) {
        match self.position(&name) {
            Some(at) => self.0[at].1 = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Value {
    /// Whether a header of that name and origin would change where the request goes, or where it ends. The user's table
    /// may name another virtual host of the same address, a credential may not.
    fn is_reserved(&self, name: &HeaderName) -> bool {
        let is_own = CONNECTION_HEADERS.contains(&name.as_str());
        match self {
            Self::Plain(_) => false,
            Self::Template(_) => is_own && *name != HOST,
            Self::Credential(_) => is_own,
        }
    }
}

/// What stands for the model's name where a part of an endpoint's header is nothing else.
const MODEL: &str = "{model}";

/// Whether a header of the endpoint says which model is asked.
fn names_model(template: &HeaderTemplate) -> bool {
    let mut parts = template.value.iter();
    parts.any(|part| matches!(part, ValuePart::Literal(text) if text == MODEL))
}

/// A header of the endpoint for requests to a model.
fn of_model(template: &HeaderTemplate, model: &str) -> HeaderTemplate {
    let part = |part: &ValuePart| match part {
        ValuePart::Literal(text) if text == MODEL => ValuePart::Literal(model.to_owned()),
        other => other.clone(),
    };
    HeaderTemplate {
        value: template.value.iter().map(part).collect(),
        ..template.clone()
    }
}

/// The text of a template that names no secret.
fn literal(template: &HeaderTemplate) -> Option<String> {
    let parts = template.value.iter().map(|part| match part {
        ValuePart::Literal(text) => Some(text.as_str()),
        ValuePart::Secret(_) => None,
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(name: &str, value: ValuePart) -> HeaderTemplate {
        HeaderTemplate {
            name: name.to_owned(),
            value: vec![value],
            sensitive: false,
        }
    }

    #[test]
    fn a_header_may_name_the_model() {
        let literal = |text: &str| ValuePart::Literal(text.to_owned());
        let mut hint = template("x-hint", literal("model="));
        hint.value.push(literal(MODEL));
        let filled = of_model(&hint, "m-1");
        assert_eq!(filled.value, [literal("model="), literal("m-1")]);
        let fixed = template("x-fixed", literal("a {model}"));
        assert_eq!(of_model(&fixed, "m-1"), fixed);
    }

    #[test]
    fn a_credential_replaces_and_is_not_shown() {
        let mut head = Head::default();
        head.set("Authorization", "mine".to_owned());
        head.set("x_odd", "1".to_owned());
        head.set("originator", "o".to_owned());
        let key = template("authorization", ValuePart::Secret("api-key".to_owned()));
        head.add_credential(&[
            key,
            template("x-account", ValuePart::Literal("a1".to_owned())),
        ]);
        head.remove(&["X_Odd".to_owned()]);
        let shown = head.unsigned("POST", "https://a.example/v1/responses");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            shown.headers,
            [
                pair("authorization", ""),
                pair("x-account", "a1"),
                pair("originator", "o")
            ]
        );
    }
}
