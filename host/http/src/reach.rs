//! Makes a connection as requests do, and closes it before anything is sent: for people who want to know how far it gets.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::CertificateError;
use tower::util::MapResultLayer;
use url::Url;

use crate::client::{Way, builder};
use crate::file::UnusableFile;

/// Any error of a connector.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Unreached {
    /// A file of the user's own cannot be used.
    #[error(transparent)]
    Unusable(#[from] UnusableFile),
    /// No client can be made, for this reason.
    #[error("cannot prepare HTTP: {0}")]
    Unprepared(String),
    /// The server's certificate does not count.
    #[error("{why}")]
    Untrusted {
        /// What is wrong with it.
        fault: CertificateFault,
        /// In the words of the TLS library.
        why: String,
    },
    /// The server does not speak TLS, or not this one.
    #[error("{0}")]
    Unsafe(String),
    /// Nobody answers, or a proxy refuses.
    #[error("{0}")]
    Refused(String),
    /// It takes too long.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
}

/// What is wrong with a certificate, as far as it makes a difference for what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFault {
    /// Nobody who is trusted vouches for it.
    UnknownIssuer,
    /// It is not good any more.
    Expired,
    /// It is not good yet.
    NotYetValid,
    /// It is for another name.
    WrongName,
    /// It is an authority's own, which no server may show.
    Authority,
    /// Anything else.
    Other,
}

/// Connects to the host of `url` as a request would, with its certificates and proxies, and hangs up.
///
/// # Errors
/// How far it got.
pub async fn connect(url: &Url, limit: Duration) -> Result<(), Unreached> {
    let client = builder(Way::to(url))?
        .connector_layer(MapResultLayer::new(stop))
        .build()
        .map_err(|error| Unreached::Unprepared(error.to_string()))?;
    let sent = client.head(url.clone()).send();
    match tokio::time::timeout(limit, sent).await {
        // Nothing is ever sent: a connection that was made is an error, of our own.
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => told(&error),
        Err(_elapsed) => Err(Unreached::Late(limit)),
    }
}

/// The addresses of a URL's host, as the system has them.
///
/// # Errors
/// In the words of the system; also where it knows none.
pub async fn resolve(url: &Url) -> std::io::Result<Vec<SocketAddr>> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(443);
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    match found.is_empty() {
        true => Err(std::io::Error::other("the name has no address")),
        false => Ok(found),
    }
}

/// A connection is there.
#[derive(Debug, thiserror::Error)]
#[error("the connection was made")]
struct Made;

fn stop<C>(connection: Result<C, BoxError>) -> Result<C, BoxError> {
    match connection {
        Ok(_closed) => Err(Box::new(Made)),
        Err(error) => Err(error),
    }
}

fn told(error: &reqwest::Error) -> Result<(), Unreached> {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    loop {
        if cause.is::<Made>() {
            return Ok(());
        }
        if let Some(error) = tls_error(cause) {
            return Err(of_tls(error));
        }
        match cause.source() {
            Some(source) => cause = source,
            // The innermost one tells.
            None => return Err(Unreached::Refused(cause.to_string())),
        }
    }
}

/// What an error says of TLS. I/O errors leave out of their sources what they wrap.
fn tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    if let Some(error) = error.downcast_ref() {
        return Some(error);
    }
    let wrapped = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    tls_error(wrapped)
}

fn of_tls(error: &rustls::Error) -> Unreached {
    let rustls::Error::InvalidCertificate(invalid) = error else {
        return Unreached::Unsafe(error.to_string());
    };
    let fault = match invalid {
        CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            CertificateFault::Expired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateFault::NotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::WrongName
        }
        // The TLS library has no word of its own for it.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            CertificateFault::Authority
        }
        _ => CertificateFault::Other,
    };
    let why = match fault {
        CertificateFault::Authority => "the server's certificate is one of an authority, as \
             self-signed ones often are"
            .to_owned(),
        _ => error.to_string(),
    };
    Unreached::Untrusted { fault, why }
}
