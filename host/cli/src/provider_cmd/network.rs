//! The way to a server, step by step: its name, a connection, a proxy, encryption. Nothing is sent.

use std::net::SocketAddr;
use std::time::Duration;

use dovetail_http::reach::{self, CertificateFault, Unreached};
use dovetail_http::{CA_VARIABLE, is_loopback, proxy};
use tokio::net::TcpStream;
use url::{Host, Url};

use super::step::{Failed, Outcome, Told};
use crate::args::LocalProvider;

/// A server on another continent needs a tenth of this for any of these steps.
const PATIENCE: Duration = Duration::from_secs(10);
/// For one of several addresses of a name.
const ONE_ADDRESS: Duration = Duration::from_secs(4);

/// The way to a base URL.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// Where requests go.
    url: Url,
    /// The proxy on the way: the variable that names it, and where it is.
    proxy: Option<(&'static str, Url)>,
    /// Where `url` is written down, for people.
    place: String,
    local: Option<LocalProvider>,
}

impl Way {
    /// The way that requests to `url` take; `place` is where that is written down.
    pub(super) fn to(url: Url, place: String, local: Option<LocalProvider>) -> Self {
        let named = proxy::of_environment(&url);
        let proxy = named.and_then(|name| Some((name, proxy_url(&std::env::var(name).ok()?)?)));
        Self {
            url,
            proxy,
            place,
            local,
        }
    }

    /// Who is connected to: the proxy, or the server itself.
    fn first(&self) -> &Url {
        self.proxy.as_ref().map_or(&self.url, |(_, url)| url)
    }

    fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether conversations would be readable by everybody on the way.
    pub(super) fn is_exposed(&self) -> bool {
        !self.is_encrypted() && !is_loopback(&self.url)
    }

