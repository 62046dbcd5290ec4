//! The certificate with which this machine, or its user, identifies itself to servers that ask for one (mutual TLS).
//!
//! A server learns from it who is asking, and what comes over the connection counts as coming from that person. So it is
//! shown to the hosts that are named for it and to nobody else, whoever makes the request.

use std::path::{Path, PathBuf};

use reqwest::Identity;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use url::Url;
use zeroize::Zeroizing;

use crate::file::{self, UnusableFile};

/// The variable that names the certificate and those between it and its authority, in PEM form.
pub const CERTIFICATE_VARIABLE: &str = "DOVETAIL_CLIENT_CERTIFICATE";
/// The variable that names its private key in PEM form; without it the key is in the certificate's file.
pub const KEY_VARIABLE: &str = "DOVETAIL_CLIENT_KEY";
/// The variable that lists the hosts that may see it: names, addresses and `*.` before a domain, with commas between them.
pub const HOSTS_VARIABLE: &str = "DOVETAIL_CLIENT_CERTIFICATE_HOSTS";

/// Whether the certificate may be shown to whoever a URL leads to.
pub(crate) fn is_for(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let hosts = std::env::var(HOSTS_VARIABLE).unwrap_or_default();
    url.scheme() != "http"
        && hosts
            .split(',')
            .any(|pattern| matches(pattern.trim(), host))
}

fn matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => {
            let (domain, host) = (domain.to_ascii_lowercase(), host.to_ascii_lowercase());
            host.strip_suffix(&domain)
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        }
        None => !pattern.is_empty() && pattern.eq_ignore_ascii_case(host),
    }
}

/// The certificate with its key; none where nobody set one.
pub(crate) fn of_environment() -> Result<Option<Identity>, UnusableFile> {
    let named = |variable| std::env::var_os(variable).filter(|path| !path.is_empty());
    let Some(certificate) = named(CERTIFICATE_VARIABLE).map(PathBuf::from) else {
        return Ok(None);
    };
    let key = named(KEY_VARIABLE).map(PathBuf::from);
    read(&certificate, key.as_deref()).map(Some)
}

fn read(certificate: &Path, key: Option<&Path>) -> Result<Identity, UnusableFile> {
    let unusable = |why: &str| UnusableFile::new(CERTIFICATE_VARIABLE, certificate, why);
    let mut pem = Zeroizing::new(file::read(CERTIFICATE_VARIABLE, certificate)?);
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(found) if !found.is_empty() => {}
        Ok(_) => return Err(unusable("it holds no certificate in PEM form")),
        Err(_) => return Err(unusable("it is no file of certificates in PEM form")),
    }
    if let Some(key) = key {
        let of_key = Zeroizing::new(file::read(KEY_VARIABLE, key)?);
        if PrivateKeyDer::from_pem_slice(&of_key).is_err() {
            let why =
                "it holds no private key in PEM form, or one that is locked with a passphrase";
            return Err(UnusableFile::new(KEY_VARIABLE, key, why));
        }
        pem.push(b'\n');
        pem.extend_from_slice(&of_key);
    } else if PrivateKeyDer::from_pem_slice(&pem).is_err() {
        return Err(unusable(&format!(
            "it holds no private key, and {KEY_VARIABLE} names no file that does"
        )));
    }
    // The parts are sound: what is left is whether they can be used for TLS at all.
    Identity::from_pem(&pem).map_err(|_| unusable("its key is of a kind that TLS does not take"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hosts_that_are_named_see_it() {
        for (pattern, host, expected) in [
            ("llm.corp.example", "LLM.corp.example", true),
            ("llm.corp.example", "x.llm.corp.example", false),
            ("*.corp.example", "llm.corp.example", true),
            ("*.corp.example", "a.b.CORP.example", true),
            ("*.corp.example", "corp.example", false),
            ("*.corp.example", ".corp.example", false),
            ("*.corp.example", "evilcorp.example", false),
            ("", "corp.example", false),
            ("*", "corp.example", false),
            ("127.0.0.1", "127.0.0.1", true),
        ] {
            assert_eq!(matches(pattern, host), expected, "{pattern} {host}");
        }
    }

    #[test]
    fn files_that_make_no_identity_are_named_with_what_is_wrong() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("client.pem");
        let certificate = include_str!("../../../tests/fixtures/tls/nobody.cert.pem");
        for (content, expected) in [
            ("hello", "it holds no certificate in PEM form"),
            (
                certificate,
                "it holds no private key, and DOVETAIL_CLIENT_KEY names no file that does",
            ),
        ] {
            std::fs::write(&path, content).expect("written");
            let error = read(&path, None).expect_err("refused").to_string();
            assert_eq!(
                error,
                format!(
                    "`DOVETAIL_CLIENT_CERTIFICATE` names `{}`, which cannot be used: {expected}",
                    path.display()
                )
            );
        }
        let error = read(&path, Some(&path)).expect_err("refused").to_string();
        assert!(
            error.starts_with("`DOVETAIL_CLIENT_KEY` names `"),
            "{error}"
        );
    }
}
