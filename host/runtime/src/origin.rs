//! Network origins that a plugin may reach: scheme, host and port, with whole-label wildcards; where wanted with the
//! methods and the path that its own requests are bound to.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use crate::capability::Meet;
use crate::request_scope::RequestScope;

/// Why a text is no origin pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an origin: {why}")]
pub struct InvalidOrigin {
    text: String,
    why: &'static str,
}

/// An origin such as `https://llm.acme.example`, `https://*.acme.example` or `http://localhost:*`, or a part of one
/// such as `GET,HEAD https://llm.acme.example/v1/models`.
///
/// `*` stands for exactly one label of the name, and never for one of the last two, so that no pattern covers a
/// whole top-level domain. Only the port may be `*` beside a name without dots or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginPattern {
    scheme: Scheme,
    host: HostPattern,
    port: PortPattern,
    scope: RequestScope,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Scheme {
    Http,
    Https,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum HostPattern {
    Address(IpAddr),
    Name(Vec<Label>),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Label {
    Exact(String),
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum PortPattern {
    Exact(u16),
    Any,
}

impl OriginPattern {
    /// Reads a pattern. A missing port is the scheme's own.
    ///
    /// # Errors
    /// Says what an origin consists of.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = |why| InvalidOrigin {
            text: text.to_owned(),
            why,
        };
        let (methods, origin) = match text.split_once(' ') {
            Some((methods, origin)) => (Some(methods), origin.trim_start()),
            None => (None, text),
        };
        let (scheme, rest) = match origin.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            _ => return Err(invalid("start it with `https://` or `http://`")),
        };
        if rest.contains(['?', '#', '@', '\\']) {
            return Err(invalid("leave out query and user name"));
        }
        let (rest, path) = match rest.find('/') {
            Some(at) => (&rest[..at], Some(&rest[at..])),
            None => (rest, None),
        };
        let scope = RequestScope::parse(methods, path).map_err(invalid)?;
        let (host, port) = split_port(rest);
        let port = match port {
            None => PortPattern::Exact(scheme.default_port()),
            Some("*") => PortPattern::Any,
            Some(digits) => match digits.parse() {
                Ok(number) if number != 0 => PortPattern::Exact(number),
                _ => return Err(invalid("the port is a number from 1 to 65535, or `*`")),
            },
        };
        let host = HostPattern::parse(host).map_err(invalid)?;
        Ok(Self {
            scheme,
            host,
            port,
            scope,
        })
    }

    /// Whether a URL is one of those meant, for some method at least.
    pub fn matches(&self, url: &Url) -> bool {
        self.is_origin_of(url) && self.scope.matches(None, url)
    }

    /// Whether a request is one of those meant.
    pub fn allows(&self, method: &str, url: &Url) -> bool {
        self.is_origin_of(url) && self.scope.matches(Some(method), url)
    }

    /// Whether a URL has such an origin, whatever its path.
    pub(crate) fn is_origin_of(&self, url: &Url) -> bool {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return false,
        };
        let port = url.port().unwrap_or_else(|| scheme.default_port());
        let port_fits = match self.port {
            PortPattern::Any => true,
            PortPattern::Exact(exact) => exact == port,
        };
        scheme == self.scheme
            && port_fits
            && url.host().is_some_and(|host| self.host.matches(&host))
    }

    /// The address, where the host is written as one.
    pub fn address(&self) -> Option<IpAddr> {
        match &self.host {
            HostPattern::Address(address) => Some(*address),
            HostPattern::Name(_) => None,
        }
    }

    /// Whether what goes there can be read on the way: plain HTTP to another machine.
    pub fn is_exposed(&self) -> bool {
        let here = match &self.host {
            HostPattern::Address(address) => address.is_loopback(),
            HostPattern::Name(labels) => {
                matches!(labels.last(), Some(Label::Exact(last)) if last == "localhost")
            }
        };
        self.scheme == Scheme::Http && !here
    }
}

