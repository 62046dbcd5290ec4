//! What all HTTP clients have in common.

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use url::{Host, Url};

use crate::file::UnusableFile;
use crate::{authorities, identity};

/// What decides how a client for a URL is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Way {
    /// Whether the connection is encrypted.
    tls: bool,
    /// Whether it ends on this machine, or on its link, where clouds keep what only this machine is to know.
    here: bool,
    /// Whether the other end may see the client certificate.
    identified: bool,
}

impl Way {
    /// The way to a URL.
    pub fn to(url: &Url) -> Self {
        Self {
            tls: url.scheme() != "http",
            here: is_loopback(url) || is_link_local(url),
            identified: identity::is_for(url),
        }
    }

    /// Whether it ends on this machine or its link, where no proxy is asked.
    pub fn ends_here(self) -> bool {
        self.here
    }
}

/// Begins a client for requests that all go this way. It follows no redirect unless told to, since that would carry a
/// credential somewhere it was not granted for, and sends no `referer`.
///
/// Proxies come from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` in either case, authorities from the platform
/// (or `SSL_CERT_FILE` and `SSL_CERT_DIR`) and [`CA_VARIABLE`](crate::CA_VARIABLE), the certificate for servers that ask
/// for one from [`CERTIFICATE_VARIABLE`](crate::CERTIFICATE_VARIABLE).
///
/// # Errors
/// Where one of these variables names a file that cannot be used.
pub fn builder(way: Way) -> Result<ClientBuilder, UnusableFile> {
    choose_crypto();
    let mut builder = Client::builder().redirect(Policy::none()).referer(false);
    if way.here {
        builder = builder.no_proxy();
    }
    if !way.tls && (way.here || !proxy_speaks_tls()) {
        // Loading the platform's certificates takes longer than everything else at start, and nothing asks for them.
        return Ok(builder.tls_certs_only([]));
    }
    if way.identified
        && let Some(identity) = identity::of_environment()?
    {
        builder = builder.identity(identity);
    }
    Ok(builder.tls_certs_merge(authorities::certificates()?))
}

/// Chooses what encrypts, for the whole process. A client needs that before it is built.
pub fn choose_crypto() {
    // Fails only where the process has chosen already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Whether a plain request may still meet TLS, on the way to its proxy.
fn proxy_speaks_tls() -> bool {
    let names = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    names
        .iter()
        .filter_map(std::env::var_os)
        .any(|value| value.to_string_lossy().starts_with("https:"))
}

/// Whether a URL points at this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether a URL is an address that only this link knows.
fn is_link_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_link_local(),
        Some(Host::Ipv6(address)) => address.is_unicast_link_local(),
        Some(Host::Domain(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_recognised() {
        let loopback = |text: &str| is_loopback(&Url::parse(text).expect("a URL"));
        assert!(
            loopback("http://127.0.0.2:1/v1")
                && loopback("http://[::1]/")
                && loopback("http://localhost/")
        );
        assert!(!loopback("http://10.0.0.1/") && !loopback("http://localhost.example/"));
    }

    #[test]
    fn what_is_on_the_link_is_reached_without_a_proxy() {
        let near = |text: &str| Way::to(&Url::parse(text).expect("a URL")).ends_here();
        assert!(near("http://169.254.169.254/latest") && near("http://[fe80::1]/"));
        assert!(!near("http://192.168.0.1/") && !near("https://sts.us-east-1.amazonaws.com/"));
    }
}
