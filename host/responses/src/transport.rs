//! The HTTP client, and what it means that one breaks.

use std::time::Duration;

use dovetail_http::{UnusableFile, Way};
use reqwest::{Client, ClientBuilder};
use url::Url;

/// How long a connection may take to be made, TLS included; the same as for existing clients.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A stream may be silent for minutes: probes keep it open in the tables of routers on the way.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unbuilt {
    /// For what the user set.
    #[error(transparent)]
    File(#[from] UnusableFile),
    /// For the machine.
    #[error(transparent)]
    Client(#[from] reqwest::Error),
}

/// Makes a client for requests to `url`, and for nothing else.
pub(crate) fn build(url: &Url) -> Result<Client, Unbuilt> {
    Ok(builder(url)?.build()?)
}

/// The same for upgrades to WebSocket, which only HTTP/1.1 has. Proxies, certificates and limits are those of requests.
pub(crate) fn build_for_upgrades(url: &Url) -> Result<Client, Unbuilt> {
    Ok(builder(url)?.http1_only().build()?)
}

fn builder(url: &Url) -> Result<ClientBuilder, UnusableFile> {
    let builder = dovetail_http::builder(Way::to(url))?;
    Ok(builder
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(KEEP_ALIVE)
        .tcp_nodelay(true))
}

/// Where a request that got no answer broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// There is no connection: the name is not known, nobody listens, or the network is gone.
    Unreachable,
    /// There is a connection, but it cannot be made safe.
    Unsafe,
    /// There is a connection, to somebody whose certificate does not count.
    Untrusted,
    /// The connection broke before the response's head.
    Unanswered,
}

impl Broken {
    /// What an error of sending was.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        if !error.is_connect() {
            return Self::Unanswered;
        }
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            match tls_error(error) {
                Some(rustls::Error::InvalidCertificate(_)) => return Self::Untrusted,
                Some(_) => return Self::Unsafe,
                None => {}
            }
            cause = error.source();
        }
        Self::Unreachable
    }
}

/// What an error says of TLS. Looks into I/O errors too, which may be wrapped in one another and leave out of their sources
/// what they wrap.
fn tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    if let Some(error) = error.downcast_ref() {
        return Some(error);
    }
    let wrapped = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    tls_error(wrapped)
}

/// The words of the innermost cause, which is the one that tells (`Connection refused`), without the URL.
pub(crate) fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