impl Scheme {
    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl HostPattern {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("the host is missing");
        }
        if !text.contains('*') {
            // `Host` knows every way to write an IPv4 address, and turns names into the form URLs have.
            return match Host::parse(text) {
                Ok(Host::Ipv4(address)) => Ok(Self::Address(address.into())),
                Ok(Host::Ipv6(address)) => Ok(Self::Address(address.into())),
                Ok(Host::Domain(name)) => Self::name(&name),
                Err(_) => Err("the host is neither a name nor an address"),
            };
        }
        Self::name(text)
    }

    fn name(text: &str) -> Result<Self, &'static str> {
        let labels: Vec<Label> = text
            .split('.')
            .map(|label| match label {
                "*" => Ok(Label::Any),
                _ if is_label(label) => Ok(Label::Exact(label.to_ascii_lowercase())),
                _ => {
                    Err("`*` stands for a whole label, and labels are letters, digits, `-` and `_`")
                }
            })
            .collect::<Result<_, _>>()?;
        if labels
            .iter()
            .rev()
            .take(2)
            .any(|label| *label == Label::Any)
        {
            return Err("the last two labels must be names");
        }
        Ok(Self::Name(labels))
    }

    fn matches(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::Address(address), Host::Ipv4(other)) => *address == IpAddr::from(*other),
            (Self::Address(address), Host::Ipv6(other)) => *address == IpAddr::from(*other),
            (Self::Name(labels), Host::Domain(name)) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                name.split('.').count() == labels.len()
                    && labels
                        .iter()
                        .zip(name.split('.'))
                        .all(|(label, text)| match label {
                            Label::Any => !text.is_empty(),
                            Label::Exact(exact) => exact.eq_ignore_ascii_case(text),
                        })
            }
            (Self::Address(_), Host::Domain(_))
            | (Self::Name(_), Host::Ipv4(_) | Host::Ipv6(_)) => false,
        }
    }

    fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Address(a), Self::Address(b)) => (a == b).then_some(Self::Address(*a)),
            (Self::Name(a), Self::Name(b)) if a.len() == b.len() => a
                .iter()
                .zip(b)
                .map(|(a, b)| a.meet(b))
                .collect::<Option<_>>()
                .map(Self::Name),
            (Self::Name(_) | Self::Address(_), _) => None,
        }
    }
}

impl Label {
    fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, label) | (label, Self::Any) => Some(label.clone()),
            (Self::Exact(a), Self::Exact(b)) => (a == b).then(|| self.clone()),
        }
    }
}

impl PortPattern {
    fn meet(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, port) | (port, Self::Any) => Some(port),
            (Self::Exact(a), Self::Exact(b)) => (a == b).then_some(self),
        }
    }
}

impl Meet for OriginPattern {
    fn meet(&self, other: &Self) -> Option<Self> {
        if self.scheme != other.scheme {
            return None;
        }
        let host = self.host.meet(&other.host)?;
        let port = self.port.meet(other.port)?;
        Some(Self {
            scheme: self.scheme,
            host,
            port,
            scope: self.scope.meet(&other.scope)?,
        })
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}://", self.scope.before(), self.scheme.text())?;
        match &self.host {
            HostPattern::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            HostPattern::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            HostPattern::Name(labels) => {
                for (index, label) in labels.iter().enumerate() {
                    let dot = if index == 0 { "" } else { "." };
                    let text = match label {
                        Label::Exact(text) => text.as_str(),
                        Label::Any => "*",
                    };
                    write!(f, "{dot}{text}")?;
                }
            }
        }
        match self.port {
            PortPattern::Any => f.write_str(":*")?,
            PortPattern::Exact(port) if port == self.scheme.default_port() => {}
            PortPattern::Exact(port) => write!(f, ":{port}")?,
        }
        f.write_str(self.scope.behind())
    }
}

/// The origin of a URL as a person would grant it: scheme, host, and a port that is not the scheme's own.
pub(crate) fn origin_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

