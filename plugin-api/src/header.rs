//! Header templates: what a plugin wants sent, with secrets named instead of held.

use std::fmt;

use crate::bindings::imports::dovetail::plugin::types;

/// The name of a secret slot. The host puts the secret in when the request leaves, for granted hosts only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Names a slot. The plugin's manifest lists it under `secrets`; what fills it is the user's business.
    pub fn slot(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The slot's name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// A part of a header value. Texts and [`Secret`]s convert into it.
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it is.
    Literal(String),
    /// The value of a secret slot.
    Secret(Secret),
}

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Self::Literal(text.to_owned())
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Self::Literal(text)
    }
}

impl From<Secret> for Part {
    fn from(secret: Secret) -> Self {
        Self::Secret(secret)
    }
}

/// A header to set. Setting a name that is there already replaces it.
///
/// ```
/// use dovetail_plugin_api::{Header, Secret};
///
/// // Authorization: Bearer <the secret>
/// let bearer = Header::bearer(Secret::slot("acme-token"));
/// // X-Acme-Key: v2:<the secret>
/// let key = Header::parts("X-Acme-Key", ["v2:".into(), Secret::slot("acme-token").into()]);
///
/// assert!(bearer.is_sensitive() && key.is_sensitive());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: Vec<Part>,
    sensitive: bool,
}

impl Header {
    /// A header whose value may appear in logs.
    pub fn plain(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: vec![Part::Literal(value.into())],
            sensitive: false,
        }
    }

    /// A header that consists of one secret.
    pub fn secret(name: impl Into<String>, secret: Secret) -> Self {
        Self::parts(name, [Part::Secret(secret)])
    }

    /// `Authorization: Bearer …`, kept out of logs. Takes a [`Secret`], or the token itself where the plugin made it.
    pub fn bearer(token: impl Into<Part>) -> Self {
        Self::parts("Authorization", [Part::from("Bearer "), token.into()]).sensitive()
    }

    /// A header whose value is put together from texts and secrets. Sensitive if there is a secret among them.
    pub fn parts(name: impl Into<String>, parts: impl IntoIterator<Item = Part>) -> Self {
        let value: Vec<Part> = parts.into_iter().collect();
        let sensitive = value.iter().any(|part| matches!(part, Part::Secret(_)));
        Self {
            name: name.into(),
            value,
            sensitive,
        }
    }

    /// Keeps the value out of logs and telemetry.
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// The field name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The parts of the value, joined without a separator when the request leaves.
    pub fn value(&self) -> &[Part] {
        &self.value
    }

    /// Whether the value stays out of logs and telemetry.
    pub fn is_sensitive(&self) -> bool {
        self.sensitive
    }
}

/// Shows literal text only where the header is not sensitive: a plugin may have put a token there.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        for part in &self.value {
            match part {
                Part::Literal(_) if self.sensitive => f.write_str("…")?,
                Part::Literal(text) => f.write_str(text)?,
                Part::Secret(secret) => write!(f, "<{}>", secret.name())?,
            }
        }
        Ok(())
    }
}

/// Literal text is not shown: alone, a part does not know whether it is sensitive.
impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("Literal(…)"),
            Self::Secret(secret) => write!(f, "Secret({})", secret.name()),
        }
    }
}

/// Whether a text can be a header's field name.
pub fn is_field_name(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

/// Whether a text can be a header's value: no control characters except tabs.
pub fn is_field_value(text: &str) -> bool {
    text.chars().all(|c| c == '\t' || !c.is_control())
}

/// Whether a header says where a request or its connection ends. Only whoever sends it knows.
pub fn is_framing_name(name: &str) -> bool {
    const FRAMING: [&str; 10] = [
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "expect",
    ];
    FRAMING.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether a text can be a bearer token: visible ASCII without blanks. Anything else is an error message, a byte order
/// mark or a typographic quote that came along.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl From<Header> for types::Header {
    fn from(header: Header) -> Self {
        let part = |part| match part {
            Part::Literal(text) => types::ValuePart::Literal(text),
            Part::Secret(Secret(slot)) => types::ValuePart::Secret(slot),
        };
        Self {
            name: header.name,
            value: header.value.into_iter().map(part).collect(),
            sensitive: header.sensitive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensitive_value_is_not_printed() {
        let header = Header::bearer("tok-123");
        assert_eq!(format!("{header:?}"), "Authorization: ……");
        let header = Header::bearer(Secret::slot("acme"));
        assert_eq!(format!("{header:?}"), "Authorization: …<acme>");
        assert_eq!(format!("{:?}", Header::plain("version", "1")), "version: 1");
    }

    #[test]
    fn names_and_values_are_checked() {
        assert!(is_field_name("X-Acme-Key"));
        for bad in ["", "X Acme", "X:Acme", "Ä", "a\r\n"] {
            assert!(!is_field_name(bad), "{bad:?}");
        }
        assert!(is_field_value("a\tb ü"));
        assert!(!is_field_value("a\r\nX-Evil: 1"));
        assert!(is_framing_name("Content-Length") && !is_framing_name("Host"));
        assert!(is_token("sk-1~/+=") && is_token("[\"{}"));
        for bad in [
            "",
            "not signed in",
            "a\t",
            "\u{feff}sk-1",
            "t\u{f6}ken",
            "sk\u{7f}",
        ] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }
}