    /// Whether the server is on this machine.
    pub(super) fn is_local(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Finds the addresses of the name.
    pub(super) async fn dns(&self) -> Outcome<Vec<SocketAddr>> {
        let first = self.first();
        let host = first.host_str().unwrap_or_default();
        let found = tokio::time::timeout(PATIENCE, reach::resolve(first)).await;
        let found = match found {
            Ok(found) => found.map_err(|error| error.to_string()),
            Err(_elapsed) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        let addresses = found.map_err(|why| {
            Failed::new(
                format!("{}`{host}` cannot be found: {why}", self.whose()),
                self.unknown_name(),
            )
        })?;
        if matches!(first.host(), Some(Host::Ipv4(_) | Host::Ipv6(_))) {
            return Ok(Told::skipped(addresses, format!("{host} is an address")));
        }
        let mut shown: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
        shown.dedup();
        let more = shown.len().saturating_sub(2);
        shown.truncate(2);
        let mut fact = format!("{}{host} is {}", self.whose(), shown.join(", "));
        if more > 0 {
            fact.push_str(&format!(" and {more} more"));
        }
        Ok(Told::ok(addresses, fact))
    }

    /// Connects to one of them.
    pub(super) async fn tcp(&self, addresses: &[SocketAddr]) -> Outcome<()> {
        let connecting = async {
            let mut last = None;
            for address in addresses {
                let why = match tokio::time::timeout(ONE_ADDRESS, TcpStream::connect(address)).await
                {
                    Ok(Ok(_)) => return Ok(*address),
                    Ok(Err(error)) => error.to_string(),
                    Err(_elapsed) => format!("no answer within {} s", ONE_ADDRESS.as_secs()),
                };
                last = Some((*address, why));
            }
            Err(last)
        };
        let refused = match tokio::time::timeout(PATIENCE, connecting).await {
            Ok(Ok(address)) => {
                let fact = format!("{}{address} accepts connections", self.whose());
                return Ok(Told::ok((), fact));
            }
            Ok(Err(Some((address, why)))) => format!("{address}: {why}"),
            Ok(Err(None)) => "there is no address".to_owned(),
            Err(_elapsed) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        Err(Failed::new(
            format!("{}{refused}", self.whose()),
            self.nobody_listens(),
        ))
    }

    /// Goes through the proxy, where there is one, and makes the connection safe, where it is to be. The first outcome is
    /// the proxy's; the second there is none of where the first is a failure.
    pub(super) async fn beyond(&self) -> (Outcome<()>, Option<Outcome<()>>) {
        let reached = match self.is_encrypted() {
            true => reach::connect(&self.url, PATIENCE).await,
            false => Ok(()),
        };
        let through = match &self.proxy {
            None => Ok(Told::skipped((), "none is used")),
            Some((name, url)) => match &reached {
                Err(Unreached::Refused(why)) => return (Err(self.stuck(name, url, why)), None),
                Err(late @ Unreached::Late(_)) => {
                    return (Err(self.stuck(name, url, &late.to_string())), None);
                }
                Ok(()) | Err(_) => Ok(Told::ok((), format!("through {} (`{name}`)", host_of(url)))),
            },
        };
        let tls = match reached {
            Ok(()) if self.is_encrypted() => Ok(Told::ok((), "the certificate is trusted")),
            Ok(()) => Ok(Told::skipped((), self.plain())),
            Err(error) => Err(self.not_safe(&error)),
        };
        (through, Some(tls))
    }

    fn plain(&self) -> &'static str {
        match self.is_exposed() {
            true => "http:// is not encrypted: whoever is on the way can read key and conversation",
            false => "http:// is not encrypted, and does not leave this machine",
        }
    }

    fn whose(&self) -> String {
        match &self.proxy {
            Some((name, _)) => format!("the proxy of `{name}`: "),
            None => String::new(),
        }
    }

    fn unknown_name(&self) -> Vec<String> {
        if let Some((name, _)) = &self.proxy {
            return vec![format!("correct {name}, or take it away")];
        }
        vec![
            format!("is the name right? It is written in {}", self.place),
            "behind a company's proxy: set HTTPS_PROXY; is a VPN needed?".to_owned(),
        ]
    }

    fn nobody_listens(&self) -> Vec<String> {
        if let Some((name, _)) = &self.proxy {
            return vec![format!(
                "is the proxy running? Correct {name}, or take it away"
            )];
        }
        let mut fix = Vec::new();
        match self.local {
            Some(local) => fix.push(format!("start it with {}", local.start())),
            None if is_loopback(&self.url) => fix.push("start the server".to_owned()),
            None => fix.push(
                "is a firewall in between? Behind a company's proxy: set HTTPS_PROXY".to_owned(),
            ),
        }
        fix.push(format!(
            "is the port right? It is written in {}",
            self.place
        ));
        fix
    }

    fn stuck(&self, name: &str, proxy: &Url, why: &str) -> Failed {
        let host = self.url.host_str().unwrap_or_default();
        let fact = format!(
            "the proxy {} (`{name}`) does not lead to {host}: {why}",
            host_of(proxy)
        );
        let fix = vec![
            format!("a proxy that asks who you are: {name}=http://user:password@host:port"),
            format!("to go around it: NO_PROXY={host}"),
        ];
        Failed::new(fact, fix)
    }

    fn not_safe(&self, error: &Unreached) -> Failed {
        let host = self.url.host_str().unwrap_or_default();
        let fix = match error {
            Unreached::Untrusted { fault, .. } => self.for_certificate(*fault),
            Unreached::Unusable(_) => vec!["correct the variable, or take it away".to_owned()],
            Unreached::Unsafe(_) => vec![
                format!(
                    "is this the port for https? base_url is written in {}",
                    self.place
                ),
                format!("a server without encryption: http://{host}, on this machine alone"),
            ],
            Unreached::Refused(_) | Unreached::Late(_) | Unreached::Unprepared(_) => {
                vec!["try again; does something in between cut connections?".to_owned()]
            }
        };
        Failed::new(format!("no secure connection to {host}: {error}"), fix)
    }

    fn for_certificate(&self, fault: CertificateFault) -> Vec<String> {
        match fault {
            CertificateFault::UnknownIssuer | CertificateFault::Other => vec![
                format!(
                    "where its authority is a private one: {CA_VARIABLE}=/path/to/authority.pem"
                ),
                "a proxy that reads TLS has an authority of its own, too".to_owned(),
            ],
            CertificateFault::Expired => vec![
                "whoever runs the server has to renew it".to_owned(),
                format!("is this machine's clock right? It says {}", now()),
            ],
            CertificateFault::NotYetValid => {
                vec![format!("is this machine's clock right? It says {}", now())]
            }
            CertificateFault::Authority => vec![
                "give the server a certificate of its own, without CA:TRUE: openssl req -x509 … -addext basicConstraints=critical,CA:FALSE".to_owned(),
                format!("then name it here: {CA_VARIABLE}=/path/to/certificate.pem"),
            ],
            CertificateFault::WrongName => vec![format!(
                "use the name that the certificate is for; base_url is written in {}",
                self.place
            )],
        }
    }
}

fn now() -> String {
    let now = jiff::Timestamp::now().to_zoned(dovetail_store::local_zone());
    now.strftime("%Y-%m-%d %H:%M").to_string()
}

/// Without who we are to it.
fn host_of(url: &Url) -> String {
    let port = url.port_or_known_default();
    let host = url.host_str().unwrap_or_default();
    port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What a variable names, which may have no scheme. None where it is no address: requests go without it then.
fn proxy_url(value: &str) -> Option<Url> {
    let value = value.trim();
    let text = match value.contains("://") {
        true => value.to_owned(),
        false => format!("http://{value}"),
    };
    Url::parse(&text).ok().filter(Url::has_host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_may_be_written_without_its_scheme() {
        let shown = |value: &str| proxy_url(value).map(|url| host_of(&url));
        assert_eq!(shown("proxy.corp:3128"), Some("proxy.corp:3128".to_owned()));
        assert_eq!(
            shown(" http://user:secret@proxy.corp:3128/ "),
            Some("proxy.corp:3128".to_owned())
        );
        assert_eq!(
            shown("https://proxy.corp"),
            Some("proxy.corp:443".to_owned())
        );
        assert_eq!(shown("http://"), None);
    }
}