/// Splits at the port's colon, which is not one of those inside an IPv6 address.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, url: &str, expected: bool) {
        let pattern = OriginPattern::parse(pattern).expect("the pattern is valid");
        let url = Url::parse(url).expect("the url is valid");
        assert_eq!(pattern.matches(&url), expected, "{pattern} and {url}");
    }

    #[test]
    fn origins_match_by_scheme_host_and_port() {
        check("https://a.example", "https://a.example/v1?x=1", true);
        check("https://a.example", "https://a.example:443/", true);
        check("https://a.example", "https://A.EXAMPLE./", true);
        check("https://a.example", "http://a.example/", false);
        check("https://a.example", "https://a.example:8443/", false);
        check("https://a.example:8443", "https://a.example:8443/", true);
        check("https://a.example:*", "https://a.example:8443/", true);
        check("https://a.example", "https://b.a.example/", false);
        check("https://a.example", "https://a.example.evil.test/", false);
        check("http://127.0.0.1:80", "http://127.1/", true);
        check("http://127.0.0.1", "http://localhost/", false);
        check("http://[::1]:8080", "http://[::1]:8080/", true);
        check("http://localhost:*", "http://localhost:1234/", true);
    }

    #[test]
    fn a_star_is_exactly_one_label() {
        check("https://*.acme.example", "https://llm.acme.example/", true);
        check("https://*.acme.example", "https://acme.example/", false);
        check("https://*.acme.example", "https://a.b.acme.example/", false);
        check(
            "https://bedrock-runtime.*.amazonaws.com",
            "https://bedrock-runtime.eu-west-1.amazonaws.com/",
            true,
        );
        check(
            "https://bedrock-runtime.*.amazonaws.com",
            "https://evil.eu-west-1.amazonaws.com/",
            false,
        );
    }

    #[test]
    fn patterns_print_as_they_are_written() {
        for text in [
            "https://a.example",
            "http://*.a.example:8080",
            "http://[::1]:*",
            "http://127.0.0.1:11434",
            "GET,POST https://a.example:8443/v1/models",
        ] {
            assert_eq!(OriginPattern::parse(text).expect("valid").to_string(), text);
        }
        assert_eq!(
            OriginPattern::parse("https://A.Example:443")
                .expect("valid")
                .to_string(),
            "https://a.example"
        );
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "a.example",
            "ftp://a.example",
            "https://",
            "https://*",
            "https://*.com",
            "https://a.*",
            "https://a.example/v1/*",
            "get https://a.example",
            "https://a.example GET",
            "https://u@a.example",
            "https://a.example:0",
            "https://a.example:99999",
            "https://a*.b.example",
            "https://a..example",
            "https://*.a b.example",
            "https://[::1",
            "https://a.example:",
        ] {
            assert!(OriginPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_meet_is_what_both_allow() {
        let cases = [
            (
                "https://*.acme.example",
                "https://llm.acme.example",
                Some("https://llm.acme.example"),
            ),
            (
                "https://*.b.acme.example",
                "https://a.*.acme.example",
                Some("https://a.b.acme.example"),
            ),
            (
                "http://localhost:*",
                "http://localhost:8080",
                Some("http://localhost:8080"),
            ),
            (
                "GET,POST https://*.acme.example/v1",
                "GET https://llm.acme.example/v1/models",
                Some("GET https://llm.acme.example/v1/models"),
            ),
            ("GET https://a.example", "POST https://a.example", None),
            ("https://a.example", "http://a.example:443", None),
            ("https://a.example", "https://b.example", None),
        ];
        for (a, b, expected) in cases {
            let (a, b) = (
                OriginPattern::parse(a).expect("valid"),
                OriginPattern::parse(b).expect("valid"),
            );
            assert_eq!(a.meet(&b).map(|o| o.to_string()).as_deref(), expected);
            assert_eq!(a.meet(&b), b.meet(&a));
        }
    }

    #[test]
    fn plain_http_to_another_machine_is_exposed() {
        let exposed = |text| OriginPattern::parse(text).expect("valid").is_exposed();
        assert!(exposed("http://gpu.lan.example:8000"));
        assert!(!exposed("http://localhost:8000"));
        assert!(!exposed("http://127.0.0.1"));
        assert!(!exposed("https://gpu.lan.example"));
    }
}
